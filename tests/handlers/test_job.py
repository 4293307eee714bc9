"""The job function: what each event of the state machine does, and what its failures become."""

import io
import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from core.deadline import Deadline
from core.errors import (
    ConflictError,
    CorruptBlobError,
    InvalidRequestError,
    NotFoundError,
    TrawlError,
    UnavailableError,
)
from core.jobs.progress import ChunkState, Part
from core.ports.jobs import JobRun, PlannedChunks
from core.types import JsonObject
from handlers import job
from handlers.job import JobPausedError, JobRefusedError, describe_failure
from handlers.observation import logger

RUN = JobRun("ns_1", "job_1", 2)
EVENT = {"namespace_id": "ns_1", "job_id": "job_1", "run": 2}
CHUNK = {"number": 7, "start": 0, "length": 10, "first_line": 1, "lines": 5}
PART = Part("errors", "key", 2, 2, 10, 1, 1, 0, {"bad": 2})


@dataclass(slots=True)
class Steps:
    """Notes what it is asked, and answers or raises what it was given."""

    answers: list[Any] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)

    def plan(self, run: JobRun) -> PlannedChunks:
        """As the real one."""
        planned: PlannedChunks = self._next("plan", run)
        return planned

    async def run_chunk(self, run: JobRun, chunk: JsonObject, *, deadline: Deadline) -> bool:
        """As the real one."""
        done: bool = self._next("chunk", run, chunk, deadline.remaining())
        return done

    def give_up(self, run: JobRun, chunk: JsonObject, reason: str) -> None:
        """As the real one."""
        self._next("give_up", run, chunk, reason)

    def finish(self, run: JobRun) -> None:
        """As the real one."""
        self._next("finish", run)

    def _next(self, *asked: Any) -> Any:
        self.asked.append(asked)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer


class Store:
    """Holds one job's chunks."""

    def find(self, namespace_id: str, job_id: str) -> str:
        """As the real one."""
        if namespace_id == "ns_gone":
            raise NotFoundError("job", job_id)
        return job_id

    def chunks(self, found: str) -> list[ChunkState]:
        """As the real one."""
        assert found == "job_1"
        return [ChunkState(0, 5, position=5, parts=(PART,))]


@dataclass(slots=True)
class Context:
    """What the handler asks of a Lambda context."""

    remaining_ms: int = 900_000
    aws_request_id: str = "c6af9ac6"
    function_name: str = "job"
    memory_limit_in_mb: int = 1769
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:job"

    def get_remaining_time_in_millis(self) -> int:
        """Return what is left."""
        return self.remaining_ms


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    steps = Steps()
    app = SimpleNamespace(jobs=SimpleNamespace(work=steps, store=Store()))
    monkeypatch.setattr(job, "deployed_app", lambda: app)
    return steps


def send(step: str, **more: Any) -> Any:
    return job.handler({"step": step, **EVENT, **more}, Context())


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line]


def test_a_plan_is_answered_with_where_its_list_is(steps: Steps) -> None:
    steps.answers = [PlannedChunks("results", "ns_1/jobs/job_1/chunks.json", 3)]
    assert send("plan") == {
        "bucket": "results",
        "key": "ns_1/jobs/job_1/chunks.json",
        "count": 3,
    }
    assert steps.asked == [("plan", RUN)]


@pytest.mark.parametrize("done", [True, False])
def test_a_chunk_says_whether_it_is_done(steps: Steps, done: bool) -> None:
    steps.answers = [done]
    assert send("chunk", chunk=CHUNK) == {"done": done}


def test_a_chunk_ends_before_lambda_ends_the_process(steps: Steps) -> None:
    steps.answers = [True]
    send("chunk", chunk=CHUNK)
    [(_, run, chunk, remaining)] = steps.asked
    assert (run, chunk) == (RUN, CHUNK)
    assert 900 - job.RESERVE_S - 10 < remaining <= 900 - job.RESERVE_S


@pytest.mark.parametrize(
    "error", [InvalidRequestError("no such thing"), NotFoundError("retriever", "ret_1")]
)
def test_a_chunk_that_is_refused_is_given_up_and_not_tried_again(
    steps: Steps, error: TrawlError
) -> None:
    steps.answers = [error]
    assert send("chunk", chunk=CHUNK) == {"done": True}
    assert steps.asked[1] == ("give_up", RUN, CHUNK, f"{error.code}: {error.message}")


@pytest.mark.parametrize(
    "error",
    [UnavailableError("no answer"), ConflictError("lost"), CorruptBlobError("altered")],
)
@pytest.mark.parametrize("step", ["plan", "chunk", "give_up", "finish"])
def test_what_may_pass_fails_the_call_by_a_name_of_its_own(
    steps: Steps, step: str, error: TrawlError
) -> None:
    steps.answers = [error]
    with pytest.raises(JobPausedError, match=error.message):
        send(step, chunk=CHUNK)
    assert len(steps.asked) == 1


