"""Jobs of a namespace: made or continued, looked at, listed, stopped."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import orjson

from core.catalog.paging import list_items
from core.catalog.retrievers import RetrieverCatalog
from core.clock import to_iso, utc_now
from core.delivery import ReadableBuckets, parse_s3_uri
from core.errors import (
    BlobNotFoundError,
    ConflictError,
    IdempotencyError,
    InvalidRequestError,
    NotFoundError,
    Problem,
    TrawlError,
    UnavailableError,
    describe_error,
)
from core.ids import new_id
from core.jobs.store import Job, JobStore
from core.jobs.view import describe, summarize
from core.jobs.work import JobWork
from core.models.jobs import MAX_MANIFEST_BYTES, JobCreate, JobGet
from core.models.listing import ListRequest
from core.models.media_inputs import only_media_input
from core.models.namespaces import Namespace
from core.models.retriever import Retriever
from core.ports.blobs import BlobStores
from core.ports.jobs import JobRunner, RunState
from core.types import JsonObject

_log = logging.getLogger("trawl.jobs")

# A job whose execution is not noted after this long was left by whoever was making it.
_START_S = 60


class RunFailedError(TrawlError):
    """A run ended before its job did: its runner gave it up."""

    code = "run_failed"
    retryable = True


@dataclass(frozen=True, slots=True)
class JobCatalog:
    """What jobs there are. `work` is what executions of them do."""

    store: JobStore
    buckets: BlobStores
    assets_bucket: str
    retrievers: RetrieverCatalog
    runner: JobRunner
    work: JobWork
    presign_s: int

    def create(self, namespace: Namespace, request: JobCreate) -> JsonObject:
        """Make a job and start it, or continue the one of the same idempotency key.

        Raises `NotFoundError` for a retriever, `InvalidRequestError` for items or a manifest that
        no run could read, `IdempotencyError` for a key that stands for another body.
        """
        digest = _digest(request)
        known = self._known(namespace, request, digest)
        if known is None:
            known = self._add(namespace, request, digest)
        elif known.manifest is not None and known.copy is None:
            # It will be read (again): the namespace may have lost the right to, since.
            self._readable_manifest(namespace, known.manifest)
        job = self._ensure_started(known)
        return self._describe(job, JobGet())

    def get(self, namespace: Namespace, job_id: str, request: JobGet | None = None) -> JsonObject:
        """Return a job with a page of its files; `NotFoundError`."""
        job = self.store.find(namespace.namespace_id, job_id)
        return self._describe(job, request or JobGet())

    def list(self, namespace: Namespace, request: ListRequest) -> JsonObject:
        """Return a page of jobs, the newest first.

        The runner is asked about those that are shown; about all, only where their status decides
        which are.
        """
        jobs = {job.job_id: job for job in self.store.all(namespace.namespace_id)}
        by_status = _asks_for_status(request)
        found = [self._status(job) if by_status else (job, job.status) for job in jobs.values()]
        results, pagination, total = list_items(
            [summarize(job, status) for job, status in found],
            request,
            name_field="idempotency_key",
            id_field="job_id",
        )
        if not by_status:
            results = [summarize(*self._status(jobs[one["job_id"]])) for one in results]
        return {"results": results, "pagination": pagination, "total_count": total}

    def stop(self, namespace: Namespace, job_id: str) -> JsonObject:
        """Stop a job and keep what is done; one that is over stays as it is."""
        job = self.store.find(namespace.namespace_id, job_id)

        def stopped(job: Job) -> Job | None:
            return None if job.is_over else replace(job, status="stopped", finished_at=utc_now())

        job = self.store.update(namespace.namespace_id, job_id, stopped) or self.store.find(
            namespace.namespace_id, job_id
        )
        if job.status == "stopped" and job.execution is not None:
            self.runner.stop(job.execution)
        return self._describe(job, JobGet())

    def _known(self, namespace: Namespace, request: JobCreate, digest: str) -> Job | None:
        if request.idempotency_key is None:
            return None
        job = self.store.find_key(namespace.namespace_id, request.idempotency_key)
        if job is not None and job.digest != digest:
            raise IdempotencyError(
                f"the idempotency key {request.idempotency_key!r} belongs to job {job.job_id}, "
                "which was made with another body: send that body again, or another key",
                job_id=job.job_id,
            )
        return job

    def _add(self, namespace: Namespace, request: JobCreate, digest: str) -> Job:
        retrievers = [
            self.retrievers.find(namespace.namespace_id, name) for name in request.retrievers
        ]
        _check_retrievers(request, retrievers)
        now = utc_now()
        job = Job(
            job_id=new_id("job"),
            namespace_id=namespace.namespace_id,
            retrievers=tuple(
                {
                    "retriever_id": one.retriever_id,
                    "retriever_name": one.retriever_name,
                    "retriever_version": one.version,
                }
                for one in retrievers
            ),
            settings=request.settings.model_dump(),
            digest=digest,
            source={},
            manifest=request.manifest,
            idempotency_key=request.idempotency_key,
            metadata=request.metadata,
            created_at=now,
            updated_at=now,
        )
        if request.manifest is not None:
            source = self._readable_manifest(namespace, request.manifest)
        else:
            source = self._write_items(job, request)
        job = replace(job, source=source)
        try:
            self.store.add(job)
        except ConflictError:
            # Somebody else used the key just now.
            known = self._known(namespace, request, digest)
            if known is None:
                raise
            return known
        _log.info("job %s made", job.job_id)
        return job

    def _readable_manifest(self, namespace: Namespace, manifest: str) -> JsonObject:
        location = parse_s3_uri(manifest)
        if location is None:
            raise _manifest_error("not an s3:// address of a bucket and a key")
        bucket, key = location
        refusal = ReadableBuckets.of(namespace, self.assets_bucket).refusal(bucket, key)
        if refusal is not None:
            raise _manifest_error(f"{manifest} may not be read: {refusal}")
        try:
            size = self.buckets.bucket(bucket).head(key).size
        except BlobNotFoundError:
            raise _manifest_error(f"{manifest} does not exist") from None
        except UnavailableError:
            raise
        except TrawlError as error:  # the namespace may; the service's own rights are another thing
            raise _manifest_error(
                f"{manifest} cannot be read ({error.message}): the deployment's setting "
                "`read_buckets` must name the bucket too"
            ) from error
        if not 0 < size <= MAX_MANIFEST_BYTES:
            raise _manifest_error(
                f"{manifest} has {size} bytes: from 1 to {MAX_MANIFEST_BYTES} can be read"
            )
        return {"bucket": bucket, "key": key}

    def _write_items(self, job: Job, request: JobCreate) -> JsonObject:
        lines = b"".join(
            orjson.dumps(item.model_dump(exclude_none=True), option=orjson.OPT_APPEND_NEWLINE)
            for item in request.items or ()
        )
        key = f"{job.folder}/items.jsonl"
        self.store.results.put(key, lines, content_type="application/x-ndjson")
        return {"bucket": self.store.results.bucket, "key": key}

    def _ensure_started(self, job: Job) -> Job:
        """Start the job's run, or its next one if there is something that another could do."""
        job, status = self._status(job)
        again = status in ("failed", "stopped", "interrupted")
        again = again or (status == "completed_with_errors" and job.retryable > 0)
        if again and (job.is_over or job.execution is not None):
            job = self._update(job, _next_run(job.run))
        if job.is_over or job.execution is not None:
            return job
        try:
            execution = self.runner.start(job.job_run)
        except TrawlError as error:
            why = describe_error(error)
            self._update(job, _failed(job.run, why))
            raise
        _log.info("job %s run %d started as %s", job.job_id, job.run, execution)
        run = job.run
        return self._update(
            job, lambda job: replace(job, execution=execution) if job.run == run else None
        )

    def _update(self, job: Job, change: Callable[[Job], Job | None]) -> Job:
        """Change the job, or leave it to who was faster; return it as it is now."""
        new = self.store.update(job.namespace_id, job.job_id, change)
        return new or self.store.find(job.namespace_id, job.job_id)

    def _describe(self, job: Job, request: JobGet) -> JsonObject:
        job, status = self._status(job)
        return describe(
            job,
            status,
            self.store.chunks(job),
            request,
            results=self.store.results,
            presign_s=self.presign_s,
        )

    def _status(self, job: Job) -> tuple[Job, str]:
        """Return the job and its status, which the runner knows more about while it is not over."""
        if job.is_over:
            return job, job.status
        if job.execution is None:
            limit = to_iso(datetime.now(UTC) - timedelta(seconds=_START_S))
            return job, "interrupted" if job.updated_at < limit else "queued"
        state = self.runner.state(job.execution)
        if state == "running":
            return job, "queued" if job.copy is None else "running"
        return self._left_open(job, state)

    def _left_open(self, job: Job, state: RunState) -> tuple[Job, str]:
        """Return what to say of a job whose execution has ended, though the job has not."""
        # Its last step may have closed the job since it was read.
        try:
            job = self.store.find(job.namespace_id, job.job_id)
        except NotFoundError:
            return job, "stopped"
        if job.is_over:
            return job, job.status
        if state == "failed":
            return replace(job, error=describe_error(_run_failed(job))), "failed"
        return job, "stopped" if state == "stopped" else "interrupted"


