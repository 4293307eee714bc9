"""Inputs that wait for the same model travel in one request.

Nothing waits for company: a request leaves at once while a lane is free, and takes all that has
come meanwhile when one becomes free.
"""

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from core.arrays import Float32
from core.deadline import Deadline
from core.errors import DeadlineError, TrawlError, UnavailableError

ItemT = TypeVar("ItemT")

# Requests in flight at once of one kind: few where one takes many inputs, so that batches form.
LANES_OF_BATCHES: Final = 2
LANES_OF_SINGLES: Final = 16
# A request's inputs, in bytes: what bodies hold.
MOST_BYTES: Final = 4_000_000


@dataclass(slots=True)
class _Waiting(Generic[ItemT]):
    item: ItemT
    size: int
    deadline: Deadline
    future: "Future[Float32]" = field(default_factory=Future)


# Makes one request: `(items, deadline) -> one vector for each`.
Send = Callable[[Sequence[ItemT], Deadline], list[Float32]]


class Batches(Generic[ItemT]):
    """Queues of one remote extractor, by what may share a request. Thread-safe."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._queues: dict[Hashable, deque[_Waiting[ItemT]]] = {}
        self._running: dict[Hashable, int] = {}

    def submit(
        self,
        key: Hashable,
        item: ItemT,
        *,
        size: int,
        most: int,
        deadline: Deadline,
        send: Send[ItemT],
    ) -> "Future[Float32]":
        """Return the future vector of an item; `most` inputs of this key fit into a request."""
        waiting = _Waiting(item, size, deadline)
        lanes = LANES_OF_SINGLES if most == 1 else LANES_OF_BATCHES
        with self._lock:
            self._queues.setdefault(key, deque()).append(waiting)
            if self._running.get(key, 0) >= lanes:
                return waiting.future
            self._running[key] = self._running.get(key, 0) + 1
        try:
            self._pool.submit(self._drain, key, most, send)
        except RuntimeError as error:
            self._end(key)
            raise UnavailableError("the client of embedding models was closed") from error
        return waiting.future

    def close(self) -> None:
        """Fail whatever waits."""
        with self._lock:
            left = [each for queue in self._queues.values() for each in queue]
            self._queues.clear()
        for each in left:
            each.future.cancel()

    def _end(self, key: Hashable) -> None:
        with self._lock:
            self._running[key] -= 1

    def _drain(self, key: Hashable, most: int, send: Send[ItemT]) -> None:
        while batch := self._take(key, most):
            _answer(batch, send)

    def _take(self, key: Hashable, most: int) -> list[_Waiting[ItemT]]:
        """Return the next batch; none ends the lane, within one look: no item is left behind."""
        batch: list[_Waiting[ItemT]] = []
        with self._lock:
            queue = self._queues.get(key, deque())
            room = MOST_BYTES
            while queue and len(batch) < most and (not batch or queue[0].size <= room):
                waiting = queue.popleft()
                if waiting.deadline.passed():
                    waiting.future.set_exception(DeadlineError("time ran out before embedding"))
                elif waiting.future.set_running_or_notify_cancel():
                    batch.append(waiting)
                    room -= waiting.size
            if not batch:
                self._queues.pop(key, None)
                self._running[key] -= 1
                if not self._running[key]:
                    del self._running[key]
        return batch


def _answer(batch: Sequence[_Waiting[ItemT]], send: Send[ItemT]) -> None:
    """Send a batch and give each its vector; nothing is raised."""
    try:
        vectors = send([each.item for each in batch], max((w.deadline for w in batch), key=_end))
    except TrawlError as error:
        if len(batch) > 1 and error.blame == "media":
            # One of them is at fault, and the others must not pay for it.
            for each in batch:
                _answer([each], send)
            return
        for each in batch:
            each.future.set_exception(error)
    except BaseException as error:
        # Whatever it is: those that wait must hear of it, in their own threads.
        for each in batch:
            each.future.set_exception(error)
    else:
        for each, vector in zip(batch, vectors, strict=True):
            each.future.set_result(vector)


def _end(deadline: Deadline) -> float:
    return deadline.at
