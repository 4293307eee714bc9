"""Bounded concurrency: every index answered once, never too many at a time, never too late."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.deadline import NEVER, Deadline
from core.runtime.batch import BatchRun, run_bounded


def run(
    count: int,
    run_one: Callable[[int], Awaitable[int]],
    concurrency: int = 5,
    deadline: Deadline = NEVER,
) -> BatchRun[int]:
    return asyncio.run(run_bounded(count, run_one, concurrency=concurrency, deadline=deadline))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    count=st.integers(1, 50),
    concurrency=st.integers(1, 20),
    turns=st.lists(st.integers(0, 5), min_size=50, max_size=50),
)
def test_each_index_is_answered_once_in_order_within_the_bound(
    count: int, concurrency: int, turns: list[int]
) -> None:
    in_flight: set[int] = set()
    most = 0

    async def run_one(index: int) -> int:
        nonlocal most
        in_flight.add(index)
        most = max(most, len(in_flight))
        for _ in range(turns[index]):
            await asyncio.sleep(0)
        in_flight.remove(index)
        return index * 10

    done = run(count, run_one, concurrency)
    assert done.results == tuple(index * 10 for index in range(count))
    assert done.peak == most <= min(count, concurrency)
    if all(turns[:count]):
        assert done.peak == min(count, concurrency)


def test_what_is_not_done_at_the_deadline_is_cancelled_and_the_rest_is_kept() -> None:
    cancelled: list[int] = []

    async def run_one(index: int) -> int:
        if index % 2 == 0:
            return index
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(index)
            raise
        return -1

    done = run(6, run_one, 6, Deadline.after(0.05))
    assert done.results == (0, None, 2, None, 4, None)
    assert sorted(cancelled) == [1, 3, 5]


def test_queries_behind_a_stuck_one_time_out_without_ever_starting() -> None:
    started: list[int] = []

    async def run_one(index: int) -> int:
        started.append(index)
        await asyncio.Event().wait()
        return index

    done = run(4, run_one, 2, Deadline.after(0.05))
    assert done.results == (None,) * 4
    assert started == [0, 1]


def test_nothing_still_runs_after_the_answer() -> None:
    async def main() -> int:
        async def run_one(index: int) -> int:
            await asyncio.Event().wait()
            return index

        await run_bounded(8, run_one, concurrency=3, deadline=Deadline.after(0.02))
        return len(asyncio.all_tasks()) - 1

    assert asyncio.run(main()) == 0


def test_a_defect_in_one_query_cancels_the_others_and_leaves() -> None:
    ended: list[int] = []

    async def run_one(index: int) -> int:
        if index == 1:
            raise RuntimeError("a defect")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(index)
        return index

    with pytest.raises(RuntimeError, match="a defect"):
        run(3, run_one)
    assert sorted(ended) == [0, 2]
