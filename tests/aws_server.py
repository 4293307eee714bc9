"""DynamoDB and S3 at an address of this machine: moto behind a socket, and faults on the way.

Clients speak to it as to AWS itself, retries, timeouts and torn connections included, which
moto's own mocks, called inside the client, cannot show.
"""

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from botocore.config import Config
from moto.backends import get_backend
from moto.core.botocore_stubber import BotocoreStubber

REGION = "us-east-1"
TABLE, BUCKETS = "trawl-table", ("trawl-assets", "trawl-index", "trawl-results")


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `operation` is DynamoDB's ("UpdateItem") or S3's method ("GET")."""

    service: str
    operation: str
    path: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of a request.

    With a `status` it is answered with that and the error `code`; `hang` answers nothing until the
    server ends; `applied` carries it out all the same. `cut` resets the connection after so many
    bytes of the body; `alter` changes the body.
    """

    status: int = 0
    code: str = ""
    applied: bool = False
    hang: bool = False
    cut: int | None = None
    alter: Callable[[bytes], bytes] | None = None


Decide = Callable[[Request], Fault | None]


@dataclass(slots=True)
class AwsServer:
    """A running server. `decide` sees every request first; `seen` holds them in order."""

    endpoint: str
    decide: Decide = lambda request: None
    seen: list[Request] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    # Moto, called from several threads, does not write atomically.
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def environment(self) -> dict[str, str]:
        """Variables that lead any process's clients here, and Trawl to its table and buckets."""
        assets, index, results = BUCKETS
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "TRAWL_TABLE": TABLE,
            "TRAWL_ASSETS_BUCKET": assets,
            "TRAWL_INDEX_BUCKET": index,
            "TRAWL_RESULTS_BUCKET": results,
        }

    def client(self, service: str, **config: Any) -> Any:
        """Return a boto3 client of this server; `config` is botocore's."""
        return boto3.client(  # type: ignore[call-overload]  # any service's name
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(**config),
        )

    def count(self, service: str, operation: str) -> int:
        """Return how many such requests have come."""
        return sum((one.service, one.operation) == (service, operation) for one in self.seen)

    def fail(self, faults: Sequence[Fault | None], service: str, operation: str) -> None:
        """Let the next such requests meet these faults, one each; those after them none."""
        left = iter(list(faults))

        def decide(request: Request) -> Fault | None:
            if (request.service, request.operation) != (service, operation):
                return None
            return next(left, None)

        self.decide = decide


@contextmanager
def running_aws() -> Iterator[AwsServer]:
    """Run a server with Trawl's empty table and buckets."""
    for service in ("s3", "dynamodb"):
        get_backend(service).reset()
    http = _Server(("127.0.0.1", 0), _Handler)
    http.aws = AwsServer(f"http://127.0.0.1:{http.server_port}")
    threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True).start()
    try:
        _make_resources(http.aws)
        http.aws.seen.clear()
        yield http.aws
    finally:
        http.aws.ended.set()
        http.shutdown()
        http.server_close()


def _make_resources(aws: AwsServer) -> None:
    keys = (("pk", "HASH"), ("sk", "RANGE"))
    aws.client("dynamodb").create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
        BillingMode="PAY_PER_REQUEST",
    )
    for bucket in BUCKETS:
        aws.client("s3").create_bucket(Bucket=bucket)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Fifty connections at once are no attack here.
    request_queue_size = 128
    aws: AwsServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        """Answer any method."""
        aws = self.server.aws
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        target = self.headers.get("X-Amz-Target", "")
        service = "dynamodb" if target else "s3"
        operation = target.partition(".")[2] or self.command
        request = Request(service, operation, self.path, dict(self.headers.items()))
        with aws.lock:
            aws.seen.append(request)
            fault = aws.decide(request) or Fault(applied=True)
        status, headers, answer = 0, dict[str, str](), b""
        if fault.applied or not (fault.status or fault.hang):
            with aws.lock:
                status, headers, answer = self._carry_out(service, body)
        if fault.hang:
            aws.ended.wait()
            self.close_connection = True
            return
        if fault.status:
            status, headers, answer = _error(service, fault)
        self._reply(status, headers, answer, fault)

    do_PUT = do_POST = do_DELETE = do_HEAD = do_GET

    def _carry_out(self, service: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        host = f"{service}.{REGION}.amazonaws.com" if service == "dynamodb" else "s3.amazonaws.com"
        headers = HTTPHeaders()
        for name, value in self.headers.items():
            headers[name] = host if name.lower() == "host" else value
        url = f"https://{host}{self.path}"
        prepared = AWSPreparedRequest(self.command, url, headers, body, stream_output=False)
        answered = BotocoreStubber().process_request(prepared)
        assert answered is not None, url
        status, told, content = answered
        raw = content.encode() if isinstance(content, str) else bytes(content)
        return int(status), {str(name): str(value) for name, value in told.items()}, raw

    def _reply(self, status: int, headers: dict[str, str], body: bytes, fault: Fault) -> None:
        if fault.alter is not None:
            body = fault.alter(body)
        length = next((v for n, v in headers.items() if n.lower() == "content-length"), "")
        if self.command != "HEAD" or not length:
            length = str(len(body))
        lines = [f"HTTP/1.1 {status} Told", f"Content-Length: {length}"]
        dropped = ("content-length", "connection", "transfer-encoding")
        lines += [f"{n}: {v}" for n, v in headers.items() if n.lower() not in dropped]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        if self.command == "HEAD":
            body = b""
        # Whoever gave up waiting is not told.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(head + body[: fault.cut])
        if fault.cut is not None:
            # Closing without lingering sends a reset instead of an end.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _error(service: str, fault: Fault) -> tuple[int, dict[str, str], bytes]:
    if service == "dynamodb":
        told = f'{{"__type": "com.amazonaws.dynamodb.v20120810#{fault.code}", "message": "m"}}'
        return fault.status, {"Content-Type": "application/x-amz-json-1.0"}, told.encode()
    told = f"<Error><Code>{fault.code}</Code><Message>m</Message></Error>"
    return fault.status, {"Content-Type": "application/xml"}, told.encode()
