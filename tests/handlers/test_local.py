"""The local server: streams, presigned URLs, bodies, writers at once, first start."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.app import build_app
from core.errors import UnavailableError
from core.models.responses import BatchAnswer
from core.settings import Settings
from core.types import JsonObject
from handlers import local
from handlers.http.streaming import PING, live_batch
from handlers.local import LocalServer
from tests.servers import Client, Server

RETRIEVER = {
    "retriever_name": "nearest",
    "stages": [
        {
            "stage_name": "search",
            "config": {
                "stage_id": "feature_search",
                "parameters": {
                    "searches": [
                        {
                            "feature_uri": "clip",
                            "query": {"input_mode": "vector", "value": "{{INPUT.vector}}"},
                        }
                    ]
                },
            },
        }
    ],
}


@pytest.fixture(scope="module")
def space(server: Server) -> Client:
    """A namespace with three documents and a retriever."""
    client = server.new_namespace(vector_configs=[{"name": "clip", "dimension": 2}])
    documents = [{"document_id": f"d{i}", "vectors": {"clip": [1, i]}} for i in range(3)]
    path = f"/v1/namespaces/{client.namespace}/documents/upsert"
    client.ok("POST", path, {"documents": documents})
    client.ok("POST", "/v1/retrievers", RETRIEVER)
    return client


def events_of(text: str) -> list[JsonObject]:
    """Parse a stream as the reference's clients do: lines that begin with `data: `."""
    lines = [line for line in text.split("\n") if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_a_stream_sends_each_result_once_and_the_rest_at_the_end(space: Client) -> None:
    queries = [{"inputs": {"vector": [1, i]}} for i in range(4)] + [{"inputs": {"vector": "x"}}]
    body = {"queries": queries, "stream": True}
    response = space.post("/v1/retrievers/nearest/execute/batch", body)
    assert response.headers["content-type"].startswith("text/event-stream")
    *results, last = events_of(response.text)
    assert {event["event_type"] for event in results} == {"query_complete"}
    assert sorted(event["index"] for event in results) == [0, 1, 2, 3, 4]
    assert last["event_type"] == "batch_complete"
    assert [result["index"] for result in last["results"]] == [0, 1, 2, 3, 4]
    assert all("documents" not in result for result in last["results"])
    documents = {event["index"]: event["documents"] for event in results}
    for result in last["results"]:
        assert result["documents_count"] == len(documents[result["index"]])
        result["documents"] = documents[result["index"]]
    BatchAnswer.model_validate(last)


def test_a_stream_without_a_retriever_never_begins(space: Client) -> None:
    body = {"queries": [{"inputs": {}}], "stream": True}
    response = space.post("/v1/retrievers/nobody/execute/batch", body)
    assert response.status_code == 404
    assert response.json()["error"]["type"] == "NotFoundError"


def test_a_failure_within_a_stream_is_its_last_event() -> None:
    async def fail(on_result: Callable[[JsonObject], Awaitable[None]]) -> JsonObject:
        await on_result({"index": 0, "documents": []})
        raise UnavailableError("the store went away")

    async def read() -> str:
        return b"".join([part async for part in live_batch(fail, "req")]).decode()

    first, last = events_of(asyncio.run(read()))
    assert first["event_type"] == "query_complete"
    assert (last["event_type"], last["status"]) == ("error", 503)


def test_a_single_execution_streams_its_answer(space: Client) -> None:
    body = {"inputs": {"vector": [1, 0]}, "stream": True}
    [event] = events_of(space.post("/v1/retrievers/nearest/execute", body).text)
    assert event["event_type"] == "execution_complete"
    assert event["documents"][0]["document_id"] == "d0"


def test_silence_is_broken_by_pings_and_leaving_ends_the_work() -> None:
    ended = asyncio.Event()

    async def never(_on_result: Callable[[JsonObject], Awaitable[None]]) -> JsonObject:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return {}

    async def read() -> list[bytes]:
        frames = live_batch(never, "req", ping_seconds=0.001)
        seen = [await anext(frames), await anext(frames)]
        await frames.aclose()  # type: ignore[attr-defined]  # an async generator has it
        return seen

    assert asyncio.run(read()) == [PING, PING]
    assert ended.is_set()


def test_writers_at_once_lose_nothing(space: Client) -> None:
    path = f"/v1/namespaces/{space.namespace}/documents/upsert"

    def write(writer: int) -> list[int]:
        statuses = []
        for i in range(5):
            document = {"document_id": f"w{writer}-{i}", "vectors": {"clip": [writer, i + 1]}}
            statuses.append(space.post(path, {"documents": [document]}).status_code)
        return statuses

    before = space.ok("GET", "/v1/collections/default/documents/count")["count"]
    with ThreadPoolExecutor(2) as pool:
        statuses = list(pool.map(write, range(2)))
    assert statuses == [[200] * 5] * 2
    after = space.ok("GET", "/v1/collections/default/documents/count")["count"]
    assert after == before + 10


def test_a_patch_from_two_sides_keeps_both(space: Client) -> None:
    space.ok("POST", "/v1/collections/default/documents", {"document_id": "shared"})
    path = "/v1/collections/default/documents/shared"
    fields = [f"f{i}" for i in range(8)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda name: space.ok("PATCH", path, {name: 1}), fields))
    assert set(fields) <= set(space.ok("GET", path))


