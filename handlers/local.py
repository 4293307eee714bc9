"""The same API on localhost: routes, storage and engine of the real one over uvicorn."""

import asyncio
import logging
import secrets
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final
from urllib.parse import parse_qs

import orjson
import uvicorn

from core.app import App, build_app
from core.deadline import Deadline
from core.errors import TrawlError
from core.settings import Settings
from handlers.http.dispatch import Dispatcher
from handlers.http.messages import ApiRequest, ApiResponse
from handlers.http.presigned import BlobServer, SigningStores
from handlers.http.routes import TABLE
from handlers.http.statuses import BodyTooLargeError, error_body

Scope = dict[str, Any]
Receive = Callable[[], Any]
Send = Callable[[dict[str, Any]], Any]

HOST: Final = "127.0.0.1"
# No gateway stands before this server, so files may come along as data URIs, twenty at once.
MAX_BODY_BYTES: Final = 64_000_000
# Nothing cuts a call off here; a forgotten one ends all the same.
MAX_CALL_SECONDS: Final = 900.0
BLOCKING_THREADS: Final = 32
_OWNER: Final = "owner"
_access = logging.getLogger("trawl.access")


class LocalServer:
    """An ASGI application over one app. Give it to any ASGI server, or to `serve`."""

    def __init__(self, app: App) -> None:
        self._dispatch = Dispatcher(TABLE, lambda: app)
        buckets = app.buckets
        self._blobs = BlobServer(buckets) if isinstance(buckets, SigningStores) else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the lifespan events are nothing to this application."""
        if scope["type"] == "lifespan":
            await _answer_lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"this server speaks HTTP, not {scope['type']}")
        request_id = f"req_{secrets.token_hex(8)}"
        try:
            body = await _read_body(scope, receive)
        except _ClientGoneError:
            return
        except TrawlError as error:
            await _send(_error(error, request_id), send)
            return
        request = _request(scope, body, request_id)
        if request.path == "/":  # whoever opens the address that `serve` printed
            await _send(ApiResponse(307, b"", {"Location": "/docs"}), send)
            return
        if self._blobs is not None and request.path.startswith("/blobs/"):
            response = await asyncio.to_thread(self._blobs.answer, request)
            await _send(response, send)
            return
        await self._answer(request, receive, send)

    async def _answer(self, request: ApiRequest, receive: Receive, send: Send) -> None:
        """Dispatch, and stop the work if the client goes away before it is done."""
        work = asyncio.create_task(self._work(request, send))
        watch = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watch.cancel()
            if not work.done():
                work.cancel()
            results = await asyncio.gather(work, watch, return_exceptions=True)
        if isinstance(results[0], Exception):
            raise results[0]

    async def _work(self, request: ApiRequest, send: Send) -> None:
        response = await self._dispatch(request)
        if _access.isEnabledFor(logging.INFO):
            _access.info(_access_line(request, response))
        await _send(response, send)


@dataclass(slots=True)
class RunningServer:
    """A server in a thread of this process. `admin_key` is new with each start."""

    base_url: str
    admin_key: str
    app: App
    _server: "_Server"
    _thread: threading.Thread

    def stop(self) -> None:
        """Finish what is being answered, then end the server and its app."""
        self._server.should_exit = True
        self._thread.join()
        self.app.close()


def start_background(
    data_dir: Path, *, port: int = 0, environment: Mapping[str, str] | None = None
) -> RunningServer:
    """Serve a data folder from a thread; port 0 takes a free one. Returns once it listens."""
    listener = _listen(port)
    base_url = _url_of(listener)
    app = build_app(Settings.local(data_dir, environment or {}), base_url=base_url)
    _, key = app.keys.create(f"background-{secrets.token_hex(4)}", "admin", user=_OWNER)
    server = _Server(app)
    thread = threading.Thread(
        target=_run_server, args=(server, listener), name="trawl-server", daemon=True
    )
    thread.start()
    while not server.listening.wait(0.1):
        if not thread.is_alive():
            raise RuntimeError("the server ended before it listened")
    return RunningServer(base_url, key, app, server, thread)


def serve(
    *,
    port: int = 8080,
    data_dir: Path,
    environment: Mapping[str, str],
    access_log: bool = False,
    announce: Callable[[str], None] = print,
) -> None:
    """Serve a data folder until SIGINT or SIGTERM; what is being answered is finished first.

    At the first start, when there is no key yet, an admin key is made and announced once.
    """
    if access_log:
        _access.setLevel(logging.INFO)
        logging.basicConfig(format="%(message)s")
    listener = _listen(port)
    base_url = _url_of(listener)
    app = build_app(Settings.local(data_dir, environment), base_url=base_url)
    try:
        announce(f"Trawl serves {data_dir} on {base_url} (API under {base_url}/v1)")
        announce(f"Read and try the API: {base_url}/docs")
        if not app.keys.any():
            _, key = app.keys.create("first", "admin", user=_OWNER)
            announce(f"Admin key, shown this once: {key}")
        server = _Server(app)
        with _signals_ignored_after(server):
            _run_server(server, listener)
    finally:
        app.close()


class _Server(uvicorn.Server):
    """Says when it listens, so that nobody has to ask again and again."""

    def __init__(self, app: App) -> None:
        config = uvicorn.Config(
            LocalServer(app),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=10,
        )
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # Upserts of media hold a thread for long; checks of keys must not wait behind them.
        pool = ThreadPoolExecutor(BLOCKING_THREADS, thread_name_prefix="trawl-http")
        asyncio.get_running_loop().set_default_executor(pool)
        await super().startup(sockets)
        self.listening.set()


def _run_server(server: _Server, listener: socket.socket) -> None:
    with listener:
        asyncio.run(server.serve(sockets=[listener]))


@contextmanager
def _signals_ignored_after(server: _Server) -> Iterator[None]:
    """While it runs, uvicorn ends in order on SIGINT and SIGTERM; afterwards it raises them anew,
    which would end the process before the app is closed."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _listen(port: int) -> socket.socket:
    """Return a socket that is bound before anything else is built, so that its URL is known."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Answers are written in two pieces; without this the second waits for the first's receipt.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((HOST, port))
        # Whoever reads the address may connect at once: the server finds them waiting.
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def _url_of(listener: socket.socket) -> str:
    return f"http://{HOST}:{listener.getsockname()[1]}"


def _request(scope: Scope, body: bytes, request_id: str) -> ApiRequest:
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        # Of a repeated header the first counts: a proxy adds its own at the end.
        headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    raw_path = scope.get("raw_path") or scope["path"].encode()
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return ApiRequest(
        method=scope["method"],
        path=raw_path.decode("latin-1").partition("?")[0],
        headers=headers,
        deadline=Deadline.after(MAX_CALL_SECONDS),
        request_id=request_id,
        query=query,
        body=body,
        can_stream=True,
    )


def _access_line(request: ApiRequest, response: ApiResponse) -> str:
    """Return one request as a line of JSON: no query string, no header, nothing of the body."""
    line = {
        "method": request.method,
        "path": request.path,
        "status": response.status,
        "request_id": request.request_id,
    }
    return orjson.dumps(line).decode()


class _ClientGoneError(Exception):
    """The client went away before its request was read."""


async def _read_body(scope: Scope, receive: Receive) -> bytes:
    """Return the whole body; `BodyTooLargeError` as soon as it is known to be too large."""
    sizes = [value for name, value in scope["headers"] if name == b"content-length"]
    if sizes and sizes[0].isdigit() and int(sizes[0]) > MAX_BODY_BYTES:
        raise _too_large()
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientGoneError
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise _too_large()
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _too_large() -> BodyTooLargeError:
    return BodyTooLargeError(
        f"the body is larger than {MAX_BODY_BYTES} bytes",
        limits={"max_body_bytes": MAX_BODY_BYTES},
    )


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _error(error: TrawlError, request_id: str) -> ApiResponse:
    status, body, headers = error_body(error, request_id)
    all_headers = {"Content-Type": "application/json", "X-Request-Id": request_id, **headers}
    # The body was not read to its end, so nothing more can follow on this connection.
    return ApiResponse(status, orjson.dumps(body), {**all_headers, "Connection": "close"})


async def _send(response: ApiResponse, send: Send) -> None:
    headers = dict(response.headers)
    if response.frames is None:
        headers["Content-Length"] = str(len(response.body))
    raw = [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": raw})
    if response.frames is None:
        await send({"type": "http.response.body", "body": response.body})
        return
    await _send_frames(response.frames, send)


async def _send_frames(frames: AsyncIterator[bytes], send: Send) -> None:
    try:
        async for part in frames:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        # Ends the work behind the stream also when the client is gone.
        close = getattr(frames, "aclose", None)
        if close is not None:
            with suppress(RuntimeError):
                await close()
