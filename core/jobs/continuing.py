"""A batch that goes on as a job with the queries it had no time for (`on_deadline: "job"`)."""

import asyncio
import logging

from core.deadline import Deadline
from core.engine import Engine, OnResult
from core.errors import TrawlError
from core.jobs.catalog import JobCatalog
from core.models.execution import BatchRequest
from core.models.jobs import JobCreate, JobItem, JobSettings
from core.models.namespaces import Namespace
from core.types import JsonObject

_log = logging.getLogger("trawl.jobs")

# Kept back from the deadline for making the job: a fifth of what there is, at most this.
_SHARE, _SECONDS = 0.2, 1.0
# However late the answer is, a job gets this long; the platform's own reserve is longer.
_LEAST_SECONDS = 0.4


async def execute_or_continue(
    engine: Engine,
    jobs: JobCatalog,
    namespace: Namespace,
    retriever: str,
    request: BatchRequest,
    *,
    deadline: Deadline,
    on_result: OnResult | None = None,
) -> JsonObject:
    """Run a batch; with `on_deadline: "job"` a job takes over its unprocessed queries, and the
    answer says so: `job`, or a warning if none could be made."""
    if request.settings.on_deadline == "return":
        return await engine.execute_batch(
            namespace, retriever, request, deadline=deadline, on_result=on_result
        )
    asked = request.settings.deadline_ms
    answer_by = deadline if asked is None else deadline.earlier(asked / 1000)
    kept = min(_SECONDS, answer_by.remaining() * _SHARE)
    answer = await engine.execute_batch(
        namespace,
        retriever,
        request,
        deadline=Deadline(answer_by.at - kept),
        on_result=on_result,
    )
    if not answer["unprocessed"]:
        return answer
    return await _continue(jobs, namespace, request, answer, by=answer_by)


async def _continue(
    jobs: JobCatalog,
    namespace: Namespace,
    request: BatchRequest,
    answer: JsonObject,
    *,
    by: Deadline,
) -> JsonObject:
    """Return the answer with a job of its unprocessed queries, or with why there is none."""
    left = None if by.remaining() == float("inf") else max(by.remaining(), _LEAST_SECONDS)
    try:
        async with asyncio.timeout(left):
            job = await asyncio.to_thread(jobs.create, namespace, _job_request(request, answer))
    except (TrawlError, TimeoutError) as error:
        if isinstance(error, TrawlError):
            warning = f"no job could be made of the unprocessed queries ({error.message})"
        else:  # the thread goes on, and may make it yet
            key = _job_key(answer)
            warning = f"time ran out while a job was made of the unprocessed queries (key {key})"
        warning += ": send them again"
        return {**answer, "warnings": [*answer["warnings"], warning]}
    _log.info("batch %s continues as job %s", answer["batch_id"], job["job_id"])
    return {
        **answer,
        "job": {
            "job_id": job["job_id"],
            "status": job["status"],
            "url": f"/v1/jobs/{job['job_id']}",
            "indexes": answer["unprocessed"],
        },
    }


def _job_key(answer: JsonObject) -> str:
    return f"batch/{answer['batch_id']}"


def _job_request(request: BatchRequest, answer: JsonObject) -> JobCreate:
    """Return a job of the unprocessed queries; its item ids are their indexes."""
    queries = [(index, request.queries[index]) for index in answer["unprocessed"]]
    settings = request.settings
    return JobCreate(
        retrievers=[answer["retriever_id"]],
        items=[
            JobItem(id=str(index), inputs=query.inputs, filters=query.filters)
            for index, query in queries
        ],
        settings=JobSettings(
            limit=settings.limit,
            max_chunks=settings.max_chunks,
            optimize=settings.optimize,
            return_vectors=request.return_vectors,
        ),
        idempotency_key=_job_key(answer),
        metadata={"batch_id": answer["batch_id"]},
    )