@pytest.mark.parametrize("step", ["plan", "give_up", "finish"])
def test_what_will_not_pass_fails_the_call_by_another(steps: Steps, step: str) -> None:
    steps.answers = [NotFoundError("job", "job_1")]
    with pytest.raises(JobRefusedError, match="not found"):
        send(step, chunk=CHUNK)


@pytest.mark.parametrize("step", ["plan", "chunk", "give_up", "finish"])
def test_a_bug_fails_the_call_as_it_is(steps: Steps, step: str) -> None:
    steps.answers = [ZeroDivisionError("secret of the user")]
    with pytest.raises(ZeroDivisionError):
        send(step, chunk=CHUNK)


def test_a_step_that_nobody_knows_is_refused(steps: Steps) -> None:
    with pytest.raises(JobRefusedError, match="no such step: dance"):
        send("dance")
    assert steps.asked == []


def test_a_lost_chunk_is_given_up_with_its_reason(steps: Steps) -> None:
    failure = {"Error": "Sandbox.Timedout", "Cause": '{"errorMessage": "Task timed out"}'}
    assert send("give_up", chunk=CHUNK, failure=failure) == {}
    [(_, run, chunk, reason)] = steps.asked
    assert (run, chunk) == (RUN, CHUNK)
    assert "more time or memory" in reason


def told(message: str) -> str:
    return json.dumps({"errorType": "x", "errorMessage": message, "stackTrace": ["secret.py"]})


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        ({"Error": "JobPausedError", "Cause": told("unavailable: s3")}, "unavailable: s3"),
        ({"Error": "JobRefusedError", "Cause": told("x" * 9999)}, "x" * 500),
        ({"Error": "States.Timeout"}, "more time or memory"),
        ({"Error": "Runtime.OutOfMemory", "Cause": told("killed")}, "more time or memory"),
        ({"Error": "Lambda.Unknown", "Cause": "Task timed out"}, "more time or memory"),
        ({"Error": "KeyError", "Cause": told("secret")}, "failed again and again (KeyError)"),
        ({"Error": "KeyError", "Cause": "[1]"}, "(KeyError)"),
        ({"Error": "KeyError", "Cause": None}, "(KeyError)"),
        ({}, "(unknown error)"),
    ],
)
def test_reasons_are_for_users(failure: dict[str, Any], expected: str) -> None:
    reason = describe_failure(failure)
    assert expected in reason
    assert "secret" not in reason


def test_logs_say_which_chunk_and_never_what_is_in_it(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It holds the output that there was when it was made.
    stream = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", stream)
    steps.answers = [True, None]
    send("chunk", chunk={**CHUNK, "first_line": 987_654})
    send("finish")
    first, last = (json.loads(line) for line in stream.getvalue().splitlines())
    expected = {"job_id": "job_1", "run": 2, "chunk": 7, "step": "chunk", "outcome": "done"}
    assert expected.items() <= first.items()
    assert first["request_id"] == "c6af9ac6"
    assert "987654" not in json.dumps(first)
    # A warm process does not take one call's ids for the next one's.
    assert "chunk" not in last


def metric(lines: list[dict[str, Any]], name: str) -> list[tuple[str, list[float]]]:
    """Every value that was sent under that name, with its outcome."""
    sent = [line for line in lines if "_aws" in line and name in line]
    return [(one["outcome"], one[name]) for one in sent]


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ([True], "done"),
        ([False], "continued"),
        ([InvalidRequestError("no")], "given_up"),
    ],
)
def test_chunks_are_counted_by_outcome(
    steps: Steps, capsys: pytest.CaptureFixture[str], answers: list[Any], outcome: str
) -> None:
    steps.answers = answers
    send("chunk", chunk=CHUNK)
    assert metric(lines_of(capsys), "JobChunks") == [(outcome, [1.0])]


def test_a_failed_chunk_is_counted_too(steps: Steps, capsys: pytest.CaptureFixture[str]) -> None:
    steps.answers = [UnavailableError("no answer")]
    with pytest.raises(JobPausedError):
        send("chunk", chunk=CHUNK)
    assert metric(lines_of(capsys), "JobChunks") == [("failed", [1.0])]


def test_items_are_counted_at_the_end(steps: Steps, capsys: pytest.CaptureFixture[str]) -> None:
    assert send("finish") == {}
    assert metric(lines_of(capsys), "JobItems") == [("succeeded", [3.0]), ("failed", [2.0])]


def test_a_job_that_went_with_its_namespace_ends_quietly(steps: Steps) -> None:
    gone = {**EVENT, "namespace_id": "ns_gone"}
    assert job.handler({"step": "finish", **gone}, Context()) == {}
