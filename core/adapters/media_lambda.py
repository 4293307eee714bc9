"""Media extraction in a Lambda function of its own, which holds no rights to anything we keep.

What the function answers is trusted no more than the files it parses: it is checked like the child
process's. Large files go round by way of a temporary object, since an event holds 6 MB.
"""

import base64
import binascii
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager, suppress
from typing import Any, Final, Protocol

import orjson

from core.adapters.aws_clients import LazyClient, error_code, make_client, map_error
from core.deadline import Deadline
from core.errors import (
    DeadlineError,
    InvalidRequestError,
    MediaError,
    MissingExtraError,
    TrawlError,
    UnavailableError,
)
from core.media.extractor_info import ExtractorInfo
from core.media.extractors import find_extractor
from core.media.metering import MediaMeter
from core.media.wire import MAX_HEADER_BYTES, read_header, unpack_extraction
from core.ports.blobs import Blobs
from core.ports.media import Extraction
from core.types import JsonObject

# As base64 within JSON this stays below the 6,291,556 bytes of a synchronous invocation.
INLINE_BYTES: Final = 4_500_000
# Where larger files lie while they are read; what a crash leaves, the bucket's lifecycle removes.
PREFIX: Final = "media-in-flight/"

# Longer than the function itself may run, so that its own verdict on a slow file comes first.
_READ_TIMEOUT_S: Final = 30.0
# A waiting call is a thread, and the queries that a batch may have in flight are 20.
_THREADS: Final = 24
# Pauses after a throttled call, while there is time: the other calls are about to end.
_PAUSES_S: Final = (0.1, 0.2, 0.4, 0.8, 1.6)
_THROTTLED: Final = frozenset({"TooManyRequestsException", "EC2ThrottledException", "429"})
# How Lambda reports a process that a file killed, by time, by memory or by a crash.
_KILLED: Final = re.compile(r"Runtime\.(ExitError|OutOfMemory)|Sandbox\.Timedout|Task timed out")


class InvokesLambda(Protocol):
    """The one call of boto3's Lambda client that is made."""

    def invoke(self, *, FunctionName: str, InvocationType: str, Payload: bytes) -> Any:
        """Return `{Payload, FunctionError?, …}`."""
        ...


