"""What a job shows while it runs: progress that never counts an item twice, and its cost."""

import asyncio
from dataclasses import replace

import orjson
import pytest

from core.deadline import NEVER
from core.jobs.chunk_work import ChunkLimits
from core.jobs.cost import LAMBDA_GB_SECOND, LAMBDA_REQUEST, estimate_cost
from core.jobs.progress import ChunkState, Part, add_up
from core.jobs.view import describe
from core.models.job_answers import JobAnswer
from core.models.jobs import JobGet
from core.types import JsonObject
from tests.core.jobs.doubles import World, item_line


def errors(run: int, lines: int, retry: int) -> Part:
    codes = {"unavailable": retry, "wrong": lines - retry}
    return Part("errors", f"e{run}{lines}{retry}", lines, lines, 10, 1, run, retry, codes)


def test_what_a_run_tries_again_is_not_done() -> None:
    state = ChunkState(0, 10, 10, (errors(1, 5, 3),))
    over = add_up([state])
    assert (over.done, over.succeeded, over.failed, over.chunks_done) == (10, 5, 5, 1)
    assert over.retryable == 3
    running = add_up([state], due_run=2)
    assert (running.done, running.succeeded, running.failed) == (7, 5, 2)
    assert running.chunks_done == 0
    tried = state.replaced(state.parts[0], [errors(2, 3, 1)])
    after = add_up([tried], due_run=2)
    assert (after.done, after.succeeded, after.failed, after.chunks_done) == (10, 7, 3, 1)


def test_cost_is_list_price_times_measures() -> None:
    aws = ChunkState(0, 10, 10, (), seconds=100.0, gb_seconds=200.0, calls=2, version=3)
    cost = estimate_cost(add_up([aws]), 1)
    assert cost["lambda_gb_seconds"] == 200.0
    assert cost["requests"]["lambda"] == 2
    assert cost["usd"] == pytest.approx(200 * LAMBDA_GB_SECOND, rel=0.2)
    assert cost["usd"] > 200 * LAMBDA_GB_SECOND
    reading = replace(aws, media_gb_seconds=50.0, media_calls=400)
    with_media = estimate_cost(add_up([reading]), 1)
    assert with_media["media_gb_seconds"] == 50.0
    assert with_media["requests"]["lambda"] == 402
    more = 50 * LAMBDA_GB_SECOND + 400 * LAMBDA_REQUEST
    assert with_media["usd"] - cost["usd"] == pytest.approx(more, abs=2e-6)
    laptop = ChunkState(0, 10, 10, (), seconds=100.0, calls=2, version=3)
    assert estimate_cost(add_up([laptop]), 1)["usd"] == 0


def test_a_job_shows_itself_at_every_step() -> None:
    world = World([item_line(n) for n in range(60)], limits=ChunkLimits())

    def shown(status: str) -> JsonObject:
        states = world.store.chunks(world.job)
        page = JobGet(limit=1)
        body = describe(world.job, status, states, page, results=world.blobs, presign_s=60)
        JobAnswer.model_validate(body)
        return body

    assert shown("queued")["progress"]["items"] is None
    planned = world.work.plan(world.run())
    fractions = [shown("running")["progress"]["fraction"]]
    for chunk in orjson.loads(world.blobs.stored[planned.key]):
        assert asyncio.run(world.work.run_chunk(world.run(), chunk, deadline=NEVER))
        fractions.append(shown("running")["progress"]["fraction"])
    assert fractions == [0.0, 0.4167, 0.8333, 1.0]
    body = shown("completed")
    assert body["pagination"]["total"] == 3
    assert len(body["results"]) == 1
    assert (body["progress"]["chunks"], body["progress"]["chunks_done"]) == (3, 3)
