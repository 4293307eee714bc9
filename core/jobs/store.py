"""Jobs as they are stored: a record for each job, one for each of its chunks, files in a bucket."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

import orjson

from core.clock import utc_now
from core.errors import ConflictError, NotFoundError
from core.jobs.progress import ChunkState
from core.ports.blobs import Blobs
from core.ports.jobs import JobRun
from core.ports.records import ABSENT, Delete, Put, Record, Records, list_all
from core.types import JsonObject

# As long as Step Functions remembers an execution. Each write begins it anew.
_KEPT_S: Final = 90 * 86_400.0
_ATTEMPTS: Final = 20
# What DynamoDB counts as one write.
_UNIT_BYTES: Final = 1024
_JOB_ID: Final = re.compile(r"job_[0-9a-f]{24}")

StoredStatus = Literal["running", "completed", "completed_with_errors", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class Job:
    """A stored job. `status` is "running" until a step or a call ends the run; `execution` is the
    runner's reference. `source` is where the manifest lies; `copy`, once it is read, the folder
    of its copy and how many chunks and lines it has."""

    job_id: str
    namespace_id: str
    retrievers: tuple[JsonObject, ...]
    settings: JsonObject
    digest: str
    source: JsonObject
    created_at: str
    updated_at: str
    status: StoredStatus = "running"
    run: int = 1
    execution: str | None = None
    manifest: str | None = None
    idempotency_key: str | None = None
    metadata: JsonObject | None = None
    copy: JsonObject | None = None
    error: JsonObject | None = None
    retryable: int = 0
    started_at: str | None = None
    finished_at: str | None = None

    @property
    def is_over(self) -> bool:
        """True once nothing more happens without another run."""
        return self.status != "running"

    @property
    def job_run(self) -> JobRun:
        """The present run."""
        return JobRun(self.namespace_id, self.job_id, self.run)

    @property
    def folder(self) -> str:
        """Where its files lie in the results bucket."""
        return f"{self.namespace_id}/jobs/{self.job_id}"

    def to_json(self) -> JsonObject:
        """Return the record's value."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_json(cls, raw: JsonObject) -> "Job":
        """Read a record's value."""
        return cls(**{**raw, "retrievers": tuple(raw["retrievers"])})


