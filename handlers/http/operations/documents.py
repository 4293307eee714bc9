"""Operations on the documents of a collection."""

from typing import Any

from core.types import JsonObject
from handlers.http.call import Call, with_urls


def create_document(call: Call) -> JsonObject:
    """Store one document."""
    return call.app.documents.create(
        call.namespace, call.path["collection"], call.body, deadline=call.request.deadline
    )


def list_documents(call: Call) -> JsonObject:
    """Return one page of a collection's documents."""
    from core.catalog.document_listing import list_documents as list_page

    documents = call.app.documents
    collection = documents.find_collection(call.namespace, call.path["collection"])
    answer = list_page(documents.snapshot(collection), call.body)
    answer["results"] = with_urls(call, answer["results"], call.body.return_presigned_urls)
    return answer


def browse_documents(call: Call) -> JsonObject:
    """The same list, asked for without a body."""
    return list_documents(call)


def get_document(call: Call) -> Any:
    """Return one document."""
    document = call.app.documents.get(
        call.namespace,
        call.path["collection"],
        call.path["document_id"],
        return_vectors=call.flag("return_vectors"),
    )
    return with_urls(call, [document], call.flag("return_presigned_urls"))[0]


def patch_document(call: Call) -> JsonObject:
    """Change one document by a JSON merge patch."""
    return call.app.documents.patch(
        call.namespace, call.path["collection"], call.path["document_id"], call.body
    )


def delete_document(call: Call) -> JsonObject:
    """Delete one document."""
    document_id = call.path["document_id"]
    call.app.documents.delete(call.namespace, call.path["collection"], document_id)
    return {"message": f"document {document_id} deleted", "success": True}


def update_documents(call: Call) -> JsonObject:
    """Apply several merge patches as one write: all of them or none."""
    patches = [(update.document_id, update.update_data) for update in call.body.updates]
    count = call.app.documents.patch_many(call.namespace, call.path["collection"], patches)
    return {"updated_count": count, "failed_count": 0}


def delete_documents(call: Call) -> JsonObject:
    """Delete documents by their ids, or all that pass a filter."""
    from core.catalog.document_listing import matching_ids

    documents, name = call.app.documents, call.path["collection"]
    wanted = call.body.document_ids
    if wanted is None:
        collection = documents.find_collection(call.namespace, name)
        wanted = matching_ids(documents.snapshot(collection), call.body.filters)
        deleted = documents.delete_many(call.namespace, name, wanted)
        results = []
    else:
        deleted = documents.delete_many(call.namespace, name, wanted)
        results = [{"document_id": one, "success": found} for one, found in deleted]
    return {
        "status": "completed",
        "deleted_count": sum(found for _, found in deleted),
        "failed_count": sum(not found for _, found in deleted),
        "results": results,
    }


def count_documents(call: Call) -> JsonObject:
    """Return how many documents a collection holds."""
    from core.storage.files import count_files

    documents = call.app.documents
    collection = documents.find_collection(call.namespace, call.path["collection"])
    count = count_files(documents.snapshot(collection))
    return {"collection_id": collection.collection_id, "count": count}


def batch_get_documents(call: Call) -> JsonObject:
    """Return up to 1,000 documents by their ids."""
    answer = call.app.documents.get_many(
        call.namespace,
        call.body.document_ids,
        call.body.collection_id,
        return_vectors=call.body.return_vectors,
    )
    answer["documents"] = with_urls(call, answer["documents"], call.body.return_presigned_urls)
    return answer
