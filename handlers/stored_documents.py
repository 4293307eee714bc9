"""Documents of a collection for the command line: all in turn, or the one that is meant."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

from core.types import JsonObject
from handlers.client import Client, api_path
from handlers.client_errors import ClientError

_PAGE: Final = 1000
# So many are named to whoever named one that is not there.
_NAMED: Final = 5
_SHOWN: Final = ["path", "_internal.chunks"]


def stored_documents(
    client: Client, collection: str, *, filters: JsonObject | None = None, limit: int = _PAGE
) -> Iterator[JsonObject]:
    """Yield documents in the order of their ids, a file of several chunks once: `document_id`,
    `collection_id`, `path` where there is one, and `_internal.chunks` where it is of media.

    `limit` is how many are asked for at once.
    """
    path = api_path("collections", collection, "documents", "list")
    body: JsonObject = {"limit": limit, "select": _SHOWN}
    if filters is not None:
        body["filters"] = filters
    while True:
        page = client.call("POST", path, body)
        yield from page["results"]
        body["cursor"] = page["pagination"]["next_cursor"]
        if body["cursor"] is None:
            return


def is_bare(document: JsonObject) -> bool:
    """Say whether a stored document was made from media in which nothing can be compared."""
    return chunks_of(document) == 0


def chunks_of(document: JsonObject) -> int | None:
    """Return how many parts of its file can be compared, None of one that is not of media."""
    internal: dict[str, Any] = document.get("_internal") or {}
    count: int | None = internal.get("chunks")
    return count


def find_named(client: Client, collections: Sequence[str], name: str) -> str:
    """Return the id of the document that is meant: by its id, else by its file's path.

    `ClientError` if there is none, several, or one that nothing finds.
    """
    wanted = {"field": "path", "operator": "eq", "value": name}
    known: list[str] = []
    for collection in collections:
        found = client.find(api_path("collections", collection, "documents", name))
        same = [found] if found else list(stored_documents(client, collection, filters=wanted))
        if len(same) > 1:
            ids = ", ".join(one["document_id"] for one in same)
            raise ClientError(f"several documents in {collection} are of a file {name}: {ids}")
        for one in same:
            if is_bare(one):
                raise ClientError(f"nothing can be compared with {name} in {collection}")
            document_id: str = one["document_id"]
            return document_id
        known += _first_names(client, collection)
    some = ", ".join(known[:_NAMED]) + (", …" if len(known) > _NAMED else "")
    where = ("collection " if len(collections) == 1 else "collections ") + ", ".join(collections)
    raise ClientError(f"no document {name} in {where}; known: {some or 'none'}")


def _first_names(client: Client, collection: str) -> list[str]:
    first = islice(stored_documents(client, collection, limit=_NAMED + 1), _NAMED + 1)
    return [str(one.get("path") or one["document_id"]) for one in first]
