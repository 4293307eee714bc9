"""Batches: what waits together travels together, and nobody pays for another's mistake."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from core.adapters.embed_batches import LANES_OF_BATCHES, Batches
from core.arrays import Float32
from core.deadline import NEVER, Deadline
from core.errors import DeadlineError, MediaError, TrawlError

WAIT_S = 20


class Model:
    """Embeds a number as a vector of itself; `gate` holds requests back; -1 is refused."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.begun = threading.Semaphore(0)
        self.requests: list[list[int]] = []

    def send(self, items: Sequence[int], deadline: Deadline) -> list[Float32]:
        self.requests.append(list(items))
        self.begun.release()
        assert self.gate.wait(WAIT_S)
        if -1 in items:
            raise MediaError("refused")
        return [np.array([item], np.float32) for item in items]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as made:
        yield made


def submit(
    batches: Batches[int],
    model: Model,
    item: int,
    *,
    most: int = 4,
    size: int = 1,
    deadline: Deadline = NEVER,
) -> "Future[Float32]":
    return batches.submit("k", item, size=size, most=most, deadline=deadline, send=model.send)


def fill_lanes(batches: Batches[int], model: Model) -> "list[Future[Float32]]":
    futures = []
    for n in range(LANES_OF_BATCHES):
        futures.append(submit(batches, model, 100 + n))
        assert model.begun.acquire(timeout=WAIT_S)
    return futures


def test_what_comes_while_lanes_are_busy_shares_requests(pool: ThreadPoolExecutor) -> None:
    batches, model = Batches[int](pool), Model()
    futures = fill_lanes(batches, model)
    futures += [submit(batches, model, n) for n in range(8)]
    model.gate.set()
    found = [int(future.result(WAIT_S)[0]) for future in futures]
    assert found == [100, 101, *range(8)]
    assert sorted(model.requests[2:]) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_requests_are_bounded_by_bytes(pool: ThreadPoolExecutor) -> None:
    batches, model = Batches[int](pool), Model()
    fill_lanes(batches, model)
    futures = [submit(batches, model, n, size=3_000_000) for n in range(3)]
    model.gate.set()
    assert [int(future.result(WAIT_S)[0]) for future in futures] == [0, 1, 2]
    assert sorted(model.requests[2:]) == [[0], [1], [2]]


def test_one_bad_input_costs_no_other(pool: ThreadPoolExecutor) -> None:
    batches, model = Batches[int](pool), Model()
    fill_lanes(batches, model)
    futures = [submit(batches, model, n) for n in (1, -1, 2)]
    model.gate.set()
    assert futures[0].result(WAIT_S)[0] == 1 and futures[2].result(WAIT_S)[0] == 2
    with pytest.raises(MediaError, match="refused"):
        futures[1].result(WAIT_S)


def test_what_is_late_is_not_sent(pool: ThreadPoolExecutor) -> None:
    batches, model = Batches[int](pool), Model()
    fill_lanes(batches, model)
    late = submit(batches, model, 1, deadline=Deadline(0.0))
    given_up = submit(batches, model, 2)
    assert given_up.cancel()
    last = submit(batches, model, 3)
    model.gate.set()
    assert last.result(WAIT_S)[0] == 3
    with pytest.raises(DeadlineError):
        late.result(WAIT_S)
    assert model.requests[2:] == [[3]]


def test_a_defect_reaches_those_who_wait_and_the_next_go_on(pool: ThreadPoolExecutor) -> None:
    batches, model = Batches[int](pool), Model()
    model.gate.set()

    def broken(items: Sequence[int], deadline: Deadline) -> list[Float32]:
        raise ZeroDivisionError

    failed = batches.submit("k", 1, size=1, most=4, deadline=NEVER, send=broken)
    with pytest.raises(ZeroDivisionError):
        failed.result(WAIT_S)
    assert submit(batches, model, 2).result(WAIT_S)[0] == 2


def test_closing_fails_what_waits(pool: ThreadPoolExecutor) -> None:
    batches, model = Batches[int](pool), Model()
    fill_lanes(batches, model)
    waiting = submit(batches, model, 1)
    batches.close()
    assert waiting.cancelled()
    model.gate.set()


def test_a_closed_pool_is_no_hang() -> None:
    closed = ThreadPoolExecutor(1)
    closed.shutdown()
    with pytest.raises(TrawlError, match="closed"):
        submit(Batches[int](closed), Model(), 1)
