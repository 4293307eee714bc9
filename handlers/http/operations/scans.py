"""Operations on scans: files against retrievers in one call, and reading one again."""

import asyncio
from typing import Any

from core.models.scans import ScanRequest
from core.types import JsonObject
from handlers.http.call import Call
from handlers.http.dispatch import json_response
from handlers.http.messages import ApiResponse
from handlers.http.streaming import OnResult, event_stream, live_scan, scan_frames


async def create_scan(call: Call) -> ApiResponse:
    """Run up to 50 files against up to 10 retrievers."""
    request: ScanRequest = call.body
    scans, namespace = call.app.scans, call.namespace

    async def run(on_file: OnResult | None = None) -> JsonObject:
        return await scans.run(namespace, request, deadline=call.request.deadline, on_file=on_file)

    if request.stream and call.request.can_stream:
        # Once the stream has begun its status is 200: what cannot be scanned with never begins.
        await asyncio.to_thread(scans.check, namespace, request)
        return event_stream(live_scan(run, call.request.request_id))
    answer = await run()
    # Another way out sends whole answers only: the same frames, all at once.
    streamed = request.stream
    response = event_stream(None, scan_frames(answer)) if streamed else json_response(200, answer)
    response.facts = _facts(answer)
    return response


def _facts(answer: JsonObject) -> dict[str, Any]:
    """Return what may be told of a scan: counts, no names."""
    return {
        "scan_id": answer["scan_id"],
        "files": len(answer["files"]),
        "retrievers": len(answer["retrievers"]),
        **answer["counts"],
    }


async def get_scan(call: Call) -> ApiResponse:
    """Return a scan again."""
    answer = await call.app.scans.get(
        call.namespace,
        call.path["scan"],
        presign=call.flag("return_presigned_urls"),
        deadline=call.request.deadline,
    )
    return json_response(200, answer)
