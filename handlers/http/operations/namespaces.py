"""Operations on namespaces."""

from typing import Any

from core.auth.principals import authorize_everywhere, find_reachable
from core.catalog.paging import list_items
from core.models.namespaces import NamespaceCreate, StandaloneNamespaceCreate
from core.types import JsonObject
from handlers.http.call import Call, with_urls


def create_namespace(call: Call) -> JsonObject:
    """Make a namespace; only a key for all namespaces may."""
    request: NamespaceCreate = call.body
    authorize_everywhere(call.principal, "admin" if request.registered_buckets else "write")
    return _created(call, request)


def create_standalone_namespace(call: Call) -> JsonObject:
    """Make a namespace whose documents bring their own vectors."""
    authorize_everywhere(call.principal, "write")
    return {**_created(call, call.body), "status": "ready"}


def _created(call: Call, request: NamespaceCreate | StandaloneNamespaceCreate) -> JsonObject:
    namespace = call.app.namespaces.create(request)
    return call.app.namespaces.describe(namespace, count=True)


def list_namespaces(call: Call) -> JsonObject:
    """List the namespaces that the key reaches."""
    namespaces = [
        call.app.namespaces.describe(namespace)
        for namespace in call.app.namespaces.all()
        if call.principal.reaches(namespace.namespace_id)
    ]
    results, pagination, total = list_items(
        namespaces, call.body, name_field="namespace_name", id_field="namespace_id"
    )
    return {"results": results, "pagination": pagination, "total_count": total}


def search_namespaces(call: Call) -> JsonObject:
    """The same list, asked for with a body."""
    return list_namespaces(call)


def get_namespace(call: Call) -> JsonObject:
    """Return one namespace with its counts."""
    return call.app.namespaces.describe(call.namespace, count=True)


def patch_namespace(call: Call) -> JsonObject:
    """Change a namespace. Which buckets it may read is for an admin of all namespaces to say."""
    if "registered_buckets" in call.body.model_fields_set:
        authorize_everywhere(call.principal, "admin")
    namespace = call.app.namespaces.patch(call.namespace.namespace_id, call.body)
    return call.app.namespaces.describe(namespace, count=True)


def delete_namespace(call: Call) -> JsonObject:
    """Delete a namespace and everything in it; also one that an earlier call left half deleted."""
    name = call.path["namespace"]
    namespaces = call.app.namespaces
    namespace_id = find_reachable(call.principal, name, namespaces.identify, id_of=str)
    # Keys first: once its names are free, another namespace may take them.
    call.app.keys.forget_namespace(namespace_id, by=call.principal.key_id)
    namespaces.delete(namespace_id)
    return {"message": f"namespace {namespace_id} deleted", "success": True}


def upsert_documents(call: Call) -> JsonObject:
    """Store up to 1,000 documents."""
    answer = call.app.documents.upsert(call.namespace, call.body, deadline=call.request.deadline)
    call.facts["documents"] = answer["inserted"]
    return answer


def get_namespace_document(call: Call) -> Any:
    """Return one document of the namespace's default collection."""
    document = call.app.documents.get(
        call.namespace,
        call.namespace.default_collection_id,
        call.path["document_id"],
        return_vectors=call.flag("return_vectors"),
    )
    return with_urls(call, [document], call.flag("return_presigned_urls"))[0]
