"""What a cell of a scan found, picked out of its answer for people: which reference, and where."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.types import JsonObject

# Left, top, right, bottom in px of the picture as it is shown.
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Moment:
    """The seconds of the file, and of the reference, that are the same; `pieces` within the
    file's are those that were compared and agree."""

    query: tuple[int, int]
    reference: tuple[int, int] | None = None
    pieces: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """The nearest reference of a cell. `facts` are its type, size and so on, as they were stored;
    `path` and `sha256` those of the file that it was made from, `presigned_url` where the service
    signed an address of it; `box` and `reference_box` frame what met, unless all of it did."""

    document_id: str
    collection_id: str
    name: str
    score: float
    feature: str
    distance: float | None
    unit: str | None
    facts: JsonObject
    path: str | None = None
    sha256: str | None = None
    moment: Moment | None = None
    box: Box | None = None
    reference_box: Box | None = None
    agreeing: tuple[int, int] | None = None
    variant: str | None = None
    presigned_url: str | None = None
    # How many places of both pictures agree, where they prove what the distance does not.
    verified_by: int | None = None


def match_of(cell: Mapping[str, Any]) -> Match | None:
    """Return a cell's nearest reference, None if there is none."""
    best = cell.get("best_match")
    if not best:
        return None
    document = _document(cell, best)
    internal = document.get("_internal") or {}
    media = internal.get("media") or {}
    path = document.get("path")
    name = best.get("name") or path or best["document_id"]
    return Match(
        document_id=str(best["document_id"]),
        collection_id=str(best["collection_id"]),
        name=str(name),
        score=float(best["score"]),
        feature=str(best["feature"]),
        distance=best.get("distance"),
        unit=best.get("unit"),
        facts={
            "content_type": internal.get("mime_type"),
            "size_bytes": internal.get("size_bytes"),
            **{key: media.get(key) for key in ("width", "height", "duration_ms")},
        },
        path=path if isinstance(path, str) else None,
        sha256=internal.get("content_hash"),
        moment=_moment(document, best),
        box=_box((best.get("place") or {}).get("box")) or _box(document.get("query_box")),
        reference_box=_box(document.get("reference_box")),
        # Of points that are alike, those count that lie as they do in the other.
        agreeing=_pair(document, "inliers", "chunks_searched")
        or _pair(document, "chunks_matched", "chunks_searched"),
        variant=document.get("query_variant"),
        presigned_url=_presigned_url(document),
        verified_by=_verified_by(document, str(best["feature"])),
    )


def other_documents(cell: Mapping[str, Any], match: Match | None) -> list[JsonObject]:
    """Return the documents beside the nearest one."""
    return [
        document
        for document in cell.get("documents") or ()
        if match is None
        or (document.get("document_id"), document.get("collection_id"))
        != (match.document_id, match.collection_id)
    ]


def _document(cell: Mapping[str, Any], best: Mapping[str, Any]) -> JsonObject:
    wanted = (best["document_id"], best["collection_id"])
    for document in cell.get("documents") or ():
        if (document.get("document_id"), document.get("collection_id")) == wanted:
            found: JsonObject = document
            return found
    return {}


def _verified_by(document: Mapping[str, Any], feature: str) -> int | None:
    hit = (document.get("features") or {}).get(feature) or {}
    inliers = hit.get("inliers")
    return inliers if "hash_score" in hit and isinstance(inliers, int) else None


def _presigned_url(document: Mapping[str, Any]) -> str | None:
    """Return the address that the service signed of a document's media, if it has one."""
    blobs = document.get("document_blobs")
    for blob in blobs if isinstance(blobs, list) else ():
        if not isinstance(blob, dict) or not str(blob.get("url")).startswith("s3://"):
            continue
        url = blob.get("presigned_url")
        # A document may hold such a field of its own; where the service refused, it stays.
        if isinstance(url, str) and "unavailable_reason" not in blob:
            return url
    return None


def _moment(document: Mapping[str, Any], best: Mapping[str, Any]) -> Moment | None:
    whole = _pair(document, "query_start_ms", "query_end_ms")
    chunks = document.get("query_chunks")
    places = [
        place
        for chunk in (chunks if isinstance(chunks, list) else ())
        if (place := _pair(chunk, "start_ms", "end_ms")) is not None
    ]
    if whole is not None:
        reference = _pair(document, "reference_start_ms", "reference_end_ms")
        return Moment(whole, reference, tuple(places))
    found = best.get("place") or {}
    query = _pair(found, "start_ms", "end_ms")
    if query is None:
        return None
    return Moment(query, _pair(found, "reference_start_ms", "reference_end_ms"), (query,))


def _box(value: Any) -> Box | None:
    if not isinstance(value, list) or len(value) != 4:
        return None
    if not all(isinstance(side, int | float) for side in value):
        return None
    left, top, right, bottom = value
    return (left, top, right, bottom)


def _pair(values: Mapping[str, Any], first: str, second: str) -> tuple[int, int] | None:
    pair = values.get(first), values.get(second)
    if all(isinstance(value, int | float) for value in pair):
        return round(pair[0] or 0), round(pair[1] or 0)
    return None
