"""What an execution of a job does, step by step: in a thread on a laptop, in a Lambda function
under Step Functions. Every step may die at any point, and may be run twice, also at once."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from core.catalog.namespaces import NamespaceCatalog
from core.catalog.retrievers import RetrieverCatalog
from core.clock import utc_now
from core.deadline import Deadline
from core.errors import (
    BlobNotFoundError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    TrawlError,
    describe_error,
)
from core.jobs.answering import Answerer, Patience, RunsBatches
from core.jobs.chunk_work import ChunkLimits, ChunkWorker
from core.jobs.manifest import Chunk, Line, parse_line
from core.jobs.planning import plan_chunks, read_chunk, read_chunks, write_remaining
from core.jobs.progress import add_up
from core.jobs.rows import GaveUpError, LinesLostError, Outcome, PartBuffer, line_error
from core.jobs.store import Job, JobStore, StoredStatus
from core.media.metering import MediaMeter
from core.models.jobs import JobSettings
from core.ports.blobs import BlobStores
from core.ports.jobs import JobRun, PlannedChunks
from core.types import JsonObject

_log = logging.getLogger("trawl.jobs")


@dataclass(frozen=True, slots=True)
class JobWork:
    """`core.ports.jobs.JobSteps` over stores and an engine. `memory_mb` is what a second of this
    function costs, 0 where it costs nothing; `media` counts what its process asks of others."""

    store: JobStore
    buckets: BlobStores
    namespaces: NamespaceCatalog
    retrievers: RetrieverCatalog
    engine: RunsBatches
    memory_mb: int = 0
    media: MediaMeter = field(default_factory=MediaMeter)
    limits: ChunkLimits = ChunkLimits()
    patience: Patience = Patience()

    def plan(self, run: JobRun) -> PlannedChunks:
        """Cut the manifest into chunks, once, and write the list of those that are to do.

        What is wrong with the manifest ends the job as failed, and leaves nothing to do.
        """
        job = self.store.find_run(run)
        if job is None:
            return self._nothing(run)
        try:
            if job.copy is None:
                copy = plan_chunks(job, self.buckets, self.store.results)
                job = self._update(run, lambda job: _with_copy(job, copy))
            if job is None:
                return self._nothing(run)
            key, count = write_remaining(job, self.store)
        except InvalidRequestError as error:
            _log.info("job %s failed: %s", run.job_id, error)
            why = describe_error(error)
            self._end(run, lambda job: replace(job, status="failed", error=why))
            return self._nothing(run)
        _log.info("job %s run %d: %d chunks to do", run.job_id, run.run, count)
        return PlannedChunks(self.store.results.bucket, key, count)

    async def run_chunk(self, run: JobRun, chunk: JsonObject, *, deadline: Deadline) -> bool:
        """Work on a chunk. True: done, or the run is over. False: out of time, call again, it
        goes on. A call that has at least `limits.least_s` gets at least one line done."""
        _log.info("job %s run %d: chunk %d begins", run.job_id, run.run, chunk["number"])
        found = await asyncio.to_thread(self._begin, run, Chunk.from_json(chunk))
        if found is None:
            return True
        done = await found.work(deadline)
        _log.info(
            "job %s run %d: chunk %d %s",
            run.job_id,
            run.run,
            chunk["number"],
            "is done" if done else "is out of time",
        )
        return done

    def give_up(self, run: JobRun, chunk: JsonObject, reason: str) -> None:
        """Write an error for every item of the chunk that has neither result nor error."""
        part = Chunk.from_json(chunk)
        _log.warning("job %s run %d: chunk %d is given up", run.job_id, run.run, part.number)
        error = GaveUpError(f"the work on lines around this one ended unexpectedly: {reason}")
        while True:
            job = self.store.find_run(run)
            if job is None:
                return
            state = self.store.chunk(job, part.number, part.lines)
            if state.is_whole:
                return
            buffer = PartBuffer(run.run)
            for row in self._given_up(job, part, state.position, error):
                buffer.add(Outcome(row["line"], errors=[row]))
            parts = buffer.write(self.store.results, job.folder, part.number)
            try:
                self.store.save_chunk(job, state.advanced(buffer.lines, parts))
            except ConflictError:  # somebody did some of these lines meanwhile
                for written in parts:
                    self.store.results.delete(written.key)
                continue
            return

    def _given_up(
        self, job: Job, chunk: Chunk, position: int, error: TrawlError
    ) -> list[JsonObject]:
        """Return a row for each line of the chunk from `position` on."""
        numbers = range(chunk.first_line + position, chunk.first_line + chunk.lines)
        try:
            raw = read_chunk(job, chunk, self.store.results)[position:]
        except BlobNotFoundError:
            lost = LinesLostError("the job's copy of this line is not kept any longer")
            return [line_error(Line(number, None, None), lost) for number in numbers]
        lines = map(parse_line, numbers, raw)
        return [line_error(line, line.error or error) for line in lines]

    def finish(self, run: JobRun) -> None:
        """Give up what no chunk's work ended, count, and close the run."""
        job = self.store.find_run(run)
        if job is None:
            return
        states = {state.number: state for state in self.store.chunks(job)}
        try:
            chunks = read_chunks(job, self.store.results)
        except BlobNotFoundError:
            lost = describe_error(LinesLostError("the job's files are not kept any longer"))
            self._end(run, lambda job: replace(job, status="failed", error=lost))
            return
        for chunk in chunks:
            state = states.get(chunk.number)
            if state is None or not state.is_whole:
                self.give_up(run, chunk.to_json(), "the run ended before they were done")
        totals = add_up(self.store.chunks(job))
        _log.info(
            "job %s run %d: %d items succeeded, %d failed",
            run.job_id,
            run.run,
            totals.succeeded,
            totals.failed,
        )
        status: StoredStatus = "completed_with_errors" if totals.failed else "completed"
        self._end(run, lambda job: replace(job, status=status, retryable=totals.retryable))

    def _begin(self, run: JobRun, chunk: Chunk) -> ChunkWorker | None:
        job = self.store.find_run(run)
        if job is None or job.copy is None:
            return None
        try:
            namespace = self.namespaces.find(run.namespace_id)
        except NotFoundError:
            return None
        settings = JobSettings.model_validate(job.settings)
        return ChunkWorker(
            store=self.store,
            job=job,
            chunk=chunk,
            lines=read_chunk(job, chunk, self.store.results),
            answerer=Answerer(self.engine, self.retrievers, namespace, settings, self.patience),
            limits=self.limits,
            memory_mb=self.memory_mb,
            media=self.media,
        )

    def _nothing(self, run: JobRun) -> PlannedChunks:
        """Return no chunks: finish will find the run over. No list is written, for the namespace
        may be gone, and with it who would ever delete it."""
        key = f"{run.namespace_id}/jobs/{run.job_id}/nothing.json"
        return PlannedChunks(self.store.results.bucket, key, 0)

    def _update(self, run: JobRun, change: Callable[[Job], Job | None]) -> Job | None:
        """Change the job if this is its run still; return it as it is then, None if not."""

        def change_own(job: Job) -> Job | None:
            return None if job.run != run.run or job.is_over else change(job)

        self.store.update(run.namespace_id, run.job_id, change_own)
        return self.store.find_run(run)

    def _end(self, run: JobRun, change: Callable[[Job], Job]) -> None:
        now = utc_now()
        self._update(run, lambda job: replace(change(job), finished_at=now))


def _with_copy(job: Job, copy: JsonObject) -> Job | None:
    return None if job.copy is not None else replace(job, copy=copy, started_at=utc_now())
