"""The fetcher against a real HTTPS server: what it brings, and where it never goes."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from core.adapters.fetch_content import ContentFetcher
from core.adapters.fetch_https import HttpsFetcher
from core.adapters.fetch_rules import FetchRules
from core.deadline import Deadline
from core.errors import DeadlineError, FetchError, FetchUnavailableError, MediaError

LOOPBACK = ip_network("127.0.0.0/8")
METADATA = "169.254.169.254"
BODY = bytes(range(256)) * 40
Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers each path by its entry in `ANSWERS`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer, and remember what was asked."""
        self.server.asked.append(dict(self.headers))  # type: ignore[attr-defined] # ours, below
        self.close_connection = True
        ANSWERS[self.path.partition("?")[0]](self)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""


class Server(ThreadingHTTPServer):
    """Keeps what it was asked, and does not complain of clients that leave."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, str]] = []
        self.over = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients leave early here on purpose."""


def send(status: int = 200, body: bytes = BODY, **headers: str) -> Answer:
    def answer(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers and "Transfer_Encoding" not in headers:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def endless(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(bytes(100_000))


def raw(data: bytes) -> Answer:
    def answer(handler: Handler) -> None:
        handler.wfile.write(data)

    return answer


def drip(start: bytes, piece: bytes) -> Answer:
    def answer(handler: Handler) -> None:
        over = handler.server.over  # type: ignore[attr-defined] # ours, above
        handler.wfile.write(start)
        while not over.wait(0.02):
            handler.wfile.write(piece)

    return answer


def unfinished(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.write(BODY)


ANSWERS: dict[str, Answer] = {
    "/ok": send(Content_Type="image/png"),
    "/empty": send(body=b""),
    "/gone": send(404),
    "/forbidden": send(403),
    "/teapot": send(204, b""),
    "/partial": send(206),
    "/broken": send(500),
    "/busy": send(429),
    "/zip": send(Content_Encoding="gzip"),
    "/endless": endless,
    "/large": send(Content_Length="99999999"),
    "/unfinished": unfinished,
    "/slow-body": drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    "/slow-head": drip(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
    "/slow-line": drip(b"HTTP/1.1 200 OK\r\nX-A: ", b"b"),
    "/silent": drip(b"", b""),
    "/junk": raw(b"\x00\x01 no http\r\n\r\n"),
    "/huge-head": raw(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000 + b"\r\n\r\n"),
    "/chunks": send(
        body=b"5\r\nhello\r\n0\r\n\r\n", Transfer_Encoding="chunked", Content_Type="text/plain"
    ),
    "/bad-chunks": send(body=b"zz\r\nhello\r\n", Transfer_Encoding="chunked"),
    "/to-ok": send(302, b"", Location="/ok"),
    "/to-to-ok": send(307, b"", Location="/to-ok"),
    "/loop": send(302, b"", Location="/loop"),
    "/nowhere": send(302, b""),
    "/to-metadata": send(302, b"", Location=f"https://{METADATA}/latest/meta-data/"),
    "/to-metadata-name": send(302, b"", Location="//metadata.test/latest"),
    "/to-http": send(301, b"", Location="http://media.test/ok"),
    "/to-file": send(302, b"", Location="file:///etc/passwd"),
    "/to-user": send(302, b"", Location="https://user:secret@media.test/ok"),
    "/to-port": send(302, b"", Location="https://media.test:22/"),
    "/to-nonsense": send(302, b"", Location="https://[::1"),
}


@dataclass
class Names:
    """A resolver with a table; a list of answers is given out one by one."""

    table: dict[str, list[list[str]]]
    asked: list[str]

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        answers = self.table.get(host, [[host]])
        return answers.pop(0) if len(answers) > 1 else answers[0]


@dataclass
class Site:
    """A running server, the rules under which it may be reached, and its resolver."""

    server: Server
    rules: FetchRules
    names: Names

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def url(self, path: str, host: str = "media.test", scheme: str = "https") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def get(self, path: str, host: str = "media.test", **rules: Any) -> Any:
        fetcher = HttpsFetcher(replace(self.rules, **rules))
        return fetcher.fetch(self.url(path, host), deadline=Deadline.after(30))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    return folder


@pytest.fixture
def site(certificates: Path) -> Iterator[Site]:
    server = Server()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates / "server.pem")
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    with running(server):
        yield site_of(server, certificates)


@pytest.fixture
def plain(certificates: Path) -> Iterator[Site]:
    server = Server()
    with running(server):
        yield site_of(server, certificates)


def site_of(server: Server, certificates: Path) -> Site:
    names = Names(
        {
            "media.test": [["127.0.0.1"]],
            "other.test": [["127.0.0.1"]],
            "metadata.test": [[METADATA]],
            "mixed.test": [["127.0.0.1", "10.0.0.7"]],
            "rebinding.test": [["127.0.0.1"], ["10.0.0.7"]],
        },
        [],
    )
    rules = FetchRules(
        max_bytes=1_000_000,
        ports=frozenset({443, int(server.server_address[1])}),
        allowed_networks=(LOOPBACK,),
        ca_file=certificates / "ca.pem",
        resolve=names,
    )
    return Site(server, rules, names)


class running:
    """Serves in a thread for as long as the block lasts."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.thread = threading.Thread(target=server.serve_forever, args=(0.01,))

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *exc: object) -> None:
        self.server.over.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def make_certificates(folder: Path) -> None:
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")])
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "media.test")])
    now = datetime.now(UTC)

    def build(subject: x509.Name, public: Any) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )

    authority = (
        build(authority_name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    covered = [x509.DNSName(each) for each in ("media.test", "rebinding.test", "mixed.test")]
    certificate = (
        build(name, key.public_key())
        .add_extension(x509.SubjectAlternativeName(covered), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "ca.pem").write_bytes(authority.public_bytes(pem))
    (folder / "server.pem").write_bytes(private + certificate.public_bytes(pem))


def test_brings_the_bytes_and_the_declared_type(site: Site) -> None:
    got = site.get("/ok?token=hush")
    assert got.data == BODY
    assert got.declared_type == "image/png"
    assert got.source == site.url("/ok")


def test_asks_plainly_and_under_the_name(site: Site) -> None:
    site.get("/ok")
    (asked,) = site.server.asked
    assert asked["Host"] == f"media.test:{site.port}"
    assert asked["Accept-Encoding"] == "identity"
    assert not {"Cookie", "Authorization", "Referer"} & set(asked)


def test_proxies_of_the_environment_are_ignored(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert site.get("/ok").data == BODY


def test_an_empty_file_and_chunks_are_brought(site: Site) -> None:
    assert site.get("/empty").data == b""
    assert site.get("/chunks").data == b"hello"


def test_redirects_are_followed_each_resolved_anew(site: Site) -> None:
    assert site.get("/to-to-ok").data == BODY
    assert site.names.asked == ["media.test"] * 3


def test_too_many_redirects_are_refused(site: Site) -> None:
    with pytest.raises(FetchError, match="redirects"):
        site.get("/loop")
    assert len(site.server.asked) == 4


@pytest.mark.parametrize(
    "path",
    [
        "/to-metadata",
        "/to-metadata-name",
        "/to-http",
        "/to-file",
        "/to-user",
        "/to-port",
        "/to-nonsense",
    ],
)
def test_a_redirect_is_held_to_the_same_rules(site: Site, path: str) -> None:
    with pytest.raises(FetchError) as caught:
        site.get(path, ports=frozenset({443, site.port}))
    assert not caught.value.retryable
    assert len(site.server.asked) == 1
    assert "secret" not in caught.value.message


def test_a_name_that_changes_its_address_is_caught_at_the_redirect(site: Site) -> None:
    with pytest.raises(FetchError, match=r"rebinding\.test is at a private"):
        site.get("/to-ok", "rebinding.test")
    assert len(site.server.asked) == 1


def test_the_address_connected_to_is_the_one_checked(site: Site) -> None:
    assert site.get("/ok", "rebinding.test").data == BODY
    assert site.names.asked == ["rebinding.test"]


def test_one_forbidden_address_refuses_the_name(site: Site) -> None:
    with pytest.raises(FetchError, match="private"):
        site.get("/ok", "mixed.test")
    assert site.server.asked == []


def test_the_next_address_is_tried_when_one_does_not_answer(site: Site) -> None:
    site.names.table["media.test"] = [["127.0.0.2", "127.0.0.1"]]
    assert site.get("/ok").data == BODY


@pytest.mark.parametrize(
    ("host", "what"), [("other.test", "certificate"), ("127.0.0.1", "certificate")]
)
def test_the_certificate_must_be_the_names(site: Site, host: str, what: str) -> None:
    with pytest.raises(FetchError, match=what):
        site.get("/ok", host)
    assert site.server.asked == []


def test_the_certificate_must_be_of_a_known_authority(site: Site) -> None:
    with pytest.raises(FetchError, match="certificate"):
        site.get("/ok", ca_file=None)


def test_without_permission_loopback_is_refused(site: Site) -> None:
    with pytest.raises(FetchError, match="private"):
        site.get("/ok", allowed_networks=())
    assert site.server.asked == []


@pytest.mark.parametrize("path", ["/endless", "/large"])
def test_a_file_that_is_too_large_is_refused(site: Site, path: str) -> None:
    with pytest.raises(FetchError, match="more than 1000000 bytes"):
        site.get(path)


@pytest.mark.parametrize("path", ["/slow-body", "/slow-head", "/slow-line", "/silent"])
def test_a_slow_server_is_cut_off_and_may_be_asked_again(site: Site, path: str) -> None:
    with pytest.raises(FetchUnavailableError, match="took too long") as caught:
        site.get(path, max_seconds=0.3)
    assert caught.value.retryable


@pytest.mark.parametrize("path", ["/slow-body", "/silent"])
def test_the_callers_deadline_counts_too(site: Site, path: str) -> None:
    with pytest.raises(DeadlineError):
        HttpsFetcher(site.rules).fetch(site.url(path), deadline=Deadline.after(0.2))


@pytest.mark.parametrize("path", ["/unfinished", "/junk", "/huge-head", "/bad-chunks", "/broken"])
def test_a_server_that_fails_may_be_asked_again(site: Site, path: str) -> None:
    with pytest.raises(FetchUnavailableError):
        site.get(path)


@pytest.mark.parametrize("path", ["/gone", "/forbidden", "/teapot", "/partial", "/nowhere", "/zip"])
def test_a_refusal_is_final(site: Site, path: str) -> None:
    with pytest.raises(FetchError) as caught:
        site.get(path)
    assert not caught.value.retryable


def test_a_busy_server_may_be_asked_again(site: Site) -> None:
    with pytest.raises(FetchUnavailableError, match="429"):
        site.get("/busy")


def test_nobody_listening_may_be_tried_again(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    fetcher = HttpsFetcher(replace(site.rules, ports=frozenset({port})))
    with pytest.raises(FetchUnavailableError, match="no connection"):
        fetcher.fetch(f"https://media.test:{port}/", deadline=Deadline.after(10))


def test_plain_http_needs_permission_and_an_allowed_network(plain: Site) -> None:
    url = plain.url("/ok", scheme="http")
    with pytest.raises(FetchError, match="https"):
        HttpsFetcher(plain.rules).fetch(url, deadline=Deadline.after(10))
    allowing = replace(plain.rules, allow_http=True)
    assert HttpsFetcher(allowing).fetch(url, deadline=Deadline.after(10)).data == BODY
    plain.names.table["media.test"] = [["93.184.216.34"]]
    with pytest.raises(FetchError, match="allowed networks only"):
        HttpsFetcher(allowing).fetch(url, deadline=Deadline.after(10))


@pytest.mark.parametrize(
    "url",
    [
        "https://",
        "https:///path",
        "https://media.test:22/",
        "https://media.test:99999/",
        "https://user@media.test/",
        "https://user:secret@media.test/",
        "https://[::1",
        "ftp://media.test/",
        "//media.test/",
        "https://media.test\r\nX: y/",
        "https://" + "a" * 5000,
    ],
)
def test_an_unfit_url_is_refused_unasked(site: Site, url: str) -> None:
    with pytest.raises(FetchError) as caught:
        HttpsFetcher(site.rules).fetch(url, deadline=Deadline.after(10))
    assert "secret" not in caught.value.message
    assert site.server.asked == []


def read_nothing(bucket: str, key: str, most: int) -> bytes:
    raise FetchError(f"s3://{bucket}/{key} is not yours")


def read_zeros(bucket: str, key: str, most: int) -> bytes:
    assert most <= 11  # an object of a terabyte must not be read to learn that it is too large
    return bytes(most)


def test_the_content_fetcher_sends_each_kind_its_way(site: Site) -> None:
    fetcher = ContentFetcher(site.rules)

    def read_object(bucket: str, key: str, most: int) -> bytes:
        return f"{bucket} {key}".encode()[:most]

    def fetch(content: str) -> Any:
        return fetcher.fetch(content, deadline=Deadline.after(10), read_object=read_object)

    assert fetch(site.url("/ok")).data == BODY
    assert fetch("s3://my-bucket/a/b.png").data == b"my-bucket a/b.png"
    assert fetch("data:image/png;base64,QUJD").data == b"ABC"
    assert fetch("data:image/png;base64,QUJD").declared_type == "image/png"
    assert fetch("QUJD").data == b"ABC"


def test_s3_is_read_with_the_callers_rights_only(site: Site) -> None:
    fetcher = ContentFetcher(replace(site.rules, max_bytes=10))
    with pytest.raises(FetchError, match="not yours"):
        fetcher.fetch("s3://theirs/x", deadline=Deadline.after(1), read_object=read_nothing)
    with pytest.raises(MediaError, match="more than 10 bytes"):
        fetcher.fetch("s3://ours/x", deadline=Deadline.after(1), read_object=read_zeros)
    with pytest.raises(DeadlineError):
        fetcher.fetch("s3://ours/x", deadline=Deadline.after(0), read_object=read_nothing)
