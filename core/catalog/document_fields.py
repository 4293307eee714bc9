"""What a document looks like stored and answered: payload at the root, the rest in `_internal`."""

from collections.abc import Collection as Names
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.filtering.paths import MISSING, assign, resolve
from core.models.documents import Lineage, UpsertDocument
from core.types import JsonObject, JsonValue

# Names at a document's root that are the service's; a payload field of such a name is dropped.
RESERVED: Final = frozenset(
    {"document_id", "collection_id", "score", "_internal", "_vectors", "_expanded"}
)


def split_reserved(payload: JsonObject, vectors: Names[str]) -> tuple[JsonObject, list[str]]:
    """Return the payload without reserved fields, and the names of those.

    A vector's name is reserved as well: `return_vectors` puts the vector there.
    """
    dropped = [name for name in payload if name in RESERVED or name in vectors]
    if not dropped:
        return payload, []
    return {name: value for name, value in payload.items() if name not in dropped}, dropped


def stored_fields(document: UpsertDocument, payload: JsonObject, now: str) -> JsonObject:
    """Return the fields that are stored for a document: its payload and `_internal`."""
    internal: JsonObject = {"created_at": now, "updated_at": now}
    lineage = document.model_dump(include=set(Lineage.model_fields), exclude_none=True)
    content_hash = lineage.pop("content_hash", None)
    for wire, name in (("lineage_path", "path"), ("lineage_chain", "chain")):
        if wire in lineage:
            lineage[name] = lineage.pop(wire)
    if lineage:
        internal["lineage"] = lineage
    if document.metadata is not None:
        internal["metadata"] = document.metadata
    if content_hash is not None:
        internal["content_hash"] = content_hash
    return {**payload, "_internal": internal}


def document_json(
    document_id: str,
    collection_id: str,
    fields: JsonObject,
    vectors: Mapping[str, NDArray[Any]] | None = None,
    select: Sequence[str] | None = None,
) -> JsonObject:
    """Return a document as reads answer it; vectors stand under their names."""
    chosen = fields if select is None else _selected(fields, select)
    body = {"document_id": document_id, "collection_id": collection_id, **chosen}
    for name, vector in (vectors or {}).items():
        body[name] = vector_json(vector)
    return body


def vector_json(vector: NDArray[Any]) -> JsonValue:
    """Return a vector as it may be sent back: numbers, or hex digits for bits."""
    return vector.tobytes().hex() if vector.dtype == np.uint8 else vector.tolist()


def _selected(fields: JsonObject, select: Sequence[str]) -> JsonObject:
    chosen: JsonObject = {}
    for path in select:
        value = resolve(fields, path)
        if value is not MISSING:
            # A list on the way has no place of its own in the answer: the whole top field stays.
            top = path if path in fields else path.split(".", 1)[0]
            if top == path or not isinstance(fields.get(top), dict):
                chosen[top] = fields.get(top, value)
            else:
                chosen = assign(chosen, path, value)
    return chosen
