"""Runs of jobs in threads: the contract, steps that fail, other processes, and a clean end."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from core.adapters.jobs_threads import ThreadRunner
from core.deadline import Deadline
from core.errors import UnavailableError
from core.ports.jobs import JobRun, JobRunner, PlannedChunks
from core.types import JsonObject
from tests.contracts.jobs import RUN, JobRunnerContract


class Bucket:
    """Holds a list of three chunks."""

    def bucket(self, _name: str) -> "Bucket":
        return self

    def get(self, _key: str) -> bytes:
        return orjson.dumps([{"number": n} for n in range(3)])


class Steps:
    """Steps that count; `chunk` is what a chunk does, by default waiting for ever."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.reasons: list[str] = []
        self.begun = threading.Event()
        self.ended = threading.Event()
        self.chunk: Callable[[int], Any] | None = None
        self.plan_fails = 0

    def plan(self, run: JobRun) -> PlannedChunks:
        self.calls["plan"] += 1
        if self.plan_fails >= self.calls["plan"]:
            raise UnavailableError("later")
        return PlannedChunks("b", "k", 3)

    async def run_chunk(self, run: JobRun, chunk: JsonObject, *, deadline: Deadline) -> bool:
        number = chunk["number"]
        self.calls[f"chunk {number}"] += 1
        self.begun.set()
        if self.chunk is None:
            await asyncio.Event().wait()
            return True
        return bool(self.chunk(number))

    def give_up(self, run: JobRun, chunk: JsonObject, reason: str) -> None:
        self.calls[f"give up {chunk['number']}"] += 1
        self.reasons.append(reason)

    def finish(self, run: JobRun) -> None:
        self.calls["finish"] += 1
        self.ended.set()


def make_runner(steps: Steps, folder: Path) -> ThreadRunner:
    bucket: Any = Bucket()
    return ThreadRunner(steps, bucket, folder, first_wait_s=0.0)


def wait_for(runner: JobRunner, execution: str) -> None:
    pause = threading.Event()
    for _ in range(1000):
        if runner.state(execution) != "running":
            return
        pause.wait(0.01)
    raise AssertionError("it does not end")


@pytest.fixture
def steps() -> Steps:
    return Steps()


@pytest.fixture
def threads(steps: Steps, tmp_path: Path) -> Iterator[ThreadRunner]:
    runner = make_runner(steps, tmp_path / "locks")
    yield runner
    runner.close()


class TestThreadRunner(JobRunnerContract):
    @pytest.fixture
    def runner(self, threads: ThreadRunner) -> JobRunner:
        return threads

    def wait(self, runner: JobRunner, execution: str) -> None:
        wait_for(runner, execution)


def test_every_step_is_done(threads: ThreadRunner, steps: Steps) -> None:
    steps.chunk = lambda number: steps.calls[f"chunk {number}"] > number  # False first
    execution = threads.start(RUN)
    wait_for(threads, execution)
    assert threads.state(execution) == "succeeded"
    chunks = {"chunk 0": 1, "chunk 1": 2, "chunk 2": 3}
    assert steps.calls == {"plan": 1, **chunks, "finish": 1}


def test_a_step_that_fails_is_tried_again(threads: ThreadRunner, steps: Steps) -> None:
    steps.plan_fails = 2

    def chunk(number: int) -> bool:
        if steps.calls[f"chunk {number}"] < 3:
            raise UnavailableError("later")
        return True

    steps.chunk = chunk
    wait_for(threads, threads.start(RUN))
    assert (steps.calls["plan"], steps.calls["chunk 0"], steps.calls["finish"]) == (3, 3, 1)
    assert steps.reasons == []


def test_a_chunk_that_always_fails_is_given_up_and_the_others_are_done(
    threads: ThreadRunner, steps: Steps
) -> None:
    def chunk(number: int) -> bool:
        if number == 1:
            raise ZeroDivisionError
        return True

    steps.chunk = chunk
    execution = threads.start(RUN)
    wait_for(threads, execution)
    assert threads.state(execution) == "succeeded"
    assert (steps.calls["give up 1"], steps.calls["chunk 2"], steps.calls["finish"]) == (1, 1, 1)
    assert steps.reasons == ["ZeroDivisionError"]


def test_a_plan_that_always_fails_fails_the_execution(threads: ThreadRunner, steps: Steps) -> None:
    steps.plan_fails = 99
    execution = threads.start(RUN)
    wait_for(threads, execution)
    assert threads.state(execution) == "failed"
    assert steps.calls == {"plan": 3}


def test_other_processes_see_what_runs_and_do_not_start_it_too(
    threads: ThreadRunner, steps: Steps, tmp_path: Path
) -> None:
    others = Steps()
    other = make_runner(others, tmp_path / "locks")
    execution = threads.start(RUN)
    assert steps.begun.wait(10)
    assert other.state(execution) == "running"
    assert other.start(RUN) == execution
    assert others.calls == {}
    other.stop(execution)  # not its own: the job's record says it
    assert threads.state(execution) == "running"
    threads.close()
    assert other.state(execution) == "unknown"
    other.close()


def test_closing_ends_everything(steps: Steps, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    runner = make_runner(steps, tmp_path)
    execution = runner.start(RUN)
    assert steps.begun.wait(10)
    runner.close()
    assert runner.state(execution) == "stopped"
    assert steps.calls["finish"] == 0
    assert set(threading.enumerate()) <= before
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UnavailableError):
        runner.start(JobRun("ns_1", "job_9", 1))
    runner.close()
