"""An HTTPS server that embeds, or fails as it is told: what `https.embedder` speaks to."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any

from core.adapters.fetch_rules import FetchRules
from tests.core.adapters.test_fetch_https import make_certificates

HOST = "media.test"
LOOPBACK = ip_network("127.0.0.0/8")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer instead of the vectors; `hang` sends none until the server ends."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as it came."""

    path: str
    headers: dict[str, str]
    body: Any


class EmbeddingServer(ThreadingHTTPServer):
    """Gives out `replies` first, then vectors; `asked` holds every request in order."""

    daemon_threads = False

    def __init__(self, replies: Sequence[Reply]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies = list(replies)
        self.asked: list[Asked] = []
        self.lock = threading.Lock()
        self.over = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients leave early here on purpose."""

    @property
    def url(self) -> str:
        """Where it takes inputs."""
        return f"https://{HOST}:{self.server_port}/embed"

    def rules(self, folder: Path) -> FetchRules:
        """Return rules under which it may be reached."""
        return FetchRules(
            ports=frozenset({self.server_port}),
            allowed_networks=(LOOPBACK,),
            ca_file=folder / "ca.pem",
            resolve=lambda _host, _port: ["127.0.0.1"],
        )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: EmbeddingServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.asked.append(Asked(self.path, dict(self.headers), body))
            reply = self.server.replies.pop(0) if self.server.replies else None
        if reply is None:
            vectors = [vector_of(each, body["dimension"]) for each in body["inputs"]]
            reply = Reply(body=json.dumps({"embeddings": vectors}).encode())
        self.close_connection = True
        if reply.hang:
            self.server.over.wait(20)
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""


def vector_of(one: dict[str, str], dimension: int) -> list[float]:
    """Return a vector that depends on the input and nothing else."""
    text = one.get("text") or one["base64"]
    return [float(len(text)), *(float(ord(text[n % len(text)])) for n in range(1, dimension))]


@contextmanager
def embedding_server(folder: Path, *replies: Reply) -> Iterator[EmbeddingServer]:
    """Yield a running server whose certificate the `rules` trust."""
    make_certificates(folder)
    server = EmbeddingServer(replies)
    tls = SSLContext(PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "server.pem")
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
