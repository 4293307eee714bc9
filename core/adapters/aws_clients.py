"""AWS clients made when first used, and what their failures mean to us."""

import os
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, Generic, TypeVar

from core.errors import TrawlError, UnavailableError

ClientT = TypeVar("ClientT")

# Failures that another try may not meet. Botocore has by then tried three times itself.
_PASSING: Final = frozenset(
    {
        "InternalError",
        "InternalServerError",
        "InternalServerException",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)


class LazyClient(Generic[ClientT]):
    """Makes its client on the first call, once: importing boto3 costs a cold start 350 ms."""

    def __init__(self, make: Callable[[], ClientT]) -> None:
        self._make = make
        self._client: ClientT | None = None
        self._lock = threading.Lock()

    def __call__(self) -> ClientT:
        """Return the client."""
        with self._lock:
            if self._client is None:
                self._client = self._make()
            return self._client


def make_client(service: str, *, read_timeout_s: float = 20, attempts: int = 3) -> Any:
    """Return a boto3 client with our timeouts; region and endpoint come from the environment."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=3,
        read_timeout=read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=32,
        **(_s3_options() if service == "s3" else {}),
    )
    return boto3.client(service, config=config)  # type: ignore[call-overload]  # any service's name


def prime_clients(services: Iterable[str]) -> None:
    """Load what making clients of these services reads from disk, and keep none of them.

    The definitions stay with boto3's own session. The keys are nobody's, so that no credentials
    are looked for, and making a client opens no connection.
    """
    import boto3

    nobody = dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), "none")
    for service in services:
        boto3.client(service, **nobody).close()  # type: ignore[call-overload]  # any service


def _s3_options() -> dict[str, Any]:
    # Version 2 of presigned URLs ends with the credentials without saying so.
    options: dict[str, Any] = {"signature_version": "s3v4"}
    if not any(os.environ.get(name) for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")):
        # Left to itself, botocore presigns for the global endpoint, which redirects requests for
        # a new bucket of any other region; the signature does not survive that.
        options["s3"] = {"addressing_style": "virtual"}
    return options


def error_code(error: BaseException) -> str:
    """Return the AWS error code of a botocore `ClientError`, "" for anything else."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def map_error(error: Exception, what: str) -> TrawlError:
    """Return our error for a botocore one: `UnavailableError` if another try may succeed.

    Else `TrawlError`, as for missing permissions: the service's own fault, not the caller's.
    """
    code = error_code(error)
    if not code:
        return UnavailableError(f"{what} did not answer: {type(error).__name__}")
    response: dict[str, Any] = getattr(error, "response", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _PASSING or status >= 500:
        return UnavailableError(f"{what} did not answer: {code}", retry_after_seconds=1.0)
    return TrawlError(f"{what} refused the request: {code}")
