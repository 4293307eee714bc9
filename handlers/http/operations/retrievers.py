"""Operations on retrievers: everything but running them."""

from core.catalog.paging import list_items
from core.catalog.retriever_answers import describe_retriever
from core.types import JsonObject
from handlers.http.call import Call


def create_retriever(call: Call) -> JsonObject:
    """Check and store a retriever, and return it."""
    retriever = call.app.retrievers.create(
        call.namespace, call.body, check=call.app.engine.check, by=call.principal.key_id
    )
    return describe_retriever(retriever)


def list_retrievers(call: Call) -> JsonObject:
    """List the namespace's retrievers."""
    retrievers = [
        describe_retriever(retriever)
        for retriever in call.app.retrievers.all(call.namespace.namespace_id)
    ]
    results, pagination, total = list_items(
        retrievers, call.body, name_field="retriever_name", id_field="retriever_id"
    )
    return {"results": results, "total": total, "pagination": pagination}


def search_retrievers(call: Call) -> JsonObject:
    """The same list, asked for with a body."""
    return list_retrievers(call)


def get_retriever(call: Call) -> JsonObject:
    """Return one retriever, its present version."""
    retriever = call.app.retrievers.find(call.namespace.namespace_id, call.path["retriever"])
    return describe_retriever(retriever)


def patch_retriever(call: Call) -> JsonObject:
    """Store the next version of a retriever."""
    retriever = call.app.retrievers.patch(
        call.namespace,
        call.path["retriever"],
        call.body,
        check=call.app.engine.check,
        by=call.principal.key_id,
    )
    return {"retriever": describe_retriever(retriever)}


def clone_retriever(call: Call) -> JsonObject:
    """Copy a retriever under a new name."""
    retriever, source_id = call.app.retrievers.clone(
        call.namespace,
        call.path["retriever"],
        call.body,
        check=call.app.engine.check,
        by=call.principal.key_id,
    )
    return {"retriever": describe_retriever(retriever), "source_retriever_id": source_id}


def delete_retriever(call: Call) -> JsonObject:
    """Delete a retriever."""
    name = call.path["retriever"]
    call.app.retrievers.delete(call.namespace.namespace_id, name)
    return {"message": f"retriever {name} deleted", "success": True}


def explain_retriever(call: Call) -> JsonObject:
    """Return the plan before and after optimization, and why. Nothing is executed."""
    return call.app.engine.explain(call.namespace, call.path["retriever"])


def explain_retriever_plan(call: Call) -> JsonObject:
    """The same, under the path of older guides."""
    return explain_retriever(call)