def test_presigned_urls_open_what_they_name_and_nothing_else(server: Server) -> None:
    buckets = server.running.app.buckets
    buckets.bucket("assets").put("space-1/a b.txt", b"media")
    signed = buckets.bucket("assets").presign("space-1/a b.txt", expires_s=60)
    assert httpx.get(signed.url).content == b"media"
    assert httpx.get(signed.url.replace("a%20b", "a%20c")).status_code == 403
    assert httpx.get(signed.url.replace("/assets/", "/index/")).status_code == 403
    assert httpx.get(signed.url.partition("?")[0]).status_code == 403
    assert httpx.post(signed.url).status_code == 405
    assert httpx.get(f"{server.base_url}/blobs/assets/../../signing.key").status_code in (403, 404)


def test_a_body_that_is_too_large_is_refused_before_it_is_read(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "MAX_BODY_BYTES", 1000)
    response = server.admin.post("/v1/namespaces/list", content=b" " * 1001)
    assert response.status_code == 413
    assert response.json()["error"]["details"]["limits"] == {"max_body_bytes": 1000}


def test_the_page_and_the_document_are_open(server: Server) -> None:
    nobody = server.admin.holding(None)
    page = nobody.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert nobody.ok("GET", "/v1/openapi.json")["openapi"] == "3.1.0"
    assert nobody.ok("GET", "/v1/health") == {"status": "ok"}
    stages = {stage["stage_id"] for stage in nobody.ok("GET", "/v1/retrievers/stages")}
    assert "feature_search" in stages


def test_an_unexpected_failure_shows_its_request_id_and_no_more(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("a secret of the inside")

    monkeypatch.setattr(server.running.app.namespaces, "all", fail)
    response = server.admin.get("/v1/namespaces")
    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.headers["x-request-id"] in response.text
    assert "a secret of the inside" in caplog.text


def test_a_client_that_goes_away_stops_its_call(tmp_path: Path) -> None:
    app = build_app(Settings.local(tmp_path, {}))
    stopped = threading.Event()
    server = LocalServer(app)

    async def hang(_request: Any) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    server._dispatch = hang  # type: ignore[assignment]  # what it does matters not, but its end
    messages = iter([{"type": "http.request", "body": b""}, {"type": "http.disconnect"}])
    scope = {"type": "http", "method": "GET", "path": "/x", "headers": [], "query_string": b""}

    async def receive() -> Any:
        return next(messages)

    async def send(_message: Any) -> None:
        raise AssertionError("nobody is there to answer")

    asyncio.run(server(scope, receive, send))
    assert stopped.is_set()
    app.close()


def test_the_first_start_alone_announces_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_run_server", lambda _server, listener: listener.close())
    said: list[str] = []
    for _ in range(2):
        local.serve(port=0, data_dir=tmp_path, environment={}, announce=said.append)
    keys = [line for line in said if "sk_" in line]
    assert len(keys) == 1
    assert said[0].startswith("Trawl serves")


def test_the_access_log_is_json_whatever_the_path(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="trawl.access"):
        server.admin.get('/v1/"quoted"\\?x={}')
    line = json.loads(caplog.messages[-1])
    assert line["status"] == 404
    assert set(line) == {"method", "path", "status", "request_id"}


def test_the_address_itself_leads_to_the_page(server: Server) -> None:
    answer = httpx.get(server.base_url + "/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")
