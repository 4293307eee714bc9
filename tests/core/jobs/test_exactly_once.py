"""Every line ends in exactly one of results and errors, for each retriever, whatever happens."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.deadline import Deadline
from core.jobs.chunk_work import ChunkLimits
from core.jobs.progress import add_up
from core.jobs.store import Job
from core.ports.jobs import PlannedChunks
from core.types import JsonObject
from tests.core.jobs.doubles import Killed, World, item_line

ENDS = ("ok", "ok", "ok", "wrong", "flaky", "late", "slow", "bad")
_CALL_S = 60.0


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    """Deadlines look at a clock that only the engine moves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("core.deadline.time", _CLOCK)
        patch.setattr("core.jobs.chunk_work.time", _CLOCK)
        yield


class _CurrentClock:
    """The clock of the world under test."""

    world: World | None = None

    def monotonic(self) -> float:
        assert self.world is not None
        return self.world.clock.now


_CLOCK = _CurrentClock()


def make_world(
    ends: list[str], retrievers: list[str], *, batch: int = 7, save_bytes: int = 500
) -> World:
    lines = [b"{no json" if end == "bad" else item_line(n, end) for n, end in enumerate(ends)]
    limits = ChunkLimits(batch_lines=batch, save_bytes=save_bytes, margin_s=1.0, least_s=2.0)
    world = World(lines, retrievers, limits=limits)
    _CLOCK.world = world
    return world


def call(world: World, number: int, chunk: JsonObject, seconds: float = _CALL_S) -> bool:
    deadline = Deadline.after(seconds)
    return asyncio.run(world.work.run_chunk(world.run(number), chunk, deadline=deadline))


def insist(work: Callable[[], object]) -> None:
    """Call until it ends without being killed, as Step Functions does."""
    while True:
        try:
            if work() is not False:
                return
        except Killed:
            continue


def carry_out(world: World, number: int, seconds: float = _CALL_S) -> None:
    """Do what a runner does with one run."""
    planned: list[PlannedChunks] = []
    insist(lambda: planned.append(world.work.plan(world.run(number))))
    chunks = orjson.loads(world.blobs.stored[planned[-1].key])
    for chunk in chunks:
        insist(partial(call, world, number, chunk, seconds))
    insist(lambda: world.work.finish(world.run(number)))


def next_run(world: World) -> int:
    def again(job: Job) -> Job:
        return replace(job, run=job.run + 1, status="running", finished_at=None)

    job = world.store.update("ns_1", world.job_id, again)
    assert job is not None
    return job.run


def check_whole(world: World, ends: list[str], retrievers: list[str]) -> None:
    """The invariant, and that the counts say the same as the files."""
    rows = world.rows()
    seen: dict[tuple[int, str], str] = {}
    for kind, group in rows.items():
        for row in group:
            for name in retrievers if row["retriever"] is None else [row["retriever"]]:
                assert (row["line"], name) not in seen, "answered twice"
                seen[row["line"], name] = kind
    numbers = range(1, len(ends) + 1)
    assert set(seen) == {(line, name) for line in numbers for name in retrievers}
    for row in rows["results"]:
        n = row["line"] - 1
        assert row["id"] == f"i{n}"
        assert row["result"]["index"] == n
        document = {"document_id": f"d{n}", "of": row["retriever"]}
        assert row["result"]["documents"] == [document]
    totals = add_up(world.store.chunks(world.job))
    failed = {row["line"] for row in rows["errors"]}
    assert (totals.done, totals.failed) == (len(ends), len(failed))
    assert totals.succeeded == len(ends) - len(failed)
    assert sum(totals.codes.values()) == len(rows["errors"])
    assert world.job.is_over
    assert (world.job.status == "completed") == (not failed)


def results_of(world: World) -> set[str]:
    states = world.store.chunks(world.job)
    return {part.key for state in states for part in state.parts if part.kind == "results"}


def errors_by_line(world: World) -> dict[tuple[int, str | None], str]:
    return {(row["line"], row["retriever"]): row["error"]["code"] for row in world.rows()["errors"]}


worlds = st.lists(st.sampled_from(ENDS), min_size=1, max_size=70)
names = st.sampled_from([["ret_a"], ["ret_a", "ret_b"]])
# At which step another execution begins, on which chunk, and how long it has.
rivals = st.dictionaries(
    st.integers(1, 60),
    st.tuples(st.integers(0, 2), st.sampled_from([3.0, 6.0, _CALL_S])),
    max_size=12,
)
_SETTINGS = settings(derandomize=True, deadline=None, max_examples=60)


