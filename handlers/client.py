"""The API as the command line speaks to it: the same requests to a data folder or to a server."""

import asyncio
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import wait
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import orjson

from core.auth.keys import Keys
from core.auth.principals import ALL_NAMESPACES, Principal
from core.deadline import Deadline
from core.errors import InvalidRequestError, TrawlError, UnauthorizedError
from core.types import JsonObject
from handlers.client_errors import ApiError, ClientError, UnreachableError
from handlers.http.dispatch import Dispatcher
from handlers.http.messages import ApiRequest
from handlers.http.presigned import PREFIX, BlobServer, SigningStores
from handlers.http.routes import TABLE

if TYPE_CHECKING:
    from core.app import App
    from core.ports.records import Records

# Of clients that retry, as the reference's SDK does.
_RETRIED: Final = frozenset({429, 503})
_FIRST_WAIT_S: Final = 2.0
_LONGEST_WAIT_S: Final = 30.0
_ALL_WAITS_S: Final = 180.0

_LOOK_UP_S: Final = 0.5
_CONNECT_S: Final = 10.0
# Longer than the server lets any call run.
_READ_S: Final = 930.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Transport(Protocol):
    """Carries one request to the API. `query` is not yet encoded; `path` is."""

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
    ) -> Reply:
        """Return the answer, whatever its status; `UnreachableError` if there is none."""

    def close(self) -> None:
        """Let go of connections, threads and child processes."""


