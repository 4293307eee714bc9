"""Operations that run retrievers: one query, a batch of them, stages that came along."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from core.models.execution import AdhocRequest, BatchRequest, ExecuteRequest
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
        return await engine.execute_batch(
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
    answer = await run()
    facts = _batch_facts(answer)
    if request.stream:
        # This way out sends whole answers only: the same frames, all at once.
        response = event_stream(None, batch_frames(answer))
    else:
        response = json_response(200, answer)
    response.facts = facts
    return response


async def execute_retriever(call: Call) -> ApiResponse:
    """Run one retriever against one query."""
    request: ExecuteRequest = call.body
    answer = await call.app.engine.execute(
        call.namespace, call.path["retriever"], request, deadline=call.request.deadline
    )
    return _single(call, answer, stream=request.stream)


async def execute_adhoc(call: Call) -> ApiResponse:
    """Run stages that came with the query; nothing is stored."""
    request: AdhocRequest = call.body
    answer = await call.app.engine.execute_adhoc(
        call.namespace, request, deadline=call.request.deadline
    )
    answer["execution_metadata"] = {"retriever_persisted": False}
    response = _single(call, answer, stream=request.stream)
    response.headers["X-Execution-Mode"] = "adhoc"
    return response


def _single(call: Call, answer: JsonObject, *, stream: bool) -> ApiResponse:
    if call.flag("include_legacy_results"):
        answer["results"] = answer.get("documents", [])
    if stream:
        response = event_stream(None, execution_frames(answer))
    else:
        response = json_response(200, answer)
    response.facts = {"execution_id": answer.get("execution_id"), answer["status"]: 1}
    return response


def _batch_facts(answer: JsonObject) -> dict[str, Any]:
    counts = Counter(result["status"] for result in answer["results"])
    return {"batch_id": answer["batch_id"], "queries": len(answer["results"]), **counts}
