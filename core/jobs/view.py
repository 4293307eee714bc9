"""A job as the API shows it: what was asked, how far it is, where its files are."""

from collections.abc import Sequence

from core.catalog.paging import page_of, pagination_json
from core.delivery import iso_time
from core.jobs.cost import estimate_cost
from core.jobs.progress import ChunkState, Part, add_up
from core.jobs.store import Job
from core.models.jobs import JobGet
from core.models.listing import ListRequest
from core.ports.blobs import Blobs
from core.types import JsonObject


def summarize(job: Job, status: str) -> JsonObject:
    """Return what stands in a list of jobs."""
    return {
        "object": "job",
        "job_id": job.job_id,
        "status": status,
        "run": job.run,
        "retrievers": list(job.retrievers),
        "manifest": job.manifest,
        "settings": job.settings,
        "idempotency_key": job.idempotency_key,
        "metadata": job.metadata or {},
        "error": job.error,
        "retryable": job.retryable,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
    }


def describe(
    job: Job,
    status: str,
    states: Sequence[ChunkState],
    request: JobGet,
    *,
    results: Blobs,
    presign_s: int,
) -> JsonObject:
    """Return a job with its progress, its cost, and a page of its files."""
    is_active = status in ("queued", "running")
    totals = add_up(states, due_run=job.run if is_active else None)
    copy = job.copy or {}
    items, chunks = copy.get("lines"), int(copy.get("chunks", 0))
    parts = sorted(
        (part for state in states for part in state.parts),
        key=lambda part: (part.first_line, part.kind, part.key),
    )
    page = page_of(ListRequest(limit=request.limit, cursor=request.cursor))
    shown = parts[page.start : page.start + page.limit]
    more = page.start + page.limit < len(parts)
    return {
        **summarize(job, status),
        "progress": {
            "items": items,
            "done": totals.done,
            "succeeded": totals.succeeded,
            "failed": totals.failed,
            "chunks": chunks,
            "chunks_done": totals.chunks_done,
            "fraction": round(totals.done / items, 4) if items else 0.0,
        },
        "errors_by_code": totals.codes,
        "cost": estimate_cost(totals, chunks),
        "results": [_file(part, results, presign_s) for part in shown],
        "pagination": pagination_json(page, shown=len(shown), total=len(parts), more=more),
    }


def _file(part: Part, results: Blobs, presign_s: int) -> JsonObject:
    signed = results.presign(part.key, expires_s=presign_s)
    return {
        "kind": part.kind,
        "url": signed.url,
        "expires_at": iso_time(signed),
        "items": part.items,
        "bytes": part.bytes,
    }
