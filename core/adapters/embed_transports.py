"""One request to a model elsewhere: Bedrock, a SageMaker endpoint, or an https address.

Each raises `UnavailableError` for what another try may not meet, `MediaError` for an input that the
model refuses, and `TrawlError` for the rest. Bodies and secrets are in no error.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import urllib3.exceptions
from urllib3.response import BaseHTTPResponse

from core.adapters.aws_clients import error_code, make_client, map_error
from core.adapters.fetch_rules import FetchRules
from core.adapters.secret_references import Secrets
from core.deadline import Deadline
from core.errors import (
    DeadlineError,
    FetchError,
    FetchUnavailableError,
    MediaError,
    TrawlError,
    UnavailableError,
)

# One try takes no longer; the deadline may end it before.
CALL_S: Final = 25.0
# A model's answer: 64 vectors of 16,384 numbers as text are 20 MB.
MAX_ANSWER_BYTES: Final = 32_000_000
_PIECE: Final = 1 << 16
# What AWS calls a model that is busy, cold or gone for a moment, beside its usual words.
_BUSY: Final = frozenset(
    {
        "InternalDependencyException",
        "InternalFailure",
        "ModelNotReadyException",
        "ModelTimeoutException",
        "ServiceQuotaExceededException",
        "ServiceUnavailable",
    }
)
_REFUSED_INPUT: Final = frozenset({"ValidationException", "ValidationError"})
# HTTP answers that are worth another try.
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
_BAD_INPUT: Final = frozenset({400, 413, 415, 422})
_LONGEST_WAIT_S: Final = 60.0


class Transport(Protocol):
    """Sends one body to the model that a collection's parameters name."""

    def __call__(self, values: Mapping[str, Any], body: bytes, deadline: Deadline) -> bytes:
        """Return the raw answer; blocks."""
        ...


class AwsTransports:
    """Bedrock and SageMaker, with the service's own credentials. Thread-safe."""

    def __init__(self, make: Callable[[str], Any] | None = None) -> None:
        # One attempt: tries are counted, spread and bounded by the deadline elsewhere.
        self._make = make or (lambda name: make_client(name, read_timeout_s=CALL_S, attempts=1))
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}

    def bedrock(self, values: Mapping[str, Any], body: bytes, deadline: Deadline) -> bytes:
        """Invoke a model of Bedrock."""
        del deadline  # botocore's own time limit bounds one call
        return self._call(
            "bedrock-runtime",
            f"Bedrock's {values['model']}",
            lambda client: client.invoke_model(
                modelId=values["model"],
                body=body,
                contentType="application/json",
                accept="application/json",
            )["body"],
        )

    def sagemaker(self, values: Mapping[str, Any], body: bytes, deadline: Deadline) -> bytes:
        """Invoke a SageMaker endpoint."""
        del deadline
        return self._call(
            "sagemaker-runtime",
            f"the endpoint {values['endpoint']}",
            lambda client: client.invoke_endpoint(
                EndpointName=values["endpoint"],
                Body=body,
                ContentType="application/json",
                Accept="application/json",
            )["Body"],
        )

    def _call(self, service: str, what: str, ask: Callable[[Any], Any]) -> bytes:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = ask(self._client(service))
            return bytes(answer.read(MAX_ANSWER_BYTES))
        except ClientError as error:
            raise _aws_error(error, what) from error
        except (BotoCoreError, urllib3.exceptions.HTTPError, OSError) as error:
            raise map_error(error, what) from error

    def _client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._make(service)
            return self._clients[service]


def _aws_error(error: Exception, what: str) -> TrawlError:
    code = error_code(error)
    response: dict[str, Any] = getattr(error, "response", {})
    said = str(response.get("Error", {}).get("Message", ""))[:300]
    # A container's own 4xx and 5xx come through SageMaker as one error with its status inside.
    status = response.get("OriginalStatusCode", 0)
    if code in _REFUSED_INPUT or (code == "ModelError" and status in _BAD_INPUT):
        return MediaError(f"{what} does not take this content: {said}")
    if code in _BUSY or (code == "ModelError" and status in _PASSING):
        return UnavailableError(f"{what} did not answer: {code}")
    if code in ("AccessDeniedException", "AccessDenied"):
        return TrawlError(f"{what} may not be called by this service: {said}")
    return map_error(error, what)


class HttpsTransport:
    """Posts to https addresses, under the fetcher's rules: public hosts or allowed networks only.

    Redirects are not followed: they could carry the key elsewhere.
    """

    def __init__(self, rules: FetchRules, secrets: Secrets) -> None:
        from core.adapters.https_connections import HttpsConnections

        self._connections = HttpsConnections(rules)
        self._secrets = secrets

    def __call__(self, values: Mapping[str, Any], body: bytes, deadline: Deadline) -> bytes:
        """Post a body."""
        from core.adapters.https_connections import BROKEN

        until = deadline.earlier(CALL_S)
        headers = {**_HEADERS, **self._key(values)}
        try:
            target = self._connections.read_url(values["url"])
            with self._connections.connected(target, until) as connection:
                connection.request(
                    "POST",
                    target.path,
                    body=body,
                    headers={**headers, "Host": target.host_header},
                    preload_content=False,
                    decode_content=False,
                )
                response = connection.getresponse()
                self._check_status(response, values, target.host_header)
                return _read(response, until, target.host_header)
        except FetchUnavailableError as error:
            raise UnavailableError(f"the embedder did not answer: {error.message}") from error
        except FetchError as error:
            raise TrawlError(f"the embedder cannot be called: {error.message}") from error
        except BROKEN as error:
            if deadline.passed():
                raise DeadlineError("time ran out while embedding") from error
            reason = "took too long" if until.passed() else f"failed ({type(error).__name__})"
            raise UnavailableError(f"the embedder {reason}") from error

    def _key(self, values: Mapping[str, Any]) -> dict[str, str]:
        reference, header = values["secret"], values["secret_header"]
        if reference is None:
            return {}
        key = self._secrets.get(reference)
        return {header: f"Bearer {key}" if header.lower() == "authorization" else key}

    def _check_status(
        self, response: BaseHTTPResponse, values: Mapping[str, Any], host: str
    ) -> None:
        status = response.status
        if status == 200:
            encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
            if encoding not in ("", "identity"):
                # It was asked not to compress: what it sends may be a bomb.
                raise TrawlError(f"{host} answered with content encoding {encoding[:50]}")
            return
        if status in _PASSING:
            wait = _retry_after(response.headers.get("Retry-After"))
            raise UnavailableError(f"{host} answered {status}", retry_after_seconds=wait)
        if status in _BAD_INPUT:
            raise MediaError(f"{host} does not take this content: it answered {status}")
        if status in (401, 403) and values["secret"] is not None:
            self._secrets.forget(values["secret"])
        raise TrawlError(f"{host} answered {status}", status=status)


_HEADERS: Final = {
    "User-Agent": "trawl-embedder",
    "Content-Type": "application/json",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
}


def _retry_after(raw: str | None) -> float | None:
    """Return the seconds that a server asks to wait; a date, or nonsense, is not looked at."""
    if raw is None or not raw.strip().isdecimal():
        return None
    return min(float(raw), _LONGEST_WAIT_S)


def _read(response: BaseHTTPResponse, until: Deadline, host: str) -> bytes:
    body = bytearray()
    for piece in response.stream(_PIECE, decode_content=False):
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise TrawlError(f"{host} answered more than {MAX_ANSWER_BYTES} bytes")
    # A connection cut off for time looks like one that ended.
    if until.passed():
        raise TimeoutError
    return bytes(body)
