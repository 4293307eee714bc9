"""What a client's call may raise: apart from the client, which loads far more than its errors."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.types import JsonObject


class ClientError(Exception):
    """A call that brought no answer to work with; the message is a whole sentence."""


class UnreachableError(ClientError):
    """Nothing answered."""


class ApiError(ClientError):
    """The API's own error. `problems` are `{path, message, accepted?}`, every fault at once."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        error = body.get("error")
        error = error if isinstance(error, dict) else {}
        # A gateway's own errors are `{"message": …}`.
        said = error.get("message") or body.get("message")
        super().__init__(str(said or f"the server answered with status {status}"))
        self.status = status
        self.code: str = str(error.get("code") or "")
        self.details: JsonObject = error.get("details") or {}
        self.problems: Sequence[JsonObject] = self.details.get("validation_errors") or ()
