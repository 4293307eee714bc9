"""The HTTP API on Lambda: API Gateway events in (REST and HTTP), answers out, logs and metrics."""

import asyncio
import base64
import gc
import json
import os
import time
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from aws_lambda_powertools.event_handler import (
    APIGatewayHttpResolver,
    ApiGatewayResolver,
    APIGatewayRestResolver,
    CORSConfig,
    Response,
)
from aws_lambda_powertools.metrics import MetricUnit

from core.deadline import Deadline
from core.settings import Settings
from handlers.http.dispatch import Dispatcher, error_response
from handlers.http.messages import ApiRequest, ApiResponse
from handlers.http.routes import TABLE
from handlers.http.statuses import AnswerTooLargeError
from handlers.observation import logger, metrics, observe
from handlers.snapstart import register

if TYPE_CHECKING:
    from core.app import App

Event = dict[str, Any]

# Python looks for cycles after every 700 new objects. While modules load it finds none, and that
# takes a tenth of a cold start.
gc.set_threshold(20_000, 10, 10)

_METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
# Lambda answers 6 MB, counted after the body has become a string within JSON.
MAX_ANSWER_BYTES: Final = 6_291_556 - 20_000


@cache
def _settings() -> Settings:
    return Settings.from_environment(os.environ)


@cache
def _app() -> "App":
    """The service, built when a route first needs it: a probe of health pays for none of it."""
    from core.app import build_app

    return build_app(_settings())


@cache
def _runner() -> asyncio.Runner:
    """One loop for the life of the process: the engine's tasks and pools belong to it."""
    return asyncio.Runner()


@cache
def _dispatcher() -> Dispatcher:
    return Dispatcher(TABLE, _app)


def _cors() -> CORSConfig | None:
    """Return what pages of other origins may do. HTTP APIs see to that before us, REST APIs leave
    it to what is behind them."""
    origins = _settings().cors_origins
    if not origins:
        return None
    return CORSConfig(
        allow_origin=origins[0],
        extra_origins=list(origins[1:]),
        allow_headers=["Idempotency-Key", "X-Namespace"],
        expose_headers=["Retry-After", "X-Execution-Mode", "X-Request-Id"],
        max_age=3600,
    )


@cache
def _resolver(version: str) -> ApiGatewayResolver:
    """The resolver of that event format. One catch-all rule: the routes stand in `routes.py`, and
    registering each with Powertools too would cost every cold start and say the same twice."""
    cors = _cors() if version == "1.0" else None
    resolver = APIGatewayHttpResolver() if version == "2.0" else APIGatewayRestResolver(cors=cors)

    @resolver.route(r".*", method=_METHODS)
    def answer() -> Response[str]:
        event: Event = resolver.current_event.raw_event
        if cors is not None and event["httpMethod"] == "OPTIONS":
            metrics.add_metric("Preflights", MetricUnit.Count, 1)
            methods = ",".join(_METHODS)
            return Response(204, body="", headers={"Access-Control-Allow-Methods": methods})
        return _to_powertools(_answer(event, resolver.lambda_context))

    return resolver


def _forget() -> None:
    """Drop what this process has made; the next request makes it again."""
    if _runner.cache_info().currsize:
        _runner().close()
    for made in (_settings, _app, _runner, _dispatcher, _resolver):
        made.cache_clear()


register(_settings, _forget)


@metrics.log_metrics
def handler(event: Event, context: Any) -> Event:
    """Answer one API Gateway event, of either format."""
    version = "2.0" if event.get("version") == "2.0" else "1.0"
    result: Event = _resolver(version).resolve(event, context)
    return result


def _answer(event: Event, context: Any) -> ApiResponse:
    started = time.perf_counter()
    # A process's first request makes its loop.
    cold = not _runner.cache_info().currsize
    request = read_event(event, context)
    logger.append_keys(request_id=request.request_id)
    # Not the runner's own `run`: it sets a handler of SIGINT up and takes it down, each time.
    response = _runner().get_loop().run_until_complete(_dispatcher()(request))
    _bound(response, request)
    observe(request, response, (time.perf_counter() - started) * 1000, cold=cold)
    return response


def read_event(event: Event, context: Any) -> ApiRequest:
    """Return the request in an event. Its deadline is the function's own, less a reserve."""
    is_v2 = event.get("version") == "2.0"
    facts = event.get("requestContext") or {}
    reserve_ms = _settings().deadline_reserve_ms
    remaining_ms = context.get_remaining_time_in_millis() - reserve_ms
    return ApiRequest(
        method=(facts["http"]["method"] if is_v2 else event["httpMethod"]).upper(),
        path=_path(event["rawPath"] if is_v2 else event["path"]),
        headers=_headers(event),
        deadline=Deadline.after(max(0.0, remaining_ms / 1000)),
        request_id=str(getattr(context, "aws_request_id", None) or facts.get("requestId") or ""),
        query=_query(event, is_v2=is_v2),
        body=_body(event),
    )


def _path(path: str) -> str:
    """Return the path without the stage or base path that may stand before it.

    Not Powertools' own `path`: it cuts the stage's length off a path that has no stage in it, as
    behind a custom domain.
    """
    start = path.find("/v1/")
    if start > 0:
        return path[start:]
    return "/docs" if path.endswith("/docs") else path


def _headers(event: Event) -> dict[str, str]:
    multiple: Mapping[str, list[str]] = event.get("multiValueHeaders") or {}
    headers = {name.lower(): values[0] for name, values in multiple.items() if values}
    for name, value in (event.get("headers") or {}).items():
        headers.setdefault(name.lower(), value)
    return headers


def _query(event: Event, *, is_v2: bool) -> dict[str, list[str]]:
    if is_v2:
        # `queryStringParameters` joins repeated ones with commas, which values may hold too.
        return parse_qs(event.get("rawQueryString") or "", keep_blank_values=True)
    multiple = event.get("multiValueQueryStringParameters")
    if multiple:
        return dict(multiple)
    return {name: [value] for name, value in (event.get("queryStringParameters") or {}).items()}


def _body(event: Event) -> bytes:
    body = event.get("body") or ""
    return base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()


def _bound(response: ApiResponse, request: ApiRequest) -> None:
    """Turn an answer that Lambda would refuse into an error that says what to do."""
    if _wire_size(response.body) <= MAX_ANSWER_BYTES:
        return
    error = AnswerTooLargeError(
        "the answer is larger than 6 MB; ask for fewer or without vectors",
        limits={"max_answer_bytes": MAX_ANSWER_BYTES},
    )
    refused = error_response(error, request)
    response.status, response.body, response.headers = refused.status, refused.body, refused.headers


def _wire_size(body: bytes) -> int:
    return min(_escaped_size(body), -(-len(body) // 3) * 4)


def _escaped_size(body: bytes) -> int:
    """Return the bytes of a body as a JSON string; small ones are not worth measuring."""
    if len(body) * 6 <= MAX_ANSWER_BYTES:
        return len(body)
    return len(json.dumps(body.decode()))


def _to_powertools(response: ApiResponse) -> Response[str]:
    headers = dict(response.headers)
    content_type = headers.pop("Content-Type", "application/json")
    escaped = _escaped_size(response.body)
    if escaped <= MAX_ANSWER_BYTES:
        body: Any = response.body.decode()
    else:
        body = response.body  # bytes go out in base64, which grows by a third whatever is in them
    return Response(response.status, content_type, body, headers)
