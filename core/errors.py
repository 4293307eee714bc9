"""What can go wrong, as one tree of exceptions; HTTP statuses are chosen at the edge, by class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

Blame = Literal["caller", "media", "service"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a request: where (`stages.0.config.parameters.top_k`) and what."""

    path: str
    message: str
    type: str = "value_error"
    accepted: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the wire form; `accepted` appears only when there are names to offer."""
        body: dict[str, Any] = {"path": self.path, "message": self.message, "type": self.type}
        if self.accepted:
            body["accepted"] = list(self.accepted)
        return body


class TrawlError(Exception):
    """The root. `code` is stable and fine-grained; `details` is shown to the caller."""

    code: ClassVar[str] = "internal_error"
    blame: ClassVar[Blame] = "service"
    retryable: ClassVar[bool] = False

    def __init__(
        self, message: str, *, retry_after_seconds: float | None = None, **details: Any
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.retry_after_seconds = retry_after_seconds


class BadRequestError(TrawlError):
    """The request cannot be read at all: JSON that is no JSON, an empty patch."""

    code = "bad_request"
    blame = "caller"


class InvalidRequestError(TrawlError):
    """The request was read and is wrong; `problems` names every fault at once, with its path."""

    code = "validation_failed"
    blame = "caller"

    def __init__(self, message: str, problems: Sequence[Problem] = (), **details: Any) -> None:
        super().__init__(message, **details)
        self.problems = tuple(problems)


class UnauthorizedError(TrawlError):
    """No key, or not a valid one."""

    code = "unauthorized"
    blame = "caller"


class ForbiddenError(TrawlError):
    """A valid key that does not allow this."""

    code = "forbidden"
    blame = "caller"


class NotFoundError(TrawlError):
    """A named thing is not in this namespace. Details: `resource`, `id`."""

    code = "not_found"
    blame = "caller"

    def __init__(self, resource: str, identifier: str) -> None:
        super().__init__(f"{resource} not found: {identifier}", resource=resource, id=identifier)


class AlreadyExistsError(TrawlError):
    """A name is taken within its namespace. Details: `resource`, `name`."""

    code = "already_exists"
    blame = "caller"

    def __init__(self, resource: str, name: str) -> None:
        super().__init__(f"{resource} already exists: {name}", resource=resource, name=name)


class ConflictError(TrawlError):
    """A conditional write lost to another writer; reading again and retrying may succeed."""

    code = "conflict"
    retryable = True


class IdempotencyError(ConflictError):
    """An idempotency key was used before, for something else."""

    code = "idempotency_conflict"
    blame = "caller"
    retryable = False


class TemplateError(InvalidRequestError):
    """A template does not parse, names something undefined, or runs past its step limit."""

    code = "template_error"


class FilterError(InvalidRequestError):
    """A filter is malformed: unknown operator, bad value, bad regular expression, too deep."""

    code = "filter_error"


class StageError(TrawlError):
    """A stage cannot run on what it was given."""

    code = "stage_error"
    blame = "caller"


class MediaError(TrawlError):
    """A media file cannot be read: truncated, lying about its type, too large once decoded."""

    code = "media_unreadable"
    blame = "media"


class NoTrackError(MediaError):
    """A recording has no track of the kind that is asked for, such as a silent film no sound: that
    is certain, and no fault of the file."""

    code = "media_no_track"


class FeaturelessError(MediaError):
    """A media file was read, and holds nothing that can be compared: a plain picture, silence."""

    code = "media_featureless"


class FetchError(TrawlError):
    """A media reference may not or cannot be fetched. Permanent unless `FetchUnavailableError`."""

    code = "media_forbidden"
    blame = "media"


class FetchUnavailableError(FetchError):
    """The media's host timed out or answered 5xx: sending the query again may succeed."""

    code = "media_unavailable"
    retryable = True


class MissingExtraError(TrawlError):
    """An optional library is not installed; the message names the extra to install."""

    code = "missing_extra"


class DeadlineError(TrawlError):
    """Time ran out before this work ended."""

    code = "timed_out"
    retryable = True


class TooManyRequestsError(TrawlError):
    """A rate or capacity limit; `retry_after_seconds` says when to come back."""

    code = "too_many_requests"
    blame = "caller"
    retryable = True


class UnavailableError(TrawlError):
    """Storage or another dependency did not answer."""

    code = "unavailable"
    retryable = True


class StorageRefusedError(UnavailableError):
    """Storage is there and will not do it: read-only, full, no folder of ours. Asking again at
    once is of no use; somebody has to mend it."""

    code = "storage_refused"
    retryable = False


class BlobNotFoundError(TrawlError):
    """No blob under that key."""

    code = "blob_not_found"


class CorruptBlobError(TrawlError):
    """A stored artifact does not match its digest or its format: it is never read as data."""

    code = "corrupt_blob"


def describe_error(
    error: BaseException, *, stage: str | None = None, stage_index: int | None = None
) -> dict[str, Any]:
    """Return the per-query error object; an unexpected exception shows its class and no more."""
    if not isinstance(error, TrawlError):
        error = TrawlError(f"unexpected {type(error).__name__}; see the service's log")
    body: dict[str, Any] = {
        "type": type(error).__name__,
        "code": error.code,
        "message": error.message,
        "retryable": error.retryable and error.blame != "caller",
        "blame": error.blame,
    }
    details = dict(error.details)
    if isinstance(error, InvalidRequestError) and error.problems:
        details["validation_errors"] = [problem.to_json() for problem in error.problems]
    optional = {
        "stage": stage,
        "stage_index": stage_index,
        "retry_after_seconds": error.retry_after_seconds,
        "details": details or None,
    }
    body.update({name: value for name, value in optional.items() if value is not None})
    return body
