"""AWS clients that fail, and what they fail with."""

from typing import Any

from botocore.exceptions import ClientError


class FailingClient:
    """A client whose every call raises the error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        def call(**_: Any) -> Any:
            raise self._error

        return call


def client_error(code: str, status: int = 400, **response: Any) -> ClientError:
    """Return the error of an answer with this code and HTTP status; `response` joins it."""
    answer: Any = {
        "Error": {"Code": code, "Message": "m"},
        "ResponseMetadata": {"HTTPStatusCode": status},
        **response,
    }
    return ClientError(answer, "Operation")