@_SETTINGS
@given(worlds, names, st.integers(1, 60), st.sampled_from([100, 500, 100_000]))
def test_without_any_harm(ends: list[str], retrievers: list[str], batch: int, save: int) -> None:
    world = make_world(ends, retrievers, batch=batch, save_bytes=save)
    carry_out(world, 1)
    check_whole(world, ends, retrievers)
    errors = errors_by_line(world)
    for n, end in enumerate(ends):
        for name in retrievers:
            code = errors.get((n + 1, None if end == "bad" else name))
            wanted = {"wrong": "validation_failed", "late": "unavailable", "slow": "timed_out"}
            if end == "bad":
                assert code == "validation_failed"
            elif end in wanted:
                assert code == wanted[end]
            else:
                assert code is None


@_SETTINGS
@given(worlds, names, st.sets(st.integers(0, 120), max_size=25), st.sampled_from([3.0, 60.0]))
def test_killed_between_any_two_steps(
    ends: list[str], retrievers: list[str], deaths: set[int], seconds: float
) -> None:
    world = make_world(ends, retrievers)
    step = 0

    def die(_what: str) -> None:
        nonlocal step
        step += 1
        if step in deaths:
            raise Killed

    world.hook = die
    carry_out(world, 1, seconds)
    check_whole(world, ends, retrievers)


@_SETTINGS
@given(worlds, names, rivals)
def test_two_executions_of_a_chunk_at_once(
    ends: list[str], retrievers: list[str], rivals: dict[int, tuple[int, float]]
) -> None:
    world = make_world(ends, retrievers)
    step, inside = 0, False
    chunks: list[JsonObject] = []
    saved: set[str] = set()

    def intrude(what: str) -> None:
        nonlocal step, inside
        if what == "recorded":
            keys = results_of(world)
            assert saved <= keys, "a result that was saved is lost"
            saved.update(keys)
        if inside or not chunks:
            return
        step += 1
        if step in rivals:
            inside = True
            which, seconds = rivals[step]
            call(world, 1, chunks[which % len(chunks)], seconds)
            inside = False

    planned = world.work.plan(world.run())
    chunks += orjson.loads(world.blobs.stored[planned.key])
    world.hook = intrude
    for chunk in chunks:
        insist(partial(call, world, 1, chunk))
    world.hook = lambda _what: None
    world.work.finish(world.run())
    check_whole(world, ends, retrievers)


@_SETTINGS
@given(worlds, names, st.sets(st.integers(0, 150), max_size=20), st.sampled_from([3.0, 60.0]))
def test_another_run_tries_again_only_what_is_worth_it(
    ends: list[str], retrievers: list[str], deaths: set[int], seconds: float
) -> None:
    world = make_world(ends, retrievers)
    carry_out(world, 1)
    worth = {
        (row["line"] - 1, row["retriever"])
        for row in world.rows()["errors"]
        if row["error"]["retryable"]
    }
    kept = {row["line"] for row in world.rows()["results"]}
    world.engine.tried.clear()
    world.engine.is_bad = False
    step = 0

    def die(_what: str) -> None:
        nonlocal step
        step += 1
        if step in deaths:
            raise Killed

    number = next_run(world)  # a call of its own: who makes it is not killed here
    world.hook = die
    carry_out(world, number, seconds)
    check_whole(world, ends, retrievers)
    assert set(world.engine.tried) <= worth
    assert kept <= {row["line"] for row in world.rows()["results"]}


@_SETTINGS
@given(worlds, st.integers(0, 30))
def test_what_is_given_up_has_errors_and_is_done_by_the_next_run(
    ends: list[str], death: int
) -> None:
    world = make_world(ends, ["ret_a"])
    step = 0

    def die(_what: str) -> None:
        nonlocal step
        step += 1
        if step > death:
            raise Killed

    planned = world.work.plan(world.run())
    chunks = orjson.loads(world.blobs.stored[planned.key])
    world.hook = die
    for chunk in chunks:
        for _attempt in range(3):
            with suppress(Killed):
                call(world, 1, chunk)
    world.hook = lambda _what: None
    for chunk in chunks[1:]:
        world.work.give_up(world.run(), chunk, "out of memory")
    world.work.finish(world.run())  # gives up the first
    check_whole(world, ends, ["ret_a"])
    world.engine.is_bad = False
    carry_out(world, next_run(world))
    check_whole(world, ends, ["ret_a"])
    assert "chunk_failed" not in errors_by_line(world).values()
