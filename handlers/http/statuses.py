"""Which HTTP status and error type each exception becomes: the one table, looked up by class."""

import math
from types import MappingProxyType
from typing import Final

from core import errors
from core.errors import InvalidRequestError, TrawlError
from core.types import JsonObject


class RouteNotFoundError(TrawlError):
    """No such path in this API."""

    code = "route_not_found"
    blame = "caller"


class MethodNotAllowedError(TrawlError):
    """The path is there, under other methods."""

    code = "method_not_allowed"
    blame = "caller"


class BodyTooLargeError(TrawlError):
    """The body is larger than this way in takes."""

    code = "body_too_large"
    blame = "caller"


class AnswerTooLargeError(TrawlError):
    """The answer is larger than this way out takes."""

    code = "answer_too_large"
    blame = "caller"


# The error types are the reference's where it has one.
STATUSES: Final = MappingProxyType[type[TrawlError], tuple[int, str]](
    {
        TrawlError: (500, "InternalServerError"),
        errors.BadRequestError: (400, "BadRequestError"),
        errors.InvalidRequestError: (422, "ValidationError"),
        errors.StageError: (422, "ValidationError"),
        errors.TemplateError: (422, "ValidationError"),
        errors.FilterError: (422, "ValidationError"),
        errors.MediaError: (422, "ProcessingError"),
        errors.FetchError: (422, "ProcessingError"),
        errors.FetchUnavailableError: (503, "UnavailableError"),
        errors.UnauthorizedError: (401, "UnauthorizedError"),
        errors.ForbiddenError: (403, "ForbiddenError"),
        errors.NotFoundError: (404, "NotFoundError"),
        errors.AlreadyExistsError: (409, "AlreadyExistsError"),
        errors.ConflictError: (409, "ConflictError"),
        errors.IdempotencyError: (409, "AlreadyExistsError"),
        errors.DeadlineError: (408, "TimeoutError"),
        errors.TooManyRequestsError: (429, "TooManyRequestsError"),
        errors.UnavailableError: (503, "UnavailableError"),
        errors.MissingExtraError: (501, "NotImplementedError"),
        RouteNotFoundError: (404, "NotFoundError"),
        MethodNotAllowedError: (405, "MethodNotAllowedError"),
        BodyTooLargeError: (413, "BadRequestError"),
        AnswerTooLargeError: (422, "ValidationError"),
    }
)

_RETRYABLE: Final = frozenset({408, 429, 503})
_DEFAULT_RETRY_SECONDS: Final = 1


def status_of(error: TrawlError) -> tuple[int, str]:
    """Return the status and the wire's error type of an exception, by its nearest listed base."""
    for base in type(error).__mro__:
        if base in STATUSES:
            return STATUSES[base]
    return STATUSES[TrawlError]


def error_body(error: TrawlError, request_id: str) -> tuple[int, JsonObject, dict[str, str]]:
    """Return status, envelope and headers of an error.

    A 500 tells the request id and nothing else: what went wrong stands in the service's log.
    """
    status, wire_type = status_of(error)
    if status == 500:
        return 500, _envelope(500, wire_type, "internal_error", _internal(request_id), {}), {}
    details = {name: value for name, value in error.details.items() if value is not None}
    if isinstance(error, InvalidRequestError) and error.problems:
        details["validation_errors"] = [problem.to_json() for problem in error.problems]
    headers: dict[str, str] = {}
    if status in _RETRYABLE:
        details["retryable"] = error.retryable
    waits = status in _RETRYABLE or error.retry_after_seconds is not None
    if waits and error.retryable:
        seconds = error.retry_after_seconds or _DEFAULT_RETRY_SECONDS
        details["retry_after_seconds"] = seconds
        headers["Retry-After"] = str(math.ceil(seconds))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status == 405:
        headers["Allow"] = ", ".join(error.details.get("allowed", ()))
    return status, _envelope(status, wire_type, error.code, error.message, details), headers


def _internal(request_id: str) -> str:
    return f"something went wrong on our side; request id {request_id}"


def _envelope(
    status: int, wire_type: str, code: str, message: str, details: JsonObject
) -> JsonObject:
    error: JsonObject = {"message": message, "type": wire_type, "code": code}
    if details:
        error["details"] = details
    return {"success": False, "status": status, "error": error}
