"""A batch that goes on as a job gives up a little of its time for it, and never fails for it."""

import asyncio
import threading
from typing import Any

import pytest

from core.deadline import NEVER, Deadline
from core.errors import UnavailableError
from core.jobs.continuing import execute_or_continue
from core.models.execution import BatchRequest
from core.types import JsonObject
from tests.core.jobs.doubles import NAMESPACE


class Engine:
    """Answers with what it is told is unprocessed, and notes its deadline."""

    def __init__(self, unprocessed: list[int]) -> None:
        self.unprocessed = unprocessed
        self.deadline = NEVER

    async def execute_batch(self, *_: Any, deadline: Deadline, **__: Any) -> JsonObject:
        self.deadline = deadline
        return {
            "batch_id": "bat_1",
            "retriever_id": "ret_1",
            "unprocessed": self.unprocessed,
            "warnings": ["w"],
        }


class Jobs:
    """Makes jobs, fails to, or hangs until it is let go."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.made: list[Any] = []
        self.go = threading.Event()
        self.go.set()

    def create(self, _namespace: Any, request: Any) -> JsonObject:
        self.go.wait(30)
        if self.error is not None:
            raise self.error
        self.made.append(request)
        return {"job_id": "job_1", "status": "queued"}


def execute(engine: Engine, jobs: Jobs, deadline: Deadline = NEVER, **settings: Any) -> JsonObject:
    queries = [{"inputs": {"n": n}, "filters": {"f": n}} for n in range(4)]
    request = BatchRequest.model_validate(
        {"queries": queries, "settings": {"on_deadline": "job", **settings}, "return_vectors": True}
    )
    loose: Any = engine
    catalog: Any = jobs

    async def run() -> JsonObject:
        work = execute_or_continue(loose, catalog, NAMESPACE, "r", request, deadline=deadline)
        try:
            return await work
        finally:
            jobs.go.set()

    return asyncio.run(run())


def test_the_job_has_the_queries_and_their_settings() -> None:
    jobs = Jobs()
    answer = execute(Engine([1, 3]), jobs, limit=7, optimize=False)
    assert answer["job"] == {
        "job_id": "job_1",
        "status": "queued",
        "url": "/v1/jobs/job_1",
        "indexes": [1, 3],
    }
    assert answer["warnings"] == ["w"]
    [request] = jobs.made
    assert [(one.id, one.inputs, one.filters) for one in request.items] == [
        ("1", {"n": 1}, {"f": 1}),
        ("3", {"n": 3}, {"f": 3}),
    ]
    assert request.retrievers == ["ret_1"]
    assert request.settings.model_dump() == {
        "limit": 7,
        "max_chunks": None,
        "optimize": False,
        "return_vectors": True,
    }


def test_no_job_is_made_of_nothing() -> None:
    jobs = Jobs()
    assert "job" not in execute(Engine([]), jobs)
    assert jobs.made == []


@pytest.mark.parametrize("settings", [{"deadline_ms": 5000}, {}])
def test_the_engine_gives_up_some_time(settings: Any) -> None:
    engine = Engine([])
    execute(engine, Jobs(), Deadline.after(5 if not settings else 100), **settings)
    assert 3.0 < engine.deadline.remaining() < 4.1


def test_a_job_that_cannot_be_made_is_a_warning() -> None:
    answer = execute(Engine([1]), Jobs(UnavailableError("no table")))
    assert "job" not in answer
    assert "no table" in answer["warnings"][1]


def test_a_job_that_is_not_made_in_time_is_a_warning() -> None:
    jobs = Jobs()
    jobs.go.clear()
    answer = execute(Engine([1]), jobs, Deadline.after(0.01))
    assert "job" not in answer
    assert "time ran out" in answer["warnings"][1]