class LambdaMediaExtractor:
    """A `MediaExtractor` that invokes `function`, a name or ARN; `blobs` carries large files, and
    `meter` counts the calls.

    A call that outlasts its deadline is left alone, and ends within 30 s.
    """

    def __init__(
        self,
        function: str,
        blobs: Blobs,
        *,
        client: InvokesLambda | None = None,
        meter: MediaMeter | None = None,
        inline_bytes: int = INLINE_BYTES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._function = function
        self._blobs = blobs
        self._meter = meter or MediaMeter()
        self._inline_bytes = inline_bytes
        self._sleep = sleep
        self._client: LazyClient[InvokesLambda] = LazyClient(
            lambda: _make_client() if client is None else client
        )
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="media")
        self._closed = False

    def extract(
        self,
        extractor: str,
        data: bytes,
        *,
        deadline: Deadline,
        params: Mapping[str, Any] | None = None,
        max_chunks: int | None = None,
        as_query: bool = False,
        declared_type: str | None = None,
    ) -> Extraction:
        """Return the chunks of one file; see `MediaExtractor.extract`."""
        info = find_extractor(extractor).sized(params or {})
        event: JsonObject = {
            "extractor": info.reference,
            "params": dict(params or {}),
            "max_chunks": max_chunks,
            "as_query": as_query,
            "declared_type": declared_type,
        }
        deadline.check("handing a file to the media function")
        try:
            future = self._pool.submit(self._run, event, data, deadline)
        except RuntimeError as error:
            raise UnavailableError("the media function's client was closed") from error
        return _unpack(info, self._result(future, deadline))

    def close(self) -> None:
        """Let calls in flight end by themselves; later calls raise `UnavailableError`."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _result(self, future: "Future[JsonObject]", deadline: Deadline) -> JsonObject:
        try:
            # An endless wait cannot be interrupted; nobody waits a day.
            return future.result(timeout=min(deadline.remaining(), 86_400))
        except FutureTimeoutError as error:
            future.cancel()
            raise DeadlineError("time ran out while the file was read") from error
        except CancelledError as error:
            raise UnavailableError("the media function's client was closed") from error

    def _run(self, event: JsonObject, data: bytes, deadline: Deadline) -> JsonObject:
        with self._source(data) as source:
            return self._invoke(orjson.dumps({**event, **source}), deadline)

    @contextmanager
    def _source(self, data: bytes) -> Iterator[JsonObject]:
        """Yield what the event says of the bytes: themselves, or a URL that reads them, once."""
        if len(data) <= self._inline_bytes:
            yield {"data_base64": base64.b64encode(data).decode()}
            return
        key = PREFIX + secrets.token_hex(16)
        self._blobs.put(key, data)
        try:
            signed = self._blobs.presign(key, expires_s=int(_READ_TIMEOUT_S))
            yield {"presigned_url": signed.url}
        finally:
            # The answer does not depend on it: what stays behind expires.
            with suppress(TrawlError):
                self._blobs.delete(key)

    def _invoke(self, payload: bytes, deadline: Deadline) -> JsonObject:
        for pause in _PAUSES_S:
            try:
                return self._invoke_once(payload)
            except _ThrottledError:
                if self._closed or deadline.remaining() <= pause:
                    raise
                self._sleep(pause)
        return self._invoke_once(payload)

    def _invoke_once(self, payload: bytes) -> JsonObject:
        from botocore.exceptions import BotoCoreError, ClientError
        from urllib3.exceptions import HTTPError

        began = time.monotonic()
        try:
            answer = self._client().invoke(
                FunctionName=self._function, InvocationType="RequestResponse", Payload=payload
            )
            raw: bytes = answer["Payload"].read()
        except ClientError as error:
            if error_code(error) in _THROTTLED:
                raise _ThrottledError(
                    "the media function is at its concurrency limit", retry_after_seconds=1.0
                ) from error
            raise map_error(error, "the media function") from error
        except (BotoCoreError, HTTPError, OSError) as error:
            raise map_error(error, "the media function") from error
        # What failed is billed too; what was refused came to no function.
        self._meter.add(time.monotonic() - began)
        if "FunctionError" in answer:
            raise _function_error(raw)
        return read_header(raw)


class _ThrottledError(UnavailableError):
    """The function has as many calls as it may: worth another try, within one call too."""


def _make_client() -> Any:
    # One attempt: after a timeout the file may still be in work, and throttling is waited for here.
    return make_client("lambda", read_timeout_s=_READ_TIMEOUT_S, attempts=1)


def _function_error(raw: bytes) -> TrawlError:
    """Return whose fault it is that the function ended without an answer of its own."""
    try:
        told = read_header(raw)
    except MediaError:
        told = {}
    kind, message = str(told.get("errorType", ""))[:100], str(told.get("errorMessage", ""))[:500]
    if _KILLED.search(f"{kind} {message}"):
        slow = "timed out" in message.lower() or "Timedout" in kind
        why = "it took too long" if slow else "it crashed or used too much memory"
        return MediaError(f"the file made the media function end ({why})")
    return TrawlError(f"the media function failed ({kind or 'unknown error'}); see its log")


def _unpack(info: ExtractorInfo, answer: JsonObject) -> Extraction:
    fault = answer.get("error")
    if isinstance(fault, dict):
        raise _answered_error(fault)
    header = answer.get("extraction")
    if not isinstance(header, dict) or len(orjson.dumps(header)) > MAX_HEADER_BYTES:
        raise MediaError("the media function answered something that is no extraction")
    try:
        body = base64.b64decode(str(answer.get("vectors_base64")), validate=True)
    except (binascii.Error, ValueError) as error:
        raise MediaError("the media function answered vectors that are not base64") from error
    return unpack_extraction(info, header, body)


def _answered_error(fault: Mapping[str, Any]) -> TrawlError:
    """Return the error that the function described; what it may not say counts as its own."""
    message = str(fault.get("message"))[:2000]
    kinds = (MediaError, InvalidRequestError, MissingExtraError, UnavailableError)
    for kind in kinds:
        if fault.get("code") == kind.code:
            return kind(message)
    return TrawlError(f"the media function failed: {message[:200]}")
