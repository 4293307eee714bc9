"""The crew: every task once, errors out, nobody left working."""

import os
import threading

import pytest

from core.errors import DeadlineError
from core.search.crew import Crew, limit_library_threads


def never() -> bool:
    return False


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_task_is_done_once(threads: int) -> None:
    crew = Crew(threads)
    assert sorted(crew.run(range(200), lambda task: task * 2, never)) == list(range(0, 400, 2))
    assert crew.run([], lambda task: task, never) == []
    crew.close()


def test_helpers_take_part() -> None:
    crew = Crew(2)
    meeting = threading.Barrier(2, timeout=10)
    crew.run([0, 1], lambda _: meeting.wait(), never)
    crew.close()


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_comes_out_and_ends_the_rest(threads: int) -> None:
    crew = Crew(threads)
    done: list[int] = []

    def work(task: int) -> None:
        done.append(task)
        if task == 3:
            raise ValueError("the third")

    with pytest.raises(ValueError, match="the third"):
        crew.run(range(10_000), work, never)
    before = len(done)
    assert before < 10_000
    assert crew.run([1, 2], lambda task: task, never)
    assert len(done) == before
    crew.close()


def test_a_caller_is_not_stuck_behind_a_busy_helper() -> None:
    crew = Crew(2)
    hold, busy = threading.Event(), threading.Barrier(3, timeout=10)

    def block(_: int) -> None:
        busy.wait()
        hold.wait(10)

    other = threading.Thread(target=lambda: crew.run([0, 1], block, never))
    other.start()
    busy.wait()
    assert sorted(crew.run(range(5), lambda task: task, never)) == list(range(5))
    hold.set()
    other.join(10)
    crew.close()


def test_stop_is_asked_before_each_task() -> None:
    crew = Crew(1)
    done: list[int] = []
    with pytest.raises(DeadlineError):
        crew.run(range(10), done.append, lambda: len(done) >= 4)
    assert done == [0, 1, 2, 3]


def test_library_threads_are_one_unless_the_user_said_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    monkeypatch.setenv("MKL_NUM_THREADS", "")
    monkeypatch.delenv("MKL_NUM_THREADS")
    limit_library_threads()
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
