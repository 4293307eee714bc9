"""Bounded, deadline-keeping concurrency: many queries, each answered exactly once, in order."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from core.deadline import Deadline

R = TypeVar("R")

# What cancelled tasks get to unwind in. They await nothing that takes longer; a thread they left
# behind has its own time limit and holds no task of ours.
_DRAIN_SECONDS = 0.25
_DRAIN_ATTEMPTS = 25


@dataclass(frozen=True, slots=True)
class BatchRun(Generic[R]):
    """`results[i]` belongs to `items[i]`; None where time ran out first. `peak` is the largest
    number that were ever in flight together."""

    results: tuple[R | None, ...]
    peak: int


async def run_bounded(
    count: int,
    run_one: Callable[[int], Awaitable[R]],
    *,
    concurrency: int,
    deadline: Deadline,
) -> BatchRun[R]:
    """Run `run_one(0…count-1)`, at most `concurrency` at once, until all end or `deadline`.

    `run_one` answers its own errors as results; one that raises anyway cancels its siblings
    and the exception leaves here, after all of them have ended. What is cancelled stops at its
    next await: a computation in a thread goes on until it asks its own deadline.
    """
    results: list[R | None] = [None] * count
    gate = asyncio.Semaphore(concurrency)
    in_flight = peak = 0

    async def run_gated(index: int) -> None:
        nonlocal in_flight, peak
        async with gate:
            in_flight += 1
            peak = max(peak, in_flight)
            try:
                results[index] = await run_one(index)
            finally:
                in_flight -= 1

    tasks = [asyncio.create_task(run_gated(index)) for index in range(count)]
    try:
        timeout = None if deadline.at == float("inf") else deadline.remaining()
        done, _ = await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_EXCEPTION)
        _raise_first(done)
    finally:
        await drain(tasks)
    return BatchRun(tuple(results), peak)


def _raise_first(done: "set[asyncio.Task[None]]") -> None:
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


async def drain(tasks: "Iterable[asyncio.Task[None]]") -> None:
    """Cancel what is not done, and wait for it to end, though not for long."""
    pending = {task for task in tasks if not task.done()}
    # More than once: what swallows a cancellation and awaits again is cancelled there again.
    for _ in range(_DRAIN_ATTEMPTS):
        if not pending:
            return
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_DRAIN_SECONDS / _DRAIN_ATTEMPTS)