class JobStore:
    """Reads and writes jobs. `results` is the bucket of their files."""

    def __init__(self, records: Records, results: Blobs) -> None:
        self._records = records
        self.results = results

    def find(self, namespace_id: str, job_id: str) -> Job:
        """Return a job; `NotFoundError` also for one of another namespace."""
        record = self._record(namespace_id, job_id)
        if record is None:
            raise NotFoundError("job", job_id[:100])
        return Job.from_json(record.value)

    def find_run(self, run: JobRun) -> Job | None:
        """Return the job if this is its run still and the run is not over, else None."""
        record = self._record(run.namespace_id, run.job_id)
        job = None if record is None else Job.from_json(record.value)
        return None if job is None or job.run != run.run or job.is_over else job

    def find_key(self, namespace_id: str, idempotency_key: str) -> Job | None:
        """Return the job that was made with that key."""
        claim = self._records.get(_jobs(namespace_id), f"key/{idempotency_key}")
        record = claim and self._record(namespace_id, claim.value["id"])
        return Job.from_json(record.value) if record else None

    def all(self, namespace_id: str) -> Iterator[Job]:
        """Yield the namespace's jobs, by id."""
        for record in self._list(_jobs(namespace_id), "job/"):
            yield Job.from_json(record.value)

    def add(self, job: Job) -> None:
        """Store a new job; `ConflictError` if its idempotency key is taken."""
        partition = _jobs(job.namespace_id)
        writes: list[Put | Delete] = [self._put(partition, f"job/{job.job_id}", job.to_json())]
        if job.idempotency_key is not None:
            key, claim = f"key/{job.idempotency_key}", {"id": job.job_id}
            old = self._records.get(partition, key)
            # The claim of a job that is gone is free.
            gone = old is not None and self._record(job.namespace_id, old.value["id"]) is None
            expected = old.version if old is not None and gone else ABSENT
            writes.append(self._put(partition, key, claim, expected))
        self._records.transact(writes)

    def update(
        self, namespace_id: str, job_id: str, change: Callable[[Job], Job | None]
    ) -> Job | None:
        """Store what `change` makes of the job, and return it; None if there is no such job, or
        `change` wants nothing changed."""
        partition = _jobs(namespace_id)
        for attempt in range(_ATTEMPTS):
            record = self._record(namespace_id, job_id)
            new = None if record is None else change(Job.from_json(record.value))
            if record is None or new is None:
                return None
            new = replace(new, updated_at=utc_now())
            try:
                key = f"job/{job_id}"
                self._records.put(self._put(partition, key, new.to_json(), record.version))
            except ConflictError:
                if attempt == _ATTEMPTS - 1:
                    raise
                continue
            if new.idempotency_key is not None:  # the claim lives as long as the job
                claim = {"id": job_id}
                self._records.put(
                    Put(partition, f"key/{new.idempotency_key}", claim, ttl_s=_KEPT_S)
                )
            return new
        return None

    def chunks(self, job: Job) -> list[ChunkState]:
        """Return the states of the chunks that were begun, by number."""
        records = self._list(_chunks(job.namespace_id, job.job_id), "chunk/")
        return [ChunkState.from_json(record.value, record.version) for record in records]

    def chunk(self, job: Job, number: int, lines: int) -> ChunkState:
        """Return the state of a chunk, a new one if it was not begun."""
        partition = _chunks(job.namespace_id, job.job_id)
        record = self._records.get(partition, _chunk_key(number))
        if record is None:
            return ChunkState(number, lines)
        return ChunkState.from_json(record.value, record.version)

    def save_chunk(self, job: Job, state: ChunkState) -> ChunkState:
        """Store a state over the version that it was made from; `ConflictError` if another
        execution was faster."""
        partition = _chunks(job.namespace_id, job.job_id)
        units = -(-len(orjson.dumps(state.to_json())) // _UNIT_BYTES)
        state = replace(state, write_units=state.write_units + units)
        put = self._put(partition, _chunk_key(state.number), state.to_json(), state.version)
        try:
            return replace(state, version=self._records.put(put).version)
        except ConflictError:
            # A write whose answer was lost is sent again by the SDK, and meets itself.
            found = self.chunk(job, state.number, state.lines)
            if found.to_json() == state.to_json():
                return found
            raise

    def clear(self, namespace_id: str) -> None:
        """Delete every job of a namespace. An execution that is still running notices."""
        for job in list(self.all(namespace_id)):
            self._records.delete(Delete(_jobs(namespace_id), f"job/{job.job_id}"))
            partition = _chunks(namespace_id, job.job_id)
            for record in list(self._list(partition, "chunk/")):
                self._records.delete(Delete(partition, record.key))
        for record in list(self._list(_jobs(namespace_id), "key/")):
            self._records.delete(Delete(_jobs(namespace_id), record.key))
        for blob in list(self.results.list(f"{namespace_id}/jobs/")):
            self.results.delete(blob.key)

    def _record(self, namespace_id: str, job_id: str) -> Record | None:
        if not _JOB_ID.fullmatch(job_id):
            return None
        return self._records.get(_jobs(namespace_id), f"job/{job_id}")

    def _list(self, partition: str, prefix: str) -> Iterator[Record]:
        return list_all(self._records, partition, prefix, at_once=1000)

    def _put(self, partition: str, key: str, value: JsonObject, expected: int = ABSENT) -> Put:
        return Put(partition, key, value, expected=expected, ttl_s=_KEPT_S)


def _jobs(namespace_id: str) -> str:
    return f"jobs/{namespace_id}"


def _chunks(namespace_id: str, job_id: str) -> str:
    return f"job/{namespace_id}/{job_id}"


def _chunk_key(number: int) -> str:
    return f"chunk/{number:05}"
