"""A request and its answer, free of any framework: what every entry point translates."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.deadline import Deadline


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One HTTP request. Header names are in lower case; `path` is percent-encoded as sent.

    `can_stream` says whether the way out can carry events as they happen; `body_limit` is the
    most bytes that it takes, for the error that says so.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    deadline: Deadline
    request_id: str
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    can_stream: bool = False


@dataclass(slots=True)
class ApiResponse:
    """The answer: `body`, or `frames` for a stream of events.

    `facts` is what logs and metrics may tell of it: names, ids, counts, never contents.
    """

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: dict[str, str] = field(default_factory=dict)
    frames: AsyncIterator[bytes] | None = None
    facts: dict[str, Any] = field(default_factory=dict)
