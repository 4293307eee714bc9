"""Where a chunk of a query met a stored one: seconds and boxes, of both."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from core.hits import Hit, QueryChunk
from core.rows.fusion import DocumentKey
from core.stage import StageContext
from core.stages._leg import Leg
from core.types import JsonObject, ReadOnlyObject

_Place = tuple[int | None, int | None, tuple[float, ...] | None]


async def placed_leg(
    leg: Leg, chunks: Sequence[QueryChunk], found: Sequence[Sequence[Hit]], ctx: StageContext
) -> Leg:
    """Return the leg with what its documents carry of places: those of the chunk that is nearest,
    and how many of the query's places met the document.

    `found` holds the hits of each chunk. Chunks of one place, such as the turned views of an
    image, count once. A picture has no seconds, and the whole of one has no box.
    """
    if not chunks:
        return leg
    nearest: dict[DocumentKey, tuple[float, QueryChunk]] = {}
    met: dict[DocumentKey, set[_Place]] = {}
    for chunk, hits in zip(chunks, found, strict=True):
        for hit in hits:
            if leg.entry.min_score is not None and hit.score < leg.entry.min_score:
                continue
            key = (hit.document_id, hit.source.collection_id)
            met.setdefault(key, set()).add(_place_of(chunk))
            if key not in nearest or hit.score > nearest[key][0]:
                nearest[key] = (hit.score, chunk)
    searched = len({_place_of(chunk) for chunk in chunks})
    stored = await _stored_places(leg, chunks, ctx)
    moments = {
        key: {
            **leg.moments.get(key, {}),
            **_fields("query", _as_stored(nearest[key][1])),
            **_fields("reference", stored.get(key, {})),
            "chunks_matched": len(met[key]),
            "chunks_searched": searched,
        }
        for key, _ in leg.ranked
    }
    return replace(leg, moments=moments)


async def _stored_places(
    leg: Leg, chunks: Sequence[QueryChunk], ctx: StageContext
) -> dict[DocumentKey, Mapping[str, Any]]:
    """Return the places of the stored chunks; of whole pictures nothing has to be read."""
    places = any(_place_of(chunk) != (None, None, None) for chunk in chunks)
    if not places and ctx.vote_rule(leg.entry.feature_uri) is None:
        return {}
    keys = [key for key, _ in leg.ranked]
    rows = await ctx.load([leg.hits[key] for key in keys], ["_internal"])
    return {key: _stored(row.fields) for key, row in zip(keys, rows, strict=True)}


def _stored(fields: ReadOnlyObject) -> Mapping[str, Any]:
    internal = fields.get("_internal")
    place = internal.get("place") if isinstance(internal, Mapping) else None
    return place if isinstance(place, Mapping) else {}


def _place_of(chunk: QueryChunk) -> _Place:
    return chunk.start_ms, chunk.end_ms, chunk.box


def _as_stored(chunk: QueryChunk) -> Mapping[str, Any]:
    return {"start_ms": chunk.start_ms, "end_ms": chunk.end_ms, "box": chunk.box}


def _fields(side: str, place: Mapping[str, Any]) -> JsonObject:
    fields: JsonObject = {}
    start, end, box = place.get("start_ms"), place.get("end_ms"), place.get("box")
    if start is not None:
        fields[f"{side}_start_ms"] = start
        fields[f"{side}_end_ms"] = start if end is None else end
    if box is not None:
        fields[f"{side}_box"] = [round(at) for at in box]
    return fields
