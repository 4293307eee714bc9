"""A Lambda function on this machine: AWS's own runtime client, and the Runtime API that feeds it.

What the service does to a function is done here too: init errors, deadlines, the 6 MB of a request
and an answer, processes that end, and a new process after each of these.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
# What the service takes and gives in one synchronous invocation.
LIMIT_BYTES = 6_291_556
ARN = "arn:aws:lambda:eu-central-1:123456789012:function:{}"
# The service gives an init 10 s; a busy machine of tests may need more, and says so.
_INIT_S = 60.0
_API = "/2018-06-01/runtime/"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller of a function gets. `error` is the type of a failure, None if it answered."""

    request_id: str
    payload: bytes
    seconds: float
    error: str | None = None

    @property
    def json(self) -> Any:
        """The payload, read."""
        return json.loads(self.payload)


@dataclass(slots=True)
class Function:
    """One function with one process at a time, started by `start` or the first invocation.

    `environment` is all that the process sees beside what Lambda sets. `memory_mb` bounds its
    address space, which is more than what Lambda counts.
    """

    handler: str
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 30.0
    memory_mb: int | None = None
    name: str = "trawl"
    _process: "_Process | None" = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Answer | None:
        """Start a process if none runs, and wait until it is ready; return its init error."""
        if self._process is None:
            self._process = _Process(self)
        fault = self._process.wait_until_ready()
        if fault is not None:
            self.stop()
        return fault

    def invoke(self, event: object, *, timeout_s: float | None = None) -> Answer:
        """Run one event to its answer, or to the end of its time or its process."""
        payload = json.dumps(event).encode()
        if len(payload) > LIMIT_BYTES:
            return _fault("", "RequestTooLarge", f"{len(payload)} bytes exceed {LIMIT_BYTES}")
        fault = self.start()
        if fault is not None or self._process is None:
            return fault or _fault("", "Runtime.ExitError", "no process")
        answer, usable = self._process.run(payload, timeout_s or self.timeout_s)
        if not usable:
            self.stop()
        return answer

    def terminate(self) -> int:
        """End the process as the service does that takes it back; return its exit code."""
        assert self._process is not None
        self._process.child.send_signal(signal.SIGTERM)
        code = self._process.child.wait(30)
        self.stop()
        return code

    def stop(self) -> None:
        """End the process, if any."""
        process, self._process = self._process, None
        if process is not None:
            process.stop()

    @property
    def pid(self) -> int | None:
        """The present process's id."""
        return None if self._process is None else self._process.child.pid

    @property
    def log(self) -> str:
        """What the present process has printed."""
        return "" if self._process is None else self._process.log_path.read_text()


