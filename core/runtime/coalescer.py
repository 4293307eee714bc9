"""Merging searches: the queries in flight that want the same index share one matrix product."""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from core.arrays import Float32, UInt8
from core.deadline import Deadline

A = TypeVar("A")
K = TypeVar("K", bound=Hashable)

# The most hits that a merged call may return, rows times k: memory, and the time that a small
# search may have to wait for a large one's. A search that is larger by itself goes alone.
_MOST_HITS = 1 << 18

# Answers for each row of the matrix, in order; asks `stop` now and then and raises when told so.
SearchFunction = Callable[[K, "Float32 | UInt8", int, Callable[[], bool]], Sequence[A]]


@dataclass(slots=True)
class _Waiter(Generic[A]):
    vectors: Float32 | UInt8
    k: int
    deadline: Deadline
    future: "asyncio.Future[Sequence[A]]"
    passed_over: bool = False


@dataclass(slots=True)
class _Lane(Generic[A]):
    """The searches of one key: one call at a time, whatever arrives meanwhile goes next."""

    loop: asyncio.AbstractEventLoop
    waiting: "list[_Waiter[A]]" = field(default_factory=list)
    busy: bool = False


class Coalescer(Generic[K, A]):
    """Runs searches in threads, at most one call per key at a time.

    A search that arrives while its key is idle starts once every task that is ready now has had
    its turn, so tasks started together are merged; one that arrives while the key is busy joins
    the next call. Each waiter gets the answers for its own rows, cut by the caller to its own k:
    the score of a row never depends on the others in the call, so merging cannot be seen.
    """

    def __init__(self, search: "SearchFunction[K, A]", executor: Executor) -> None:
        self._search = search
        self._executor = executor
        self._lanes: dict[tuple[K, object], _Lane[A]] = {}
        self.calls = 0  # how many merged calls ran: statistics, and what tests look at

    def submit(
        self, key: K, vectors: "Float32 | UInt8", k: int, deadline: Deadline
    ) -> "asyncio.Future[Sequence[A]]":
        """Ask for one answer per row of `vectors`, computed with a k of at least `k`.

        Cancelling the future takes the search out of its call, or stops the call if it was the
        last one waiting.
        """
        loop = asyncio.get_running_loop()
        waiter: _Waiter[A] = _Waiter(vectors, k, deadline, loop.create_future())
        # What does not fit into one matrix never shares a call.
        place = key, (vectors.shape[1:], vectors.dtype.str)
        lane = self._lanes.get(place)
        if lane is None or lane.loop is not loop:
            # A loop that ended while a search ran never hears of its end: its lane is given up.
            lane = self._lanes[place] = _Lane(loop)
        lane.waiting.append(waiter)
        if not lane.busy:
            lane.busy = True
            loop.call_soon(self._start, place, lane)
        return waiter.future

    def _start(self, place: tuple[K, object], lane: "_Lane[A]") -> None:
        waiters, lane.waiting = _next_call([w for w in lane.waiting if not w.future.done()])
        if not waiters:
            lane.busy = False
            if self._lanes.get(place) is lane:
                del self._lanes[place]
            return
        self.calls += 1
        vectors = np.concatenate([w.vectors for w in waiters])
        k = max(w.k for w in waiters)

        def stop() -> bool:
            return all(w.future.done() or w.deadline.passed() for w in waiters)

        job = lane.loop.run_in_executor(self._executor, self._search, place[0], vectors, k, stop)
        job.add_done_callback(lambda done: self._finish(place, lane, waiters, done))

    def _finish(
        self,
        place: tuple[K, object],
        lane: "_Lane[A]",
        waiters: "list[_Waiter[A]]",
        done: "asyncio.Future[Sequence[A]]",
    ) -> None:
        error = done.exception() if not done.cancelled() else asyncio.CancelledError()
        answers: Sequence[A] = () if error else done.result()
        start = 0
        for waiter in waiters:
            stop = start + len(waiter.vectors)
            if not waiter.future.done():
                if error is None:
                    waiter.future.set_result(answers[start:stop])
                else:
                    waiter.future.set_exception(error)
            start = stop
        self._start(place, lane)


def _next_call(
    waiting: "Sequence[_Waiter[A]]",
) -> "tuple[list[_Waiter[A]], list[_Waiter[A]]]":
    """Return the searches of the next call and those that wait for another.

    Small ones go first, so that they do not pay for a large one; one that was passed over goes
    before all others the next time.
    """
    now: list[_Waiter[A]] = []
    later: list[_Waiter[A]] = []
    rows = k = 0
    for waiter in sorted(waiting, key=lambda w: (not w.passed_over, len(w.vectors) * w.k)):
        merged_rows, merged_k = rows + len(waiter.vectors), max(k, waiter.k)
        if now and merged_rows * merged_k > _MOST_HITS:
            waiter.passed_over = True
            later.append(waiter)
        else:
            now.append(waiter)
            rows, k = merged_rows, merged_k
    return now, later
