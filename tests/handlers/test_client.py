"""The client waits as it is told, names what went wrong, and leaves no key behind."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import orjson
import pytest

from core.app import build_app
from core.settings import Settings
from handlers.client import AppTransport, Client, HttpTransport, Reply, api_path
from handlers.client_errors import ApiError, ClientError, UnreachableError
from tests.core.service import running_app
from tests.handlers.transports import ScriptedTransport, Sent


class Scripted(ScriptedTransport):
    """Answers with the replies it was given, and records what it was sent."""

    def __init__(self, *replies: Reply) -> None:
        super().__init__()
        self.replies = list(replies)
        self.sent: list[Sent] = []

    def answer(self, sent: Sent) -> Reply:
        self.sent.append(sent)
        return self.replies.pop(0)


def reply(status: int, body: Any = None, **headers: str) -> Reply:
    return Reply(status, headers, b"" if body is None else orjson.dumps(body))


def refusal(status: int, **details: Any) -> Reply:
    return reply(status, {"error": {"message": "busy", "code": "c", "details": details}})


def client_over(*replies: Reply) -> tuple[Client, Scripted, list[float]]:
    transport = Scripted(*replies)
    waits: list[float] = []
    return Client(transport, namespace="shop", sleep=waits.append), transport, waits


def test_a_call_carries_its_namespace_and_its_body() -> None:
    client, transport, _ = client_over(reply(200, {"a": 1}))
    assert client.call("POST", "/v1/x", {"b": 2}) == {"a": 1}
    (sent,) = transport.sent
    assert (sent.method, sent.path) == ("POST", "/v1/x")
    assert sent.headers["x-namespace"] == "shop"
    assert orjson.loads(sent.body) == {"b": 2}


def test_it_waits_as_the_server_asks() -> None:
    busy = [
        Reply(429, {"retry-after": "7"}, refusal(429).body),
        refusal(503, retry_after_seconds=3),
        refusal(503),
    ]
    client, transport, waits = client_over(*busy, reply(200, {}))
    client.call("GET", "/v1/x")
    assert waits == [7.0, 3.0, 8.0]
    assert len(transport.sent) == 4


def test_it_gives_up_after_three_minutes_and_never_waits_longer_than_half_a_minute() -> None:
    client, _, waits = client_over(*[refusal(429, retry_after_seconds=100)] * 20)
    with pytest.raises(ApiError, match="busy"):
        client.call("GET", "/v1/x")
    assert waits == [30.0] * 6


@pytest.mark.parametrize("answer", [refusal(503, retryable=False), refusal(500), refusal(404)])
def test_it_does_not_repeat_what_cannot_succeed(answer: Reply) -> None:
    client, transport, waits = client_over(answer)
    with pytest.raises(ApiError):
        client.call("GET", "/v1/x")
    assert not waits
    assert len(transport.sent) == 1


def test_a_date_as_retry_after_is_passed_over() -> None:
    answer = Reply(429, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, refusal(429).body)
    client, _, waits = client_over(answer, reply(200, {}))
    client.call("GET", "/v1/x")
    assert waits == [2.0]


def test_another_service_is_not_taken_for_the_api() -> None:
    page = Reply(502, {"content-type": "text/html"}, b"<html>bad gateway</html>")
    with pytest.raises(UnreachableError, match="status 502, text/html"):
        client_over(page)[0].call("GET", "/v1/x")


def test_a_gateways_own_refusal_of_a_large_body_is_known() -> None:
    with pytest.raises(ApiError) as caught:
        client_over(Reply(413, {}, b"<html>too large</html>"))[0].call("POST", "/v1/x", {})
    assert caught.value.status == 413


def test_names_in_paths_cannot_lead_elsewhere() -> None:
    assert api_path("retrievers", "a/../b?c", "execute") == "/v1/retrievers/a%2F..%2Fb%3Fc/execute"


@pytest.mark.parametrize("url", ["ftp://host", "http://", "http://host?x=1", "https:///v1"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ClientError, match="no address"):
        HttpTransport(url, "sk_x")


def test_nobody_listening_reads_as_such() -> None:
    client = Client(HttpTransport("http://127.0.0.1:9", "sk_x"))
    with pytest.raises(UnreachableError, match=r"cannot reach http://127\.0\.0\.1:9: .*refused"):
        client.call("GET", "/v1/health")
    client.close()


class _Redirecting(BaseHTTPRequestHandler):
    seen: ClassVar[list[str]] = []  # a handler is made anew for every request

    def do_GET(self) -> None:
        self.seen.append(self.path)
        self.send_response(302)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return None


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_key_follows_no_redirect() -> None:
    with serving(_Redirecting) as url:
        client = Client(HttpTransport(f"{url}/v1/", "sk_x"))
        with pytest.raises(ApiError, match="302"):
            client.call("GET", "/v1/health")
        client.close()
    assert _Redirecting.seen == ["/v1/health"]


def test_a_data_folder_keeps_no_key_of_the_command_line(tmp_path: Path) -> None:
    client = Client(AppTransport(build_app(Settings.local(tmp_path, {}))))
    client.call("POST", "/v1/namespaces", {"namespace_name": "shop"})
    client.close()
    with running_app(tmp_path) as app:
        assert not app.keys.any()
        assert [namespace.namespace_name for namespace in app.namespaces.all()] == ["shop"]


def test_a_data_folder_admits_nobody_else(tmp_path: Path) -> None:
    transport = AppTransport(build_app(Settings.local(tmp_path, {})))
    own = transport._authorization
    transport._authorization = f"{own}x"
    with pytest.raises(ApiError) as caught:
        Client(transport).call("GET", "/v1/namespaces")
    assert caught.value.status == 401
    transport.close()
