"""The one URL that the media function opens: which it may be, and how much is read from it."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from core.errors import InvalidRequestError, MediaError, UnavailableError
from handlers.presigned import read_presigned

BODY = b"x" * 100_000


class _S3(BaseHTTPRequestHandler):
    """Answers by path."""

    def do_GET(self) -> None:  # noqa: N802 - the base class names it
        """GET."""
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", "/object")
            self.end_headers()
            return
        if self.path.startswith("/denied"):
            self.send_error(403)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY[:50] if self.path.startswith("/torn") else BODY)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _S3)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def endpoint(origin: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWS_ENDPOINT_URL", origin)
    return origin


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://bucket.s3.amazonaws.com/key",
        "https://169.254.169.254/latest/meta-data/",
        "https://evil.example/amazonaws.com",
        "https://amazonaws.com.evil.example/",
        "https://evilamazonaws.com/",
        "https://user:word@bucket.s3.amazonaws.com/key",
        "https://bucket.s3.amazonaws.com:8443/key",
        "https://bucket.s3.amazonaws.com@evil.example/",
        "https://[::1/",
        "file:///etc/passwd",
        "ftp://bucket.s3.amazonaws.com/key",
    ],
)
def test_nothing_but_s3_is_opened(url: str) -> None:
    with pytest.raises(InvalidRequestError, match="presigned_url"):
        read_presigned(url)


def test_another_s3_is_read_only_if_the_environment_names_it(
    origin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidRequestError):
        read_presigned(f"{origin}/object")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", origin)
    assert read_presigned(f"{origin}/object?X-Amz-Signature=1") == BODY
    with pytest.raises(InvalidRequestError):
        read_presigned(f"http://127.0.0.2:{origin.rpartition(':')[2]}/object")


def test_no_more_is_read_than_may_be(endpoint: str) -> None:
    assert len(read_presigned(f"{endpoint}/object", max_bytes=len(BODY))) == len(BODY)
    with pytest.raises(MediaError, match="more than"):
        read_presigned(f"{endpoint}/object", max_bytes=len(BODY) - 1)


@pytest.mark.parametrize("path", ["moved", "denied", "torn"])
def test_what_is_not_the_object_is_not_read_and_the_url_not_repeated(
    endpoint: str, path: str
) -> None:
    with pytest.raises(UnavailableError) as caught:
        read_presigned(f"{endpoint}/{path}?X-Amz-Signature=hush")
    assert "hush" not in caught.value.message
