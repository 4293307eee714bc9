"""Which view of an image met which view of a stored one: mirrored, turned, cut, or as it is."""

from collections.abc import Sequence

from core.hits import Hit, QueryChunk
from core.rows.fusion import DocumentKey
from core.types import JsonObject


def views_met(
    chunks: Sequence[QueryChunk], found: Sequence[Sequence[Hit]]
) -> dict[DocumentKey, JsonObject]:
    """Return what a document carries of it, by key; nothing where both are the whole image.

    `found` holds the hits of each chunk, all of them views of one place.
    """
    best: dict[DocumentKey, tuple[QueryChunk, Hit]] = {}
    for chunk, hits in zip(chunks, found, strict=False):  # without chunks there are no views
        for hit in hits:
            key = (hit.document_id, hit.source.collection_id)
            if key not in best or hit.score > best[key][1].score:
                best[key] = (chunk, hit)
    return {key: note for key, pair in best.items() if (note := _note(*pair))}


def _note(chunk: QueryChunk, hit: Hit) -> JsonObject:
    note: JsonObject = {}
    if chunk.variant != "original":
        note["query_variant"] = chunk.variant
    if hit.view is not None:
        note["reference_view"] = hit.view
    return note
