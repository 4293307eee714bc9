"""From a request to its answer: find the route, admit the caller, read the body, run, answer."""

import asyncio
import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from core.auth.principals import Principal, authorize, find_reachable
from core.errors import (
    InvalidRequestError,
    Problem,
    TrawlError,
    UnauthorizedError,
)
from core.types import JsonValue
from handlers.http.bodies import merge_query, read_json, read_query
from handlers.http.call import Call
from handlers.http.messages import ApiRequest, ApiResponse
from handlers.http.route import Param, Route, RouteTable
from handlers.http.statuses import error_body

if TYPE_CHECKING:
    from core.app import App
    from core.models.namespaces import Namespace

_log = logging.getLogger("trawl.http")

JSON_HEADERS: Final = {"Content-Type": "application/json"}
NAMESPACE: Final = Param(
    "namespace", description="Namespace id or name, where the header X-Namespace is not sent."
)


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Answers requests over one app, which is built when a route first needs it."""

    table: RouteTable
    app: Callable[[], "App"]

    async def __call__(self, request: ApiRequest) -> ApiResponse:
        """Return the answer; never raises, whatever happens within."""
        try:
            response = await self._answer(request)
        except Exception as error:
            response = error_response(error, request)
        response.headers.setdefault("X-Request-Id", request.request_id)
        return response

    async def _answer(self, request: ApiRequest) -> ApiResponse:
        # Whoever sends the answer of a HEAD leaves its body out.
        method = "GET" if request.method == "HEAD" else request.method
        route, values = self.table.find(method, request.path)
        function = route.run()
        asynchronous = inspect.iscoroutinefunction(function)

        def prepare() -> tuple[Call, Any]:
            call = self._admit(route, values, request)
            return call, None if asynchronous else function(call)

        # Keys, namespaces and documents lie in stores that block; parsing computes, and so does the
        # first look at the catalogue. One hop to a thread for all of it keeps the loop, and with
        # it the deadlines of others, free.
        # An open route that is a coroutine says that it does none of this.
        is_instant = asynchronous and route.scope == "open"
        call, result = prepare() if is_instant else await asyncio.to_thread(prepare)
        if asynchronous:
            result = await function(call)
        response = result if isinstance(result, ApiResponse) else json_response(200, result)
        response.facts = {**_facts(route, call), **response.facts}
        return response

    def _admit(self, route: Route, values: dict[str, str], request: ApiRequest) -> Call:
        """Return the call if it may be made: every check that comes before the work itself."""
        params = (*route.query, NAMESPACE) if route.scope == "namespace" else route.query
        if route.scope == "open":
            return Call(self.app, request, values, read_query(request.query, params), None)
        app = self.app()
        principal = app.keys.authenticate(_bearer(request))
        place = None
        if route.scope != "account":
            name = values.get("namespace") if route.scope == "path" else None
            place = choose_namespace(app, principal, request, name)
        authorize(principal, route.permission, place.namespace_id if place else None)
        query = read_query(request.query, params)
        body = _read_body(route, request, query)
        return Call(self.app, request, values, query, body, principal, place)


def choose_namespace(
    app: "App", principal: Principal, request: ApiRequest, name: str | None = None
) -> "Namespace":
    """Return the namespace that a call is for: the path's, else the header's, else the query's,
    else the only one that the key reaches.

    What a key of named namespaces is told of others: see `find_reachable`.
    """
    given = request.query.get("namespace")
    name = name or request.headers.get("x-namespace", "").strip() or (given[-1] if given else "")
    if not name:
        if principal.is_unbounded or len(principal.namespaces) != 1:
            message = (
                "say which namespace: this key reaches several. "
                "Send the header X-Namespace, or ?namespace= in the address"
            )
            raise InvalidRequestError(message, [Problem("X-Namespace", message, "missing")])
        name = principal.namespaces[0]
    return find_reachable(principal, name, app.namespaces.find, lambda found: found.namespace_id)


def json_response(
    status: int, body: JsonValue, headers: dict[str, str] | None = None
) -> ApiResponse:
    """Return a JSON answer."""
    return ApiResponse(status, orjson.dumps(body), {**JSON_HEADERS, **(headers or {})})


def _bearer(request: ApiRequest) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise UnauthorizedError("send your API key as: Authorization: Bearer sk_…")
    return token.strip()


def _read_body(route: Route, request: ApiRequest, query: dict[str, Any]) -> Any:
    if route.body is None:
        return None
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        message = f"bodies of Content-Encoding {encoding[:40]!r} are not read here"
        raise InvalidRequestError(message, [Problem("Content-Encoding", message)])
    raw = read_json(request.body)
    if isinstance(raw, dict):
        raw = merge_query(raw, query, route.query)
    if route.body == "object":
        if not isinstance(raw, dict):
            raise InvalidRequestError("the body is not an object", [Problem("", "not an object")])
        return raw
    # Imported here: health and its like never pay for pydantic.
    from core.models.base import parse_model

    try:
        return parse_model(route.body_model(), raw)
    except InvalidRequestError as error:
        _name_limits(route, error)
        raise


def _name_limits(route: Route, error: InvalidRequestError) -> None:
    """Put the limits that a body broke into the error's details, as the contract has it."""
    broken = {problem.path for problem in error.problems if problem.type == "too_long"}
    limits = {name: value for path, (name, value) in (route.limits or {}).items() if path in broken}
    if limits:
        error.details["limits"] = limits


def _facts(route: Route, call: Call) -> dict[str, Any]:
    facts: dict[str, Any] = {"operation": route.operation_id, **call.facts}
    if call.place is not None:
        facts["namespace_id"] = call.place.namespace_id
    if call.key_holder is not None:
        facts["key_id"] = call.key_holder.key_id
    return facts


def error_response(error: Exception, request: ApiRequest) -> ApiResponse:
    """Return the answer to an exception; an unexpected one is logged and not shown."""
    if not isinstance(error, TrawlError):
        error = _as_trawl_error(error)
    status, body, headers = error_body(error, request.request_id)
    if status == 500:
        _log.error(
            "request %s failed unexpectedly", request.request_id, exc_info=error.__cause__ or error
        )
    response = json_response(status, body, headers)
    response.facts = {"error": error.code}
    return response


def _as_trawl_error(error: Exception) -> TrawlError:
    wrapped = TrawlError(f"unexpected {type(error).__name__}")
    wrapped.__cause__ = error
    return wrapped
