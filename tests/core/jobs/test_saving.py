"""What is saved of a chunk, how often, and what happens if objects of a job are gone."""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

import orjson
import pytest

from core.deadline import Deadline
from core.jobs.chunk_work import ChunkLimits
from core.jobs.progress import add_up
from core.media.metering import MediaMeter
from core.ports.records import MAX_RECORD_BYTES
from core.types import JsonObject
from tests.core.jobs.doubles import World, item_line


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A job of 60 lines in three chunks, with a clock that only the engine moves."""
    made = World([item_line(n) for n in range(60)], limits=ChunkLimits())
    monkeypatch.setattr("core.deadline.time", made.clock)
    monkeypatch.setattr("core.jobs.chunk_work.time", made.clock)
    return made


def plan(world: World) -> list[JsonObject]:
    chunks: list[JsonObject] = orjson.loads(
        world.blobs.stored[world.work.plan(world.run()).key],
    )
    return chunks


def test_a_slow_chunks_record_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """5000 films of ten seconds, every other one broken: two files a save."""
    ends = ["ok", "wrong"] * 2500
    lines = [item_line(n, end, cost=10.0) for n, end in enumerate(ends)]
    world = World(lines, limits=ChunkLimits(batch_lines=1))
    monkeypatch.setattr("core.deadline.time", world.clock)
    monkeypatch.setattr("core.jobs.chunk_work.time", world.clock)
    monkeypatch.setattr("core.jobs.manifest._LEAST_LINES", 5000)
    [chunk] = plan(world)
    calls = 0
    while not asyncio.run(world.work.run_chunk(world.run(), chunk, deadline=Deadline.after(900.0))):
        calls += 1
    assert calls > 40
    [state] = world.store.chunks(world.job)
    assert state.is_whole
    size = len(orjson.dumps(state.to_json()))
    assert size < MAX_RECORD_BYTES / 4
    assert state.write_units < 50 * len(state.parts)
    world.work.finish(world.run())
    assert world.job.status == "completed_with_errors"


def test_a_chunk_counts_what_its_work_asked_of_media_functions(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over several saves, and nothing of what the process did before."""
    meter = MediaMeter(2048)
    work = replace(world.work, media=meter, limits=ChunkLimits(batch_lines=7, save_s=0.5))
    answer = world.engine.execute_batch

    async def read(*given: Any, **named: Any) -> JsonObject:
        for _ in given[2].queries:
            meter.add(0.25)
        return await answer(*given, **named)

    monkeypatch.setattr(world.engine, "execute_batch", read)
    chunks = plan(world)
    for chunk in chunks:
        meter.add(1000.0)
        assert asyncio.run(work.run_chunk(world.run(), chunk, deadline=Deadline.after(900.0)))
    states = list(world.store.chunks(world.job))
    assert [state.media_calls for state in states] == [chunk["lines"] for chunk in chunks]
    assert max(len(state.parts) for state in states) > 1
    totals = add_up(states)
    assert totals.media_calls == 60
    assert totals.media_gb_seconds == pytest.approx(60 * 0.25 * 2)


def test_large_results_are_saved_in_larger_files() -> None:
    limits = ChunkLimits()
    assert limits.save_after(0) == (4_000_000, 15.0)
    assert limits.save_after(16) == (8_000_000, 30.0)
    # 16 GB of results in one chunk: a few hundred names.
    files, written = 0, 0
    while written < 16_000_000_000:
        written += limits.save_after(files)[0]
        files += 1
    assert files < 400


def test_lines_whose_copy_is_gone_have_errors(world: World) -> None:
    chunks = plan(world)
    lost = next(key for key in world.blobs.stored if key.endswith("/00001.jsonl"))
    del world.blobs.stored[lost]
    work = partial(world.work.run_chunk, world.run(), deadline=Deadline.after(60.0))
    assert asyncio.run(work(chunks[0]))
    assert asyncio.run(work(chunks[2]))
    world.work.give_up(world.run(), chunks[1], "it is not there")
    world.work.finish(world.run())
    rows = world.rows()
    gone = range(chunks[1]["first_line"], chunks[1]["first_line"] + chunks[1]["lines"])
    assert [row["line"] for row in rows["errors"]] == list(gone)
    assert {row["error"]["code"] for row in rows["errors"]} == {"lines_lost"}
    assert len(rows["results"]) + len(gone) == 60
    # Another run could do no more.
    assert (world.job.status, world.job.retryable) == ("completed_with_errors", 0)


def test_a_job_without_its_list_of_chunks_has_failed(world: World) -> None:
    plan(world)
    lost = next(key for key in world.blobs.stored if key.endswith("/chunks.json"))
    del world.blobs.stored[lost]
    world.work.finish(world.run())
    assert world.job.error is not None
    assert (world.job.status, world.job.error["code"]) == ("failed", "lines_lost")


def test_what_saves_write_is_counted(world: World) -> None:
    [chunk, *_] = plan(world)
    asyncio.run(world.work.run_chunk(world.run(), chunk, deadline=Deadline.after(60.0)))
    state, *_ = world.store.chunks(world.job)
    size = len(orjson.dumps(state.to_json()))
    assert (state.version, state.write_units) == (1, 1)
    assert world.store.save_chunk(world.job, state).write_units == 1 + -(-size // 1024)
