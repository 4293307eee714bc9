"""Operations that run retrievers: one query, a batch of them, stages that came along."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from core.jobs.continuing import execute_or_continue
from core.models.execution import AdhocRequest, BatchRequest, ExecuteRequest
from core.storage.segment_cache import CacheCounts
from core.types import JsonObject
from handlers.http.call import Call
from handlers.http.dispatch import json_response
from handlers.http.messages import ApiResponse
from handlers.http.streaming import batch_frames, event_stream, execution_frames, live_batch


async def execute_batch(call: Call) -> ApiResponse:
    """Run one retriever against up to 50 queries."""
    request: BatchRequest = call.body
    engine, retriever = call.app.engine, call.path["retriever"]

    async def run(on_result: Callable[[JsonObject], Awaitable[None]] | None = None) -> JsonObject:
        return await execute_or_continue(
            engine,
            call.app.jobs,
            call.namespace,
            retriever,
            request,
            deadline=call.request.deadline,
            on_result=on_result,
        )

    if request.stream and call.request.can_stream:
        # Once the stream has begun its status is 200: what has no retriever never begins.
        await asyncio.to_thread(call.app.retrievers.find, call.namespace.namespace_id, retriever)
        return event_stream(live_batch(run, call.request.request_id))
    before = call.app.store.cache_counts
    answer = await run()
    facts = _batch_facts(answer) | _image_facts(call, before)
    if request.stream:
        # This way out sends whole answers only: the same frames, all at once.
        response = event_stream(None, batch_frames(answer))
    else:
        response = json_response(202 if "job" in answer else 200, answer)
    response.facts = facts
    return response


async def execute_retriever(call: Call) -> ApiResponse:
    """Run one retriever against one query."""
    request: ExecuteRequest = call.body
    before = call.app.store.cache_counts
    answer = await call.app.engine.execute(
        call.namespace, call.path["retriever"], request, deadline=call.request.deadline
    )
    return _single(call, answer, before, stream=request.stream)


async def execute_adhoc(call: Call) -> ApiResponse:
    """Run stages that came with the query; nothing is stored."""
    request: AdhocRequest = call.body
    before = call.app.store.cache_counts
    answer = await call.app.engine.execute_adhoc(
        call.namespace, request, deadline=call.request.deadline
    )
    answer["execution_metadata"] = {"retriever_persisted": False}
    response = _single(call, answer, before, stream=request.stream)
    response.headers["X-Execution-Mode"] = "adhoc"
    return response


def _single(call: Call, answer: JsonObject, before: CacheCounts, *, stream: bool) -> ApiResponse:
    facts = _image_facts(call, before) | {
        "execution_id": answer.get("execution_id"),
        "queries": 1,
        "plan_cache": answer["timing"]["plan_cache"],
        "failures": _failures([{**answer, "error": answer["error_detail"]}]),
        answer["status"]: 1,
    }
    if call.flag("include_legacy_results"):
        answer["results"] = answer.get("documents", [])
    if stream:
        response = event_stream(None, execution_frames(answer))
    else:
        response = json_response(200, answer)
    response.facts = facts
    return response


def _batch_facts(answer: JsonObject) -> dict[str, Any]:
    """Return what may be told of a batch. Its execution ids can be many: the batch's id and the
    ids of what failed find every one of them."""
    results = answer["results"]
    return {
        "batch_id": answer["batch_id"],
        "queries": len(results),
        "plan_cache": answer["timing"]["plan_cache"],
        "failures": _failures(results),
        **Counter(result["status"] for result in results),
    }


def _failures(results: Iterable[JsonObject]) -> list[JsonObject]:
    """Return which queries failed and why: codes and names, no message, which may quote inputs."""
    return [
        {
            "execution_id": result["execution_id"],
            "query_status": result["status"],
            **{name: result["error"].get(name) for name in ("code", "blame", "stage")},
        }
        for result in results
        if result["error"] is not None
    ]


def _image_facts(call: Call, before: CacheCounts) -> dict[str, Any]:
    """Return what the call did to the images in memory; on a server, with its neighbours' part."""
    counts = call.app.store.cache_counts.since(before)
    return {"image_hits": counts.hits, "image_loads": counts.loads}