class Client:
    """Calls operations of the API by method and path, and waits where it is told to."""

    def __init__(
        self,
        transport: Transport,
        *,
        namespace: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._transport = transport
        self._sleep = sleep
        self.namespace = namespace

    def call(
        self,
        method: str,
        path: str,
        body: JsonObject | None = None,
        *,
        query: Mapping[str, str] | None = None,
    ) -> Any:
        """Return the parsed answer; raises `ApiError` and `UnreachableError`.

        On 429 and 503 it waits as told, else 2 s and twice as long each time: at most 30 s at
        once and 180 s in all.
        """
        headers = {"content-type": "application/json"}
        if self.namespace is not None:
            headers["x-namespace"] = self.namespace
        data = b"" if body is None else orjson.dumps(body)
        waited, wait = 0.0, _FIRST_WAIT_S
        while True:
            reply = self._transport.send(method, path, query or {}, headers, data)
            answer = _parse(reply)
            if 200 <= reply.status < 300:
                return answer
            error = ApiError(reply.status, answer if isinstance(answer, dict) else {})
            if reply.status not in _RETRIED or error.details.get("retryable") is False:
                raise error
            pause = min(_asked_wait(reply, error) or wait, _LONGEST_WAIT_S)
            if waited + pause > _ALL_WAITS_S:
                raise error
            self._sleep(pause)
            waited, wait = waited + pause, wait * 2

    def find(self, path: str) -> Any | None:
        """Return what a GET finds, None for a 404."""
        try:
            return self.call("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def read_file(self, url: str) -> bytes:
        """Return the bytes behind a presigned URL; `UnreachableError` if it does not give them."""
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        if isinstance(self._transport, AppTransport) and parts.path.startswith(PREFIX):
            # A data folder's URLs point at a server that need not run.
            reply = self._transport.send("GET", parts.path, query, {}, b"")
        else:
            reply = _get(url)
        if reply.status != 200:
            raise UnreachableError(f"the file could not be read: status {reply.status}")
        return reply.body

    def read_signed(self, url: str, *, most: int) -> bytes | None:
        """Return at most so many bytes behind a URL that a document of the service holds.

        None, and nothing is asked, where this service cannot have signed it: it signs addresses of
        itself and of S3. `UnreachableError` if it does not answer, or has more.
        """
        from handlers.presigned import read_presigned

        try:
            if isinstance(self._transport, AppTransport) and urlsplit(url).path.startswith(PREFIX):
                return self.read_file(url)
            if isinstance(self._transport, HttpTransport) and self._transport.serves_file(url):
                return _get(url, most=most).body
            return read_presigned(url, max_bytes=most)
        except (InvalidRequestError, ValueError):
            return None
        except TrawlError as error:
            raise UnreachableError(error.message) from None

    def close(self) -> None:
        """Close the transport."""
        self._transport.close()


def api_path(*parts: str) -> str:
    """Return `/v1/…` of these parts, each percent-encoded."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def _parse(reply: Reply) -> Any:
    if not reply.body:
        return {}
    try:
        return orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        kind = reply.headers.get("content-type", "no content type")
        if reply.status == 413:  # gateways refuse large bodies in words of their own
            return {"error": {"message": "the request is larger than the server takes"}}
        raise UnreachableError(
            f"what answered is not Trawl's API: status {reply.status}, {kind}"
        ) from None


def _asked_wait(reply: Reply, error: ApiError) -> float | None:
    for asked in (reply.headers.get("retry-after"), error.details.get("retry_after_seconds")):
        try:
            seconds = float(asked)  # type: ignore[arg-type]  # None and dates are refused below
        except (TypeError, ValueError):
            continue
        if seconds >= 0:
            return seconds
    return None


class HttpTransport:
    """A server, over kept-alive connections."""

    def __init__(self, url: str, key: str) -> None:
        import urllib3

        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ClientError(f"{url!r} is no address of an API: expected http(s)://HOST")
        base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1')}"
        self._base = base
        self._key = key
        # Retries are the client's own, and a redirect would take the key elsewhere.
        self._pool = urllib3.PoolManager(
            maxsize=8,
            retries=False,
            timeout=urllib3.Timeout(connect=_CONNECT_S, read=_READ_S),
        )

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
    ) -> Reply:
        from urllib3.exceptions import HTTPError

        url = self._base + path + (f"?{urlencode(query)}" if query else "")
        try:
            response = self._pool.request(
                method,
                url,
                body=body or None,
                headers={**headers, "authorization": f"Bearer {self._key}"},
                redirect=False,
            )
        except HTTPError as error:
            raise UnreachableError(f"cannot reach {self._base}: {_reason(error)}") from None
        named = {name.lower(): value for name, value in response.headers.items()}
        return Reply(response.status, named, response.data)

    def serves_file(self, url: str) -> bool:
        """Say whether a URL is that of a file which this server itself hands out."""
        ours, parts = urlsplit(self._base), urlsplit(url)
        own = (parts.scheme, parts.netloc) == (ours.scheme, ours.netloc)
        return own and parts.path.startswith(PREFIX)

    def close(self) -> None:
        self._pool.clear()


def _reason(error: Exception) -> str:
    """Return the innermost reason, without the library's object names."""
    inner: BaseException = error
    while inner.__cause__ is not None or inner.__context__ is not None:
        inner = inner.__cause__ or inner.__context__ or inner
    text = getattr(inner, "strerror", None) or str(inner)
    return text or type(inner).__name__


def _get(url: str, *, most: int | None = None) -> Reply:
    """Return what is behind a URL; of one with a limit no redirect is followed."""
    import urllib3
    from urllib3.exceptions import HTTPError

    timeout = urllib3.Timeout(connect=_CONNECT_S, read=_READ_S)
    try:
        if most is None:
            response = urllib3.request("GET", url, timeout=timeout)
            return Reply(response.status, {}, response.data)
        with urllib3.request(
            "GET", url, timeout=timeout, redirect=False, retries=False, preload_content=False
        ) as response:
            data = response.read(most + 1, decode_content=False)
    except HTTPError as error:
        raise UnreachableError(f"the file could not be read: {_reason(error)}") from None
    if response.status != 200 or len(data) > most:
        why = f"status {response.status}" if response.status != 200 else f"more than {most} bytes"
        raise UnreachableError(f"the file could not be read: {why}")
    return Reply(response.status, {}, data)


class AppTransport:
    """A service within this process: the API's own dispatch, without a socket.

    Whoever can read the data folder or the table holds everything in it already, so this process
    is let in by a secret of its own. It is never stored: nothing is left to revoke, and the
    server still makes its first key at its first start.
    """

    def __init__(self, app: "App") -> None:
        token = secrets.token_urlsafe(32)
        self._app = replace(app, keys=_OwnKeys(app.records, token))
        self._authorization = f"Bearer {token}"
        self._dispatch = Dispatcher(TABLE, lambda: self._app)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="trawl-client", daemon=True
        )
        self._thread.start()

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
    ) -> Reply:
        request = ApiRequest(
            method=method,
            path=path,
            headers={**headers, "authorization": self._authorization},
            deadline=Deadline.after(_READ_S),
            request_id=f"req_{secrets.token_hex(8)}",
            query={name: [value] for name, value in query.items()},
            body=body,
        )
        buckets = self._app.buckets
        if path.startswith(PREFIX) and isinstance(buckets, SigningStores):
            response = BlobServer(buckets).answer(request)
        else:
            work = asyncio.run_coroutine_threadsafe(self._dispatch(request), self._loop)
            # Not one long wait: a Ctrl-C that comes just before it would be seen only after it.
            while not wait([work], timeout=_LOOK_UP_S).done:
                pass
            response = work.result()
        named = {name.lower(): value for name, value in response.headers.items()}
        return Reply(response.status, named, response.body)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
        self._app.close()


class _OwnKeys(Keys):
    """The keys of a deployment; and one more, of this process alone, for everything."""

    def __init__(self, records: "Records", token: str) -> None:
        super().__init__(records)
        self._token = token

    def authenticate(self, text: str) -> Principal:
        if not hmac.compare_digest(text.encode(), self._token.encode()):
            raise UnauthorizedError("not this process's own key")
        return Principal("cli", "admin", (ALL_NAMESPACES,), "owner")