def _asks_for_status(request: ListRequest) -> bool:
    asked = orjson.dumps([request.filters, request.sort and request.sort.field])
    return b"status" in asked


def _run_failed(job: Job) -> RunFailedError:
    advice = "make another job of what is missing"
    if job.idempotency_key is not None:
        advice = "send the same request again with its idempotency key, and it goes on"
    return RunFailedError(f"run {job.run} ended before it was done; what is done is kept: {advice}")


def _digest(request: JobCreate) -> str:
    """Return what tells two bodies apart, whatever the order of their keys."""
    # Without defaults: a setting that a later version adds must not make it another body.
    body = request.model_dump(exclude={"idempotency_key"}, exclude_defaults=True)
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _check_retrievers(request: JobCreate, retrievers: list[Retriever]) -> None:
    """Raise `InvalidRequestError` if items come as files and a retriever cannot take one."""
    if len({one.retriever_id for one in retrievers}) < len(retrievers):
        message = "a retriever is named twice, by id and by name"
        raise InvalidRequestError(message, [Problem("retrievers", message)])
    first = next((i for i, item in enumerate(request.items or ()) if item.file is not None), None)
    if first is None:
        return
    for one in retrievers:
        types = {name: entry.type for name, entry in one.input_schema.items()}
        if only_media_input(types) is None:
            message = (
                f"retriever {one.retriever_name} has not exactly one media input: "
                "give its inputs by name"
            )
            problem = Problem(f"items.{first}.file", message)
            raise InvalidRequestError(f"{problem.path}: {message}", [problem])


def _manifest_error(message: str) -> InvalidRequestError:
    return InvalidRequestError(f"manifest: {message}", [Problem("manifest", message)])


def _next_run(seen: int) -> Callable[[Job], Job | None]:
    def change(job: Job) -> Job | None:
        if job.run != seen:
            return None
        return replace(
            job, run=seen + 1, status="running", execution=None, error=None, finished_at=None
        )

    return change


def _failed(run: int, why: JsonObject) -> Callable[[Job], Job | None]:
    def change(job: Job) -> Job | None:
        if job.run != run or job.is_over:
            return None
        return replace(job, status="failed", error=why, finished_at=utc_now())

    return change
