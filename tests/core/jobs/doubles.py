"""A job's surroundings in memory: stores that can be made to die at any call, an engine whose
queries say how they want to end, and a clock that only the engine moves."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from core.deadline import Deadline
from core.errors import BlobNotFoundError, ConflictError, NotFoundError
from core.ids import new_id
from core.jobs.answering import Patience
from core.jobs.chunk_work import ChunkLimits
from core.jobs.rows import read_rows
from core.jobs.store import Job, JobStore
from core.jobs.work import JobWork
from core.models.execution import BatchRequest
from core.models.namespaces import Namespace
from core.ports.blobs import BlobInfo, Presigned
from core.ports.jobs import JobRun
from core.ports.records import Delete, Put, Record, RecordPage
from core.types import JsonObject

NAMESPACE = Namespace("ns_1", "shop", "standalone", "col_1", "", "")
Hook = Callable[[str], None]


class Killed(BaseException):
    """The process ended, here and now."""


class MemoryRecords:
    """`Records`; `hook` is called before and after each write."""

    def __init__(self, hook: Hook) -> None:
        self.stored: dict[tuple[str, str], tuple[bytes, int]] = {}
        self._hook = hook

    def get(self, partition: str, key: str) -> Record | None:
        found = self.stored.get((partition, key))
        return found and Record(partition, key, orjson.loads(found[0]), found[1])

    def put(self, put: Put) -> Record:
        self.transact([put])
        found = self.get(put.partition, put.key)
        assert found is not None
        return found

    def delete(self, delete: Delete) -> None:
        self.stored.pop((delete.partition, delete.key), None)

    def transact(self, writes: Sequence[Put | Delete]) -> None:
        self._hook("record")
        for write in writes:
            version = self.stored.get((write.partition, write.key), (b"", 0))[1]
            if write.expected not in (None, version):
                raise ConflictError("lost")
        for write in writes:
            version = self.stored.get((write.partition, write.key), (b"", 0))[1]
            assert isinstance(write, Put)
            self.stored[write.partition, write.key] = orjson.dumps(write.value), version + 1
        self._hook("recorded")

    def list(
        self, partition: str, *, prefix: str = "", limit: int = 100, after: str | None = None
    ) -> RecordPage:
        keys = sorted(
            key
            for place, key in self.stored
            if place == partition and key.startswith(prefix) and (after is None or key > after)
        )
        records = [self.get(partition, key) for key in keys[:limit]]
        more = keys[limit - 1] if len(keys) > limit else None
        return RecordPage(tuple(record for record in records if record), more)

    def purge(self) -> int:
        raise NotImplementedError


class MemoryBlobs:
    """`Blobs`; `hook` is called before and after each put."""

    bucket = "results"

    def __init__(self, hook: Hook) -> None:
        self.stored: dict[str, bytes] = {}
        self._hook = hook

    def put(self, key: str, data: bytes | memoryview, *, if_absent: bool = False, **_: Any) -> None:
        self._hook("blob")
        if if_absent and key in self.stored:
            raise ConflictError("there")
        self.stored[key] = bytes(data)
        self._hook("stored")

    def get(
        self, key: str, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> bytes:
        return self._find(key)[start : None if length is None else start + length]

    def load(self, key: str, **_: Any) -> memoryview:
        return memoryview(self._find(key))

    def head(self, key: str) -> BlobInfo:
        return BlobInfo(key, len(self._find(key)))

    def delete(self, key: str) -> None:
        self.stored.pop(key, None)

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        for key in sorted(self.stored):
            if key.startswith(prefix):
                yield BlobInfo(key, len(self.stored[key]))

    def presign(self, key: str, *, expires_s: int) -> Presigned:
        return Presigned(f"https://x/{key}", 0.0)

    def purge(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    def _find(self, key: str) -> bytes:
        if key not in self.stored:
            raise BlobNotFoundError(key)
        return self.stored[key]


class Clock:
    """Stands for the module `time` where deadlines look at it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@dataclass
