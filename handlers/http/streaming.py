"""Server-sent events: `data: {json}` frames, a comment every 15 s, the whole answer at the end."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import orjson

from core.errors import TrawlError
from core.types import JsonObject
from handlers.http.messages import ApiResponse
from handlers.http.statuses import error_body

_log = logging.getLogger("trawl.http")

PING_SECONDS: Final = 15.0
PING: Final = b": ping\n\n"
_HEADERS: Final = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}

OnResult = Callable[[JsonObject], Awaitable[None]]


def frame(event: JsonObject) -> bytes:
    """Return one event as it goes over the wire. JSON has no raw line breaks, so it is one line."""
    return b"data: " + orjson.dumps(event) + b"\n\n"


def event_stream(frames: AsyncIterator[bytes] | None, whole: Sequence[bytes] = ()) -> ApiResponse:
    """Return the answer of a stream: frames as they come, or all of them in one body."""
    return ApiResponse(200, b"".join(whole), dict(_HEADERS), frames)


def batch_frames(answer: JsonObject) -> list[bytes]:
    """Return the frames of a batch that is over: its results in order, then the rest."""
    sent = frozenset(result["index"] for result in answer["results"])
    events = [_query_event(result) for result in answer["results"]]
    return [*map(frame, events), frame(_last_event(answer, sent))]


def scan_frames(answer: JsonObject) -> list[bytes]:
    """Return the frames of a scan that is over: its files in order, then the rest."""
    sent = frozenset(file["index"] for file in answer["files"])
    files = [_file_event({"scan_id": answer["scan_id"], **file}) for file in answer["files"]]
    return [*map(frame, files), frame(_last_scan_event(answer, sent))]


def execution_frames(answer: JsonObject) -> list[bytes]:
    """Return the only frame of a single execution."""
    kind = "execution_error" if answer["status"] == "failed" else "execution_complete"
    return [frame({"event_type": kind, **answer})]


def live_batch(
    run: Callable[[OnResult], Awaitable[JsonObject]],
    request_id: str,
    *,
    ping_seconds: float = PING_SECONDS,
) -> AsyncIterator[bytes]:
    """Return a batch's frames as its queries end, pings between them, then the last event."""
    return _live(run, request_id, _query_event, _last_event, ping_seconds)


def live_scan(
    run: Callable[[OnResult], Awaitable[JsonObject]],
    request_id: str,
    *,
    ping_seconds: float = PING_SECONDS,
) -> AsyncIterator[bytes]:
    """Return a scan's frames as its files are done, pings between them, then the last event."""
    return _live(run, request_id, _file_event, _last_scan_event, ping_seconds)


async def _live(
    run: Callable[[OnResult], Awaitable[JsonObject]],
    request_id: str,
    event_of: Callable[[JsonObject], JsonObject],
    last_event: Callable[[JsonObject, frozenset[int]], JsonObject],
    ping_seconds: float,
) -> AsyncIterator[bytes]:
    """Yield frames as results come. Whoever stops reading stops the work: its task is cancelled
    and waited for."""
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()
    sent: set[int] = set()

    async def on_result(result: JsonObject) -> None:
        sent.add(result["index"])
        queue.put_nowait(frame(event_of(result)))

    async def produce() -> None:
        try:
            answer = await run(on_result)
            queue.put_nowait(frame(last_event(answer, frozenset(sent))))
        except Exception as error:
            queue.put_nowait(frame(_error_event(error, request_id)))
        finally:
            queue.put_nowait(None)

    producer = asyncio.create_task(produce())
    try:
        while True:
            try:
                async with asyncio.timeout(ping_seconds):
                    item = await queue.get()
            except TimeoutError:
                yield PING
                continue
            if item is None:
                return
            yield item
    finally:
        producer.cancel()
        await asyncio.gather(producer, return_exceptions=True)


def _query_event(result: JsonObject) -> JsonObject:
    return {"event_type": "query_complete", **result}


def _last_event(answer: JsonObject, sent: frozenset[int]) -> JsonObject:
    """Return the answer without the documents that were sent; their count says they were."""
    results = [
        _without_documents(result) if result["index"] in sent else result
        for result in answer["results"]
    ]
    return {"event_type": "batch_complete", **answer, "results": results}


def _file_event(file: JsonObject) -> JsonObject:
    return {"event_type": "file_complete", **file}


def _last_scan_event(answer: JsonObject, sent: frozenset[int]) -> JsonObject:
    """Return the same of a scan: its files' cells without the documents that were sent."""
    files = [
        {
            **file,
            "retrievers": {
                name: _without_documents(cell) for name, cell in file["retrievers"].items()
            },
        }
        if file["index"] in sent
        else file
        for file in answer["files"]
    ]
    return {"event_type": "scan_complete", **answer, "files": files}


def _without_documents(result: JsonObject) -> JsonObject:
    rest = {name: value for name, value in result.items() if name != "documents"}
    rest.setdefault("documents_count", len(result["documents"]))
    return rest


def _error_event(error: Exception, request_id: str) -> JsonObject:
    if not isinstance(error, TrawlError):
        _log.error("request %s failed while streaming", request_id, exc_info=error)
        error = TrawlError(f"unexpected {type(error).__name__}")
    _, body, _ = error_body(error, request_id)
    return {"event_type": "error", **body}