class _Process:
    """One execution environment: a child with the runtime client, and its Runtime API."""

    def __init__(self, function: Function) -> None:
        # (kind, request id, body): what the child said, or that it has ended.
        self.said: queue.SimpleQueue[tuple[str, str, bytes]] = queue.SimpleQueue()
        # What the child is handed when it asks for more; None ends its connection.
        self.work: queue.SimpleQueue[tuple[dict[str, str], bytes] | None] = queue.SimpleQueue()
        self._arn = ARN.format(function.name)
        self._server = _Server(("127.0.0.1", 0), _RuntimeApi)
        self._server.owner = self
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        descriptor, path = tempfile.mkstemp(prefix="lambda-", suffix=".log")
        self.log_path = Path(path)
        self.started_at = time.monotonic()
        with os.fdopen(descriptor, "wb") as log:
            self.child = subprocess.Popen(  # noqa: S603 - our own interpreter
                [sys.executable, "-m", "awslambdaric", function.handler],
                cwd=ROOT,
                env=self._environment(function),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if function.memory_mb is not None:
            import resource

            most = function.memory_mb * 1024 * 1024
            resource.prlimit(self.child.pid, resource.RLIMIT_AS, (most, most))
        threading.Thread(target=self._watch, daemon=True).start()
        self._ready = False

    def _environment(self, function: Function) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", ""),
            "LANG": "en_US.UTF-8",
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb or 1769),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_REGION": "eu-central-1",
            "AWS_DEFAULT_REGION": "eu-central-1",
            **function.environment,
        }

    def _watch(self) -> None:
        code = self.child.wait()
        self.said.put(("exit", "", str(code).encode()))

    def wait_until_ready(self) -> Answer | None:
        """Return the init error, None once the child asks for its first event."""
        if self._ready:
            return None
        try:
            kind, _, body = self.said.get(timeout=_INIT_S)
        except queue.Empty:
            return _fault("", "Sandbox.Timedout", f"Init: no event asked for within {_INIT_S} s")
        if kind == "next":
            self._ready = True
            return None
        if kind == "init-error":
            return _failed("", body)
        return _fault("", "Runtime.ExitError", f"Runtime exited during init: {body.decode()}")

    def run(self, payload: bytes, timeout_s: float) -> tuple[Answer, bool]:
        """Return the answer to one event, and whether the process may be used again."""
        request_id = str(uuid.uuid4())
        started = time.monotonic()
        headers = {
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + timeout_s) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": self._arn,
            "Lambda-Runtime-Trace-Id": f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}",
        }
        self.work.put((headers, payload))
        answer: Answer | None = None
        while True:
            left = max(0.0, started + timeout_s - time.monotonic())
            try:
                # An answer given, the environment is free once it asks for more.
                kind, asked, body = self.said.get(timeout=left if answer is None else 5)
            except queue.Empty:
                if answer is not None:
                    return answer, False
                told = f"{request_id} Task timed out after {timeout_s:.2f} seconds"
                return _fault(request_id, "Sandbox.Timedout", told, timeout_s), False
            seconds = time.monotonic() - started
            if kind == "next" and answer is not None:
                return answer, True
            if kind == "exit":
                told = f"RequestId: {request_id} Error: Runtime exited with {body.decode()}"
                return answer or _fault(request_id, "Runtime.ExitError", told, seconds), False
            if asked != request_id or answer is not None:
                told = f"{kind} for {asked!r} while {request_id} ran"
                return _fault(request_id, "Runtime.InvalidRequest", told, seconds), False
            if kind == "response":
                answer = Answer(request_id, body, seconds)
            elif kind == "too-large":
                told = f"Response payload size exceeded {LIMIT_BYTES} bytes"
                name = "Function.ResponseSizeTooLarge"
                answer = _fault(request_id, name, told, seconds)
            else:
                answer = _failed(request_id, body, seconds)

    def stop(self) -> None:
        """End the child and the server."""
        self.child.kill()
        self.child.wait()
        self.work.put(None)
        self._server.shutdown()
        self._server.server_close()
        self.log_path.unlink(missing_ok=True)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: _Process


class _RuntimeApi(BaseHTTPRequestHandler):
    """The endpoints. Nagle's algorithm would hold each small answer back for 40 ms."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        owner = self.server.owner
        if self.path != _API + "invocation/next":
            return self._reply(404, {}, b"")
        owner.said.put(("next", "", b""))
        work = owner.work.get()
        if work is None:
            self.close_connection = True
            return None
        return self._reply(200, *work)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        said = self.server.owner.said
        if self.path == _API + "init/error":
            self._reply(202, {}, b"{}")
            return said.put(("init-error", "", body))
        request_id, _, kind = self.path.removeprefix(_API + "invocation/").partition("/")
        if kind == "response" and len(body) > LIMIT_BYTES:
            self._reply(413, {}, b'{"errorType": "RequestEntityTooLarge"}')
            return said.put(("too-large", request_id, b""))
        self._reply(202, {}, b"{}")
        return said.put((kind, request_id, body))

    def _reply(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        lines = [f"HTTP/1.1 {status} {'OK' if status < 300 else 'Refused'}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", "", ""]
        # One write, one packet.
        self.wfile.write("\r\n".join(lines).encode() + body)


def _fault(request_id: str, kind: str, message: str, seconds: float = 0.0) -> Answer:
    told = json.dumps({"errorType": kind, "errorMessage": message}).encode()
    return Answer(request_id, told, seconds, kind)


def _failed(request_id: str, body: bytes, seconds: float = 0.0) -> Answer:
    return Answer(request_id, body, seconds, str(json.loads(body).get("errorType", "Unknown")))
