"""Merging searches: fewer calls, the same answers, and nobody suffers for a neighbour."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from core.arrays import Float32, UInt8
from core.deadline import NEVER, Deadline
from core.errors import DeadlineError
from core.runtime.coalescer import Coalescer

Vectors = Float32 | UInt8


def vector(*values: float) -> Float32:
    return np.array([values], np.float32)


class Recorder:
    """A search that answers each row with (its first number, k) and remembers its calls."""

    def __init__(self, gate: threading.Event | None = None) -> None:
        self.calls: list[tuple[str, list[float], int]] = []
        self.gate = gate
        self.begun = threading.Event()
        self.stopped = threading.Event()

    def __call__(
        self, key: str, vectors: Vectors, k: int, stop: Callable[[], bool]
    ) -> Sequence[float]:
        firsts = [float(row[0]) for row in vectors]
        self.calls.append((key, firsts, k))
        self.begun.set()
        while self.gate is not None and not self.gate.wait(0.005):
            if stop():
                self.stopped.set()
                raise DeadlineError("stopped")
        if any(np.isnan(firsts)):
            raise ValueError("not a number")
        return firsts


def test_searches_that_are_ready_together_make_one_call_with_the_largest_k() -> None:
    search = Recorder()

    async def main() -> list[Sequence[float]]:
        with ThreadPoolExecutor(2) as pool:
            merged: Coalescer[str, float] = Coalescer(search, pool)

            async def one(value: float, k: int) -> Sequence[float]:
                return await merged.submit("a", vector(value), k, NEVER)

            return await asyncio.gather(*(one(i, 10 + i) for i in range(5)))

    assert asyncio.run(main()) == [[0.0], [1.0], [2.0], [3.0], [4.0]]
    assert search.calls == [("a", [0.0, 1.0, 2.0, 3.0, 4.0], 14)]


def test_what_arrives_while_a_call_runs_goes_together_in_the_next() -> None:
    gate = threading.Event()
    search = Recorder(gate)

    async def main() -> None:
        with ThreadPoolExecutor(2) as pool:
            merged: Coalescer[str, float] = Coalescer(search, pool)
            first = merged.submit("a", vector(0), 1, NEVER)
            await asyncio.to_thread(search.begun.wait)
            later = [merged.submit("a", vector(i), 1, NEVER) for i in (1, 2, 3)]
            gate.set()
            await asyncio.gather(first, *later)

    asyncio.run(main())
    assert [firsts for _, firsts, _ in search.calls] == [[0.0], [1.0, 2.0, 3.0]]


def test_different_keys_never_share_a_call() -> None:
    search = Recorder()

    async def main() -> None:
        with ThreadPoolExecutor(2) as pool:
            merged: Coalescer[str, float] = Coalescer(search, pool)
            jobs = [merged.submit(key, vector(1), 1, NEVER) for key in "abab"]
            await asyncio.gather(*jobs)

    asyncio.run(main())
    assert sorted((key, len(firsts)) for key, firsts, _ in search.calls) == [("a", 2), ("b", 2)]


def test_a_cancelled_search_leaves_its_call_and_the_others_are_answered() -> None:
    gate = threading.Event()
    search = Recorder(gate)

    async def main() -> list[float]:
        with ThreadPoolExecutor(2) as pool:
            merged: Coalescer[str, float] = Coalescer(search, pool)
            jobs = [merged.submit("a", vector(i), 1, NEVER) for i in range(3)]
            await asyncio.to_thread(search.begun.wait)
            jobs[1].cancel()
            gate.set()
            return [*(await jobs[0]), *(await jobs[2])]

    assert asyncio.run(main()) == [0.0, 2.0]


def test_a_call_that_nobody_waits_for_any_more_is_told_to_stop() -> None:
    search = Recorder(threading.Event())

    async def main() -> None:
        with ThreadPoolExecutor(2) as pool:
            merged: Coalescer[str, float] = Coalescer(search, pool)
            job = merged.submit("a", vector(1), 1, NEVER)
            await asyncio.to_thread(search.begun.wait)
            job.cancel()

    asyncio.run(main())
    assert search.stopped.is_set()


def test_a_call_past_the_deadline_of_all_of_its_queries_stops() -> None:
    search = Recorder(threading.Event())

    async def main() -> None:
        with ThreadPoolExecutor(2) as pool:
            merged: Coalescer[str, float] = Coalescer(search, pool)
            await merged.submit("a", vector(1), 1, Deadline.after(0.02))

    with pytest.raises(DeadlineError):
        asyncio.run(main())


def test_an_error_reaches_everyone_in_the_call_and_nobody_after() -> None:
    search = Recorder()

    async def main() -> Sequence[float]:
        with ThreadPoolExecutor(2) as pool:
            merged: Coalescer[str, float] = Coalescer(search, pool)
            bad = [merged.submit("a", vector(i), 1, NEVER) for i in (1, float("nan"))]
            failed = await asyncio.gather(*bad, return_exceptions=True)
            assert [type(error) for error in failed] == [ValueError, ValueError]
            return await merged.submit("a", vector(2), 1, NEVER)

    assert asyncio.run(main()) == [2.0]


def test_a_search_that_a_dead_loop_left_behind_holds_up_nobody() -> None:
    gate = threading.Event()
    search = Recorder(gate)
    with ThreadPoolExecutor(2) as pool:
        merged: Coalescer[str, float] = Coalescer(search, pool)

        async def leave() -> None:
            merged.submit("a", vector(1), 1, NEVER)
            await asyncio.to_thread(search.begun.wait, 5)

        async def ask() -> Sequence[float]:
            async with asyncio.timeout(5):
                return await merged.submit("a", vector(2), 1, NEVER)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(leave())
        search.gate = None  # for those to come
        loop.close()
        assert asyncio.run(ask()) == [2.0]
        gate.set()


def test_a_large_search_goes_alone_and_after_the_small_ones() -> None:
    search = Recorder()

    async def main() -> list[Sequence[float]]:
        with ThreadPoolExecutor(2) as pool:
            merged: Coalescer[str, float] = Coalescer(search, pool)
            large = np.full((400, 1), 9, np.float32)
            pending = [merged.submit("a", large, 2000, NEVER)]
            pending += [merged.submit("a", vector(i), 10, NEVER) for i in range(3)]
            return await asyncio.gather(*pending)

    answers = asyncio.run(main())
    assert [len(answer) for answer in answers] == [400, 1, 1, 1]
    assert [(len(rows), k) for _, rows, k in search.calls] == [(3, 10), (400, 2000)]


def test_one_that_was_passed_over_goes_first_the_next_time() -> None:
    gate = threading.Event()
    search = Recorder(gate)

    async def main() -> None:
        with ThreadPoolExecutor(2) as pool:
            merged: Coalescer[str, float] = Coalescer(search, pool)
            large = np.full((400, 1), 9, np.float32)
            pending = [merged.submit("a", vector(0), 10, NEVER)]
            pending.append(merged.submit("a", large, 2000, NEVER))
            await asyncio.to_thread(search.begun.wait, 5)
            pending += [merged.submit("a", vector(i), 10, NEVER) for i in range(1, 4)]
            gate.set()
            await asyncio.gather(*pending)

    asyncio.run(main())
    assert [len(rows) for _, rows, _ in search.calls] == [1, 400, 3]


def test_vectors_of_different_widths_fail_nobody_else() -> None:
    search = Recorder()

    async def main() -> list[Sequence[float]]:
        with ThreadPoolExecutor(2) as pool:
            merged: Coalescer[str, float] = Coalescer(search, pool)
            async with asyncio.timeout(5):
                pending = [
                    merged.submit("a", vector(1, 2), 1, NEVER),
                    merged.submit("a", vector(3, 4, 5), 1, NEVER),
                ]
                return await asyncio.gather(*pending)

    assert asyncio.run(main()) == [[1.0], [3.0]]
