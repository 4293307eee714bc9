"""A few lines with every retriever: files find their input, whole batches fail alone, results
stay together, and tries and waits are bounded."""

import asyncio
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from core.deadline import NEVER, Deadline
from core.errors import NotFoundError, UnavailableError
from core.jobs.answering import Answerer, Patience, Task
from core.jobs.manifest import parse_line
from core.jobs.rows import Outcome
from core.models.execution import BatchRequest
from core.models.jobs import JobSettings
from core.types import JsonObject
from tests.core.jobs.doubles import NAMESPACE

NONE = Patience(first_wait_s=0.0, longest_wait_s=0.0)


class Retrievers:
    """`one` takes an image; `two` has two media inputs; others are not there."""

    def find(self, _namespace_id: str, name: str) -> Any:
        schemas = {
            "one": {"pixels": "image", "note": "string"},
            "two": {"a": "image", "b": "video"},
        }
        if name not in schemas:
            raise NotFoundError("retriever", name)
        types = {key: SimpleNamespace(type=kind) for key, kind in schemas[name].items()}
        return SimpleNamespace(input_schema=types)


class Engine:
    """Answers each query with its inputs; `faults` are raised or returned first, one a batch."""

    def __init__(self, *faults: Exception | JsonObject) -> None:
        self.faults = list(faults)
        self.requests: list[tuple[str, BatchRequest]] = []

    async def execute_batch(
        self, _namespace: Any, retriever: str, request: BatchRequest, **_: Any
    ) -> JsonObject:
        self.requests.append((retriever, request))
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, Exception):
            raise fault
        results = []
        for index, query in enumerate(request.queries):
            error = fault if index == 0 else None
            results.append(
                {
                    "index": index,
                    "status": "failed" if error else "completed",
                    "error": error,
                    "documents": [query.inputs],
                    "duplicate_of": 0 if index and query == request.queries[0] else None,
                }
            )
        return {"results": results, "retriever_version": 7}


def answer(
    engine: Any,
    items: list[JsonObject],
    retrievers: list[str],
    *,
    deadline: Deadline = NEVER,
    settle: bool = False,
    patience: Patience = NONE,
    first: int = 1,
    **settings: Any,
) -> list[Outcome]:
    finder: Any = Retrievers()
    answerer = Answerer(engine, finder, NAMESPACE, JobSettings(**settings), patience)
    lines = [parse_line(n, orjson.dumps(item)) for n, item in enumerate(items, first)]
    tasks = [Task(line, retrievers) for line in lines]
    return asyncio.run(answerer.answer(tasks, deadline=deadline, settle=settle))


def error(*, retryable: bool, **more: Any) -> JsonObject:
    return {"code": "x", "retryable": retryable, **more}


def test_a_file_goes_to_the_only_media_input() -> None:
    items: list[JsonObject] = [
        {"file": "s3://b/k"},
        {"inputs": {"pixels": "u", "note": "n"}},
        {"inputs": {}},
    ]
    outcomes = answer(Engine(), items, ["one"])
    found = [row["result"]["documents"] for outcome in outcomes for row in outcome.results]
    assert found == [[{"pixels": "s3://b/k"}], [{"pixels": "u", "note": "n"}], [{}]]


def test_a_file_without_a_place_is_the_callers_error() -> None:
    engine = Engine()
    items: list[JsonObject] = [{"file": "s3://b/k"}, {"inputs": {"a": 1}}]
    first, second = answer(engine, items, ["two", "gone", "one"])
    assert [row["retriever"] for row in first.results] == ["one"]
    assert [(row["retriever"], row["error"]["code"]) for row in first.errors] == [
        ("two", "validation_failed"),
        ("gone", "not_found"),
    ]
    assert not any(row["error"]["retryable"] for row in first.errors)
    assert [row["retriever"] for row in second.results] == ["two", "gone", "one"]


def test_indexes_count_the_manifests_lines() -> None:
    items = [{"inputs": {"note": "a"}}, {"inputs": {"note": "a"}}]
    outcomes = answer(Engine(), items, ["one"], first=41)
    results = [outcome.results[0]["result"] for outcome in outcomes]
    assert [(one["index"], one["duplicate_of"]) for one in results] == [(40, None), (41, 40)]
    assert [outcome.line for outcome in outcomes] == [41, 42]


def test_settings_reach_the_engine() -> None:
    engine = Engine()
    answer(engine, [{"inputs": {}}], ["one"], limit=3, optimize=False, return_vectors=True)
    [(_, request)] = engine.requests
    assert (request.settings.limit, request.settings.optimize) == (3, False)
    assert request.return_vectors
    assert not request.return_presigned_urls