class ScriptedEngine:
    """Answers queries as their inputs say: `{"n", "end", "cost"}`. `tried` counts the tries of
    each (n, retriever). An `end` is ok, wrong (the caller's), flaky (fails twice), late (fails
    for as long as `is_bad`), or slow (never ends)."""

    clock: Clock
    tried: Counter[tuple[int, str]] = field(default_factory=Counter)
    is_bad: bool = True

    async def execute_batch(
        self,
        namespace: Namespace,
        retriever: str,
        request: BatchRequest,
        *,
        deadline: Deadline,
        on_result: Any = None,
    ) -> JsonObject:
        assert on_result is not None, "else documents move out of results"
        assert 1 <= len(request.queries) <= 50
        results = []
        for index, query in enumerate(request.queries):
            results.append({**self._result(query.inputs, retriever, deadline), "index": index})
        return {"results": results, "retriever_version": 1}

    def _result(self, inputs: JsonObject, retriever: str, deadline: Deadline) -> JsonObject:
        if not deadline.passed():
            self.clock.now += inputs["cost"]
        if inputs["end"] == "slow":
            self.clock.now = max(self.clock.now, deadline.at)
        if deadline.passed():
            return _failed("timed_out", "timed_out", retryable=True)
        key = inputs["n"], retriever
        self.tried[key] += 1
        end = inputs["end"]
        if end == "wrong":
            return _failed("failed", "validation_failed", retryable=False)
        if (end == "flaky" and self.tried[key] < 3) or (end == "late" and self.is_bad):
            return _failed("failed", "unavailable", retryable=True)
        document = {"document_id": f"d{inputs['n']}", "of": retriever}
        return {"status": "completed", "documents": [document], "error": None, "duplicate_of": None}


def _failed(status: str, code: str, *, retryable: bool) -> JsonObject:
    error = {"type": "E", "code": code, "message": code, "retryable": retryable, "blame": "service"}
    return {"status": status, "documents": [], "error": error, "duplicate_of": None}


class _Namespaces:
    def find(self, _name: str) -> Namespace:
        return NAMESPACE


class _Retrievers:
    def find(self, _namespace_id: str, name: str) -> Any:
        raise NotFoundError("retriever", name)


class World:
    """One job over memory. `hook` is called at each write."""

    def __init__(
        self,
        lines: Sequence[bytes],
        retrievers: Sequence[str] = ("ret_a",),
        *,
        limits: ChunkLimits,
        idempotency_key: str | None = None,
    ) -> None:
        self.hook: Hook = lambda _what: None
        self.records = MemoryRecords(self._call_hook)
        self.blobs = MemoryBlobs(self._call_hook)
        self.clock = Clock()
        self.engine = ScriptedEngine(self.clock)
        self.store = JobStore(self.records, self.blobs)
        self.blobs.stored["in"] = b"\n".join(lines)
        named = [{"retriever_id": name, "retriever_name": name} for name in retrievers]
        job = Job(
            job_id=new_id("job"),
            namespace_id="ns_1",
            retrievers=tuple(named),
            settings={},
            digest="",
            source={"bucket": "results", "key": "in"},
            created_at="",
            updated_at="",
            idempotency_key=idempotency_key,
        )
        self.store.add(job)
        self.job_id = job.job_id
        namespaces: Any = _Namespaces()
        finder: Any = _Retrievers()
        buckets: Any = self
        self.work = JobWork(
            self.store,
            buckets,
            namespaces,
            finder,
            self.engine,
            memory_mb=1024,
            limits=limits,
            patience=Patience(first_wait_s=0.0, longest_wait_s=0.0, batch_s=120.0),
        )

    def _call_hook(self, what: str) -> None:
        self.hook(what)

    def bucket(self, _name: str) -> MemoryBlobs:
        """As a `BlobStores`: there is one."""
        return self.blobs

    @property
    def job(self) -> Job:
        return self.store.find("ns_1", self.job_id)

    def run(self, number: int = 1) -> JobRun:
        return JobRun("ns_1", self.job_id, number)

    def rows(self) -> dict[str, list[JsonObject]]:
        """Every row of the files that the chunks' records name."""
        found: dict[str, list[JsonObject]] = {"results": [], "errors": []}
        for state in self.store.chunks(self.job):
            for part in state.parts:
                rows = [row for _, group in read_rows(self.blobs, part.key) for row in group]
                assert len(rows) == part.items
                assert len({row["line"] for row in rows}) == part.lines
                assert len(self.blobs.stored[part.key]) == part.bytes
                found[part.kind] += rows
        return found


def item_line(n: int, end: str = "ok", cost: float = 0.1) -> bytes:
    """A manifest line whose queries end as said."""
    return orjson.dumps({"id": f"i{n}", "inputs": {"n": n, "end": end, "cost": cost}})
