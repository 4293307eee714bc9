"""What a stage's report must say of a search or a file: what was not compared, and why."""

from collections.abc import Sequence
from typing import Final

from core.errors import MediaError
from core.hits import ChunkBound, SearchAnswer, SearchRequest
from core.ports.media import Extraction
from core.runtime.features import FeatureFacts
from core.stage import StageReport
from core.storage.snapshot import Snapshot
from core.types import JsonObject

# The limit that bounds a query's chunks. What it left out the extraction has said already.
MAX_CHUNKS: Final = "max_chunks"


def note_unsearched(report: StageReport, feature: FeatureFacts) -> None:
    """Say of each collection that holds documents, and no vector to compare, that it was not
    searched: that nothing was found there proves nothing."""
    for snapshot in feature.unsearched:
        message = (
            f"nothing was compared in collection {snapshot.collection_id}: "
            f"none of its {snapshot.count} documents has a vector {feature.name!r}"
        )
        entry = {"code": "collection_not_searched", "message": message}
        if entry not in report.incomplete:
            report.incomplete.append(entry)


def note_candidates(
    report: StageReport,
    snapshots: Sequence[Snapshot],
    request: SearchRequest,
    answers: Sequence[SearchAnswer],
) -> None:
    """Say where an index outside gave fewer documents than were asked for and may have more."""
    ceiling = min(s.remote.most_candidates for s in snapshots if s.remote is not None)
    applied = min(request.k, ceiling)
    if request.k > ceiling:
        limit = {"name": "candidates", "requested": request.k, "applied": applied}
        if (entry := {**limit, "ceiling": ceiling}) not in report.limits:
            report.limits.append(entry)
    if any(_is_exhausted(answer, applied) for answer in answers):
        message = (
            f"the vector index gave {ceiling} candidates, the most it gives, and fewer than "
            f"{applied} of them are live documents that pass the filter: others may exist. "
            "Filter by fields that the collection declares as filterable_fields"
        )
        found = {"code": "candidates_exhausted", "message": message}
        if found not in report.incomplete:
            report.incomplete.append(found)


def _is_exhausted(answer: SearchAnswer, wanted: int) -> bool:
    """Say whether what an index kept back could stand among the first `wanted` hits."""
    if answer.floor is None:
        return False
    hits = answer.hits[0]
    return len(hits) < wanted or hits[wanted - 1].score < answer.floor


def note_extraction(report: StageReport, extraction: Extraction, bound: ChunkBound) -> None:
    """Say what was read, and what of it was not; `MediaError` if that is nothing at all."""
    if not extraction.chunks and not extraction.warnings:
        raise MediaError("nothing could be extracted from the file")
    for warning in extraction.warnings:
        entry = {"code": warning.code, "message": warning.message}
        report.incomplete.append(entry)
    # Fewer chunks that between them are all of the file leave nothing out.
    sampled = any(warning.code == "chunks_sampled" for warning in extraction.warnings)
    if sampled and extraction.found is not None:
        limit: JsonObject = {
            "name": MAX_CHUNKS,
            "requested": extraction.found,
            "applied": len({chunk.place for chunk in extraction.chunks}),
            "ceiling": bound.most,
            "set_by": bound.set_by,
        }
        if limit not in report.limits:
            report.limits.append(limit)
    report.metadata["media"] = {
        "content_type": extraction.media.content_type,
        "size_bytes": extraction.media.size_bytes,
        "sha256": extraction.media.sha256,
    }