@pytest.mark.parametrize("fault", [UnavailableError("later"), error(retryable=True)])
def test_what_may_succeed_is_tried_three_times(fault: Any) -> None:
    engine = Engine(fault, fault)
    [outcome] = answer(engine, [{"inputs": {}}], ["one"])
    assert (len(outcome.results), len(engine.requests)) == (1, 3)
    engine = Engine(fault, fault, fault)
    [outcome] = answer(engine, [{"inputs": {}}], ["one"])
    assert (len(outcome.errors), len(engine.requests)) == (1, 3)
    assert outcome.errors[0]["error"]["retryable"]


@pytest.mark.parametrize(
    "fault", [NotFoundError("retriever", "one"), error(retryable=False), ZeroDivisionError()]
)
def test_what_cannot_succeed_is_tried_once(fault: Any) -> None:
    engine = Engine(fault)
    [outcome] = answer(engine, [{"inputs": {}}], ["one"])
    assert (len(outcome.errors), len(engine.requests)) == (1, 1)


def test_only_what_failed_is_tried_again() -> None:
    engine = Engine(error(retryable=True))
    items = [{"inputs": {"note": str(n)}} for n in range(4)]
    outcomes = answer(engine, items, ["one"])
    assert [len(request.queries) for _, request in engine.requests] == [4, 1]
    assert [len(outcome.results) for outcome in outcomes] == [1, 1, 1, 1]


def test_a_wait_past_the_deadline_is_not_begun() -> None:
    patience = Patience(first_wait_s=0.0, longest_wait_s=30.0)
    busy = error(retryable=True, retry_after_seconds=20)
    items = [{"inputs": {"note": "a"}}, {"inputs": {"note": "b"}}]
    deadline = Deadline.after(10)
    engine = Engine(busy)
    assert answer(engine, items, ["one"], deadline=deadline, patience=patience) == []
    engine = Engine(busy)
    [outcome] = answer(engine, items, ["one"], deadline=deadline, patience=patience, settle=True)
    assert outcome.errors[0]["error"] == busy


class Slow(Engine):
    """Does one query of a batch, and then the batch's time is up."""

    async def execute_batch(
        self, _namespace: Any, retriever: str, request: BatchRequest, **_: Any
    ) -> JsonObject:
        answer = await super().execute_batch(_namespace, retriever, request)
        late = {"code": "timed_out", "retryable": True}
        for result in answer["results"][1:]:
            result.update(status="timed_out", error=late)
        return answer


def test_a_line_that_had_no_turn_was_not_tried() -> None:
    engine = Slow()
    items = [{"inputs": {"note": str(n)}} for n in range(9)]
    outcomes = answer(engine, items, ["one"])
    assert [len(outcome.results) for outcome in outcomes] == [1] * 9
    assert [len(request.queries) for _, request in engine.requests] == list(range(9, 0, -1))


def test_lines_that_only_run_out_of_time_are_given_up() -> None:
    late = {"code": "timed_out", "retryable": True}
    engine = Slow(late, late, late)
    outcomes = answer(engine, [{"inputs": {"note": str(n)}} for n in range(3)], ["one"])
    assert [len(outcome.errors) for outcome in outcomes] == [1, 1, 1]
    assert len(engine.requests) == 3


def test_a_line_that_brings_down_its_batch_fails_alone() -> None:
    class Brittle(Engine):
        async def execute_batch(
            self, _namespace: Any, retriever: str, request: BatchRequest, **_: Any
        ) -> JsonObject:
            if any(query.inputs["note"] == "2" for query in request.queries):
                raise ZeroDivisionError
            return await super().execute_batch(_namespace, retriever, request)

    outcomes = answer(Brittle(), [{"inputs": {"note": str(n)}} for n in range(4)], ["one"])
    assert [len(outcome.results) for outcome in outcomes] == [1, 1, 0, 1]
    assert outcomes[2].errors[0]["error"]["code"] == "internal_error"


def test_a_result_says_which_version_of_the_retriever_it_is_of() -> None:
    [outcome] = answer(Engine(), [{"inputs": {}}], ["one"])
    assert outcome.results[0]["retriever_version"] == 7


def test_an_interrupt_is_no_items_error() -> None:
    class Stop(BaseException):
        pass

    class Stopping(Engine):
        async def execute_batch(self, *_: Any, **__: Any) -> JsonObject:
            raise Stop

    with pytest.raises(Stop):
        answer(Stopping(), [{"inputs": {}}], ["one"])
