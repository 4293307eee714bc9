"""Operations on collections."""

from core.catalog.paging import list_items
from core.types import JsonObject
from handlers.http.call import Call


def create_collection(call: Call) -> JsonObject:
    """Make a collection, with brought vectors or with an extractor for media."""
    collection = call.app.collections.create(call.namespace.namespace_id, call.body)
    answer = call.app.collections.describe(collection, count=True)
    if collection.source is not None:
        warning = "source is kept and not read: documents come by upsert, media as their content"
        answer["warnings"] = [warning]
    return answer


def list_collections(call: Call) -> JsonObject:
    """List the namespace's collections."""
    describe = call.app.collections.describe
    found = {
        one.collection_id: one for one in call.app.collections.all(call.namespace.namespace_id)
    }
    # What its vectors are stands in a collection's manifest. That is read of the page alone, unless
    # what is asked for may depend on it.
    whole = call.body.filters is not None or call.body.sort is not None
    items = [describe(one) if whole else one.to_json() for one in found.values()]
    results, pagination, total = list_items(
        items, call.body, name_field="collection_name", id_field="collection_id"
    )
    if not whole:
        results = [describe(found[item["collection_id"]]) for item in results]
    return {"results": results, "pagination": pagination, "total_count": total}


def search_collections(call: Call) -> JsonObject:
    """The same list, asked for with a body."""
    return list_collections(call)


def get_collection(call: Call) -> JsonObject:
    """Return one collection with its count."""
    collection = call.app.collections.find(call.namespace.namespace_id, call.path["collection"])
    return call.app.collections.describe(collection, count=True)


def patch_collection(call: Call) -> JsonObject:
    """Change a collection's name, description or metadata."""
    collection = call.app.collections.patch(
        call.namespace.namespace_id, call.path["collection"], call.body
    )
    return call.app.collections.describe(collection, count=True)


def delete_collection(call: Call) -> JsonObject:
    """Delete a collection and every document in it."""
    name = call.path["collection"]
    call.app.collections.delete(call.namespace.namespace_id, name)
    return {"message": f"collection {name} deleted", "success": True}
