"""Statuses: every error has one, with what a client needs to try again."""

from collections.abc import Iterator

import pytest

from core import errors
from core.errors import InvalidRequestError, Problem, TrawlError, UnavailableError
from handlers.http.statuses import error_body, status_of


def kinds(root: type[TrawlError]) -> Iterator[type[TrawlError]]:
    """Yield an error class and all below it."""
    yield root
    for child in root.__subclasses__():
        yield from kinds(child)


@pytest.mark.parametrize("kind", sorted(set(kinds(TrawlError)), key=str))
def test_a_callers_fault_is_never_ours_and_ours_never_theirs(kind: type[TrawlError]) -> None:
    status, _ = status_of(kind.__new__(kind))
    if kind.blame == "service":
        assert status in (408, 409, 500, 501, 503), kind
    else:
        assert 400 <= status < 500 or kind.retryable, kind


def test_the_nearest_base_decides() -> None:
    class NarrowError(errors.FetchUnavailableError):
        """A kind that the table does not know."""

    assert status_of(NarrowError("x")) == (503, "UnavailableError")
    assert status_of(errors.FetchError("x"))[0] == 422


def test_a_client_is_told_when_to_come_back() -> None:
    status, body, headers = error_body(UnavailableError("x", retry_after_seconds=2.5), "r")
    assert (status, headers["Retry-After"]) == (503, "3")
    assert body["error"]["details"] == {"retryable": True, "retry_after_seconds": 2.5}


def test_a_client_is_not_told_to_come_back_where_waiting_is_of_no_use() -> None:
    status, body, headers = error_body(errors.StorageRefusedError("read-only"), "r")
    assert status == 503
    assert "Retry-After" not in headers
    assert body["error"]["details"] == {"retryable": False}
    assert body["error"]["message"] == "read-only"


def test_problems_are_named_in_the_details() -> None:
    problem = Problem("a.b", "no", "value_error", ("x",))
    _, body, _ = error_body(InvalidRequestError("no", [problem]), "r")
    assert body["error"]["details"]["validation_errors"] == [
        {"path": "a.b", "message": "no", "type": "value_error", "accepted": ["x"]}
    ]


def test_a_500_tells_the_request_id_and_nothing_else() -> None:
    error = errors.CorruptBlobError("s3://inside/secret", bucket="inside")
    status, body, _ = error_body(error, "req_1")
    assert status == 500
    assert "inside" not in str(body)
    assert "req_1" in body["error"]["message"]


def test_a_conflict_says_when_to_come_back_if_that_is_known() -> None:
    status, body, headers = error_body(errors.ConflictError("busy", retry_after_seconds=1.5), "r")
    assert (status, headers["Retry-After"]) == (409, "2")
    assert body["error"]["details"]["retry_after_seconds"] == 1.5
    assert "Retry-After" not in error_body(errors.ConflictError("lost"), "r")[2]
    key = errors.IdempotencyError("used", retry_after_seconds=1.0)
    assert error_body(key, "r")[0] == 409
    assert "Retry-After" not in error_body(key, "r")[2]
