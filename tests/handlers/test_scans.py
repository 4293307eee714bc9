"""Scans over HTTP: real pictures, forbidden addresses, other tenants, and what the API refuses."""

from typing import Any

import pytest

from core.models.scan_answers import ScanAnswer
from handlers.http.streaming import scan_frames
from tests.copies import FIND_COPIES, encode, make_collection, make_retriever, picture
from tests.handlers.test_local import events_of
from tests.servers import Client, Server


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    """A namespace with three references, and two retrievers of copies."""
    client = server.new_namespace()
    make_collection(client, "references")
    documents = [{"document_id": f"p{i}", "content": encode(picture(i))} for i in range(3)]
    path = f"/v1/namespaces/{client.namespace}/documents/upsert"
    client.ok("POST", path, {"documents": documents, "collection_id": "references"})
    for name, rule in (("copies", None), ("watched", {"canary": "p2"})):
        make_retriever(client, "references", name, verdict=rule)
    return client


def test_one_call_gives_a_verdict_on_every_file(client: Client) -> None:
    small = encode(picture(1).resize((90, 90)))
    files = [
        small,
        {"file": encode(picture(77)), "id": "stranger"},
        encode(picture(0))[:-400],
        {"file": small.partition(",")[2]},
    ]
    answer = client.ok("POST", "/v1/scans", {"files": files, "retrievers": ["copies", "watched"]})
    ScanAnswer.model_validate(answer)
    assert [f["verdict"] for f in answer["files"]] == ["block", "clear", "unknown", "block"]
    assert answer["counts"] == {"block": 2, "review": 0, "unknown": 1, "clear": 1}
    assert answer["files"][1]["id"] == "stranger"
    assert answer["retrievers"][1]["canary"]["found"] is True
    assert answer["files"][0]["sha256"] == answer["files"][3]["sha256"]
    again = client.ok("GET", f"/v1/scans/{answer['scan_id']}")
    ScanAnswer.model_validate(again)
    assert again == answer


def test_a_stream_sends_each_file_once_and_the_rest_at_the_end(client: Client) -> None:
    files = [encode(picture(1)), encode(picture(77)), encode(picture(0))[:-400]]
    body = {"files": files, "retrievers": ["copies", "watched"], "stream": True}
    response = client.post("/v1/scans", body)
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, last = events_of(response.text)
    assert {event["event_type"] for event in events} == {"file_complete"}
    assert sorted(event["index"] for event in events) == [0, 1, 2]
    assert last["event_type"] == "scan_complete"
    for event in events:
        assert event["scan_id"] == last["scan_id"]
        for name, cell in last["files"][event["index"]]["retrievers"].items():
            assert "documents" not in cell
            sent = event["retrievers"][name]
            assert cell["documents_count"] == len(sent["documents"])
            assert (cell["verdict"], cell["execution_id"]) == (
                sent["verdict"],
                sent["execution_id"],
            )
            cell["documents"] = sent["documents"]
    ScanAnswer.model_validate(last)
    again = client.ok("GET", f"/v1/scans/{last['scan_id']}")
    assert [f["verdict"] for f in again["files"]] == ["block", "clear", "unknown"]
    # The same frames where they can only leave all at once.
    at_once = events_of(b"".join(scan_frames(again)).decode())
    assert [one["event_type"] for one in at_once] == ["file_complete"] * 3 + ["scan_complete"]
    assert at_once[-1]["files"] == [
        {**file, "retrievers": {n: without(c) for n, c in file["retrievers"].items()}}
        for file in again["files"]
    ]


def without(cell: Any) -> Any:
    rest = {name: value for name, value in cell.items() if name != "documents"}
    return {**rest, "documents_count": len(cell["documents"])}


@pytest.mark.parametrize("retrievers", [["nobody"], ["copies", "copies"]])
def test_a_stream_of_what_cannot_be_scanned_never_begins(
    client: Client, retrievers: list[str]
) -> None:
    body = {"files": ["x"], "retrievers": retrievers, "stream": True}
    assert client.post("/v1/scans", body).status_code == (404 if "nobody" in retrievers else 422)


@pytest.mark.parametrize(
    "address",
    [
        "https://169.254.169.254/latest/meta-data/",
        "https://127.0.0.1/x.png",
        "https://localhost/x.png",
        "http://93.184.216.34/x.png",
        "file:///etc/passwd",
        "s3://somebody-else/x.png",
        "s3://assets/another-namespace/x.png",
        "ftp://93.184.216.34/x",
    ],
)
def test_forbidden_addresses_are_not_fetched(client: Client, address: str) -> None:
    answer = client.ok("POST", "/v1/scans", {"files": [address], "retrievers": ["copies"]})
    (file,) = answer["files"]
    cell = file["retrievers"]["copies"]
    assert (cell["status"], cell["error"]["retryable"]) == ("failed", False)
    assert (file["verdict"], file["sha256"], file["size_bytes"]) == ("unknown", None, None)


def test_a_tenant_cannot_see_anothers(client: Client, server: Server) -> None:
    body = {"files": [encode(picture(1))], "retrievers": ["copies"]}
    scan = client.ok("POST", "/v1/scans", body)["scan_id"]
    other = server.new_namespace()
    assert other.get(f"/v1/scans/{scan}").status_code == 404
    assert other.post("/v1/scans", body).status_code == 404
    stored = {"document": {"collection": "references", "document_id": "p0"}}
    other.ok("POST", "/v1/collections", {"collection_name": "mine", "vector_configs": []})
    retriever = {
        "retriever_name": "copies",
        "collection_identifiers": ["mine"],
        "stages": [FIND_COPIES],
        "input_schema": {"file": {"type": "image"}},
    }
    other.ok("POST", "/v1/retrievers", retriever)
    answer = other.ok("POST", "/v1/scans", {"files": [stored], "retrievers": ["copies"]})
    assert answer["files"][0]["retrievers"]["copies"]["error"]["code"] == "not_found"
    keys = "/v1/organizations/users/ann@example.com/api-keys"
    made = server.admin.ok("POST", keys, {"name": "scans", "namespaces": [other.namespace]})
    theirs = client.holding(made["key"])
    assert theirs.get(f"/v1/scans/{scan}").status_code == 403
    assert theirs.post("/v1/scans", body).status_code == 403


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "files"),
        ({"files": [], "retrievers": ["copies"]}, "files"),
        ({"files": ["x"], "retrievers": []}, "retrievers"),
        ({"files": ["x"] * 51, "retrievers": ["copies"]}, "files"),
        ({"files": ["x"], "retrievers": ["r"] * 11}, "retrievers"),
        ({"files": [{}], "retrievers": ["copies"]}, "files.0"),
        ({"files": [{"file": "x", "url": "y"}], "retrievers": ["copies"]}, "files.0.url"),
        ({"files": ["x"], "retrievers": ["copies"], "queries": []}, "queries"),
        ({"files": ["x"], "retrievers": ["copies"], "settings": {"top": 1}}, "settings.top"),
        ({"files": ["x"], "retrievers": ["copies"], "concurrency": 21}, "concurrency"),
        ({"files": [None], "retrievers": ["copies"]}, "files.0"),
    ],
)
def test_what_cannot_be_read_is_named(client: Client, body: Any, path: str) -> None:
    response = client.post("/v1/scans", body)
    assert response.status_code == 422
    problems = response.json()["error"]["details"]["validation_errors"]
    assert path in [problem["path"] for problem in problems]


def test_limits_are_told(client: Client) -> None:
    response = client.post("/v1/scans", {"files": ["x"] * 51, "retrievers": ["copies"]})
    assert response.json()["error"]["details"]["limits"] == {"max_files": 50}


def test_a_key_of_other_files_is_a_conflict(client: Client) -> None:
    body = {"files": [encode(picture(1))], "retrievers": ["copies"], "idempotency_key": "k"}
    first = client.ok("POST", "/v1/scans", body)
    assert client.ok("POST", "/v1/scans", body)["scan_id"] == first["scan_id"]
    response = client.post("/v1/scans", {**body, "retrievers": ["watched"]})
    assert (response.status_code, response.json()["error"]["type"]) == (409, "AlreadyExistsError")


def test_a_rule_comes_back_as_it_was_sent(client: Client) -> None:
    stored = client.ok("GET", "/v1/retrievers/watched")
    assert stored["verdict"]["canary"] == "p2"
    assert client.ok("GET", "/v1/retrievers/copies")["verdict"] is None
    canary = {"document_id": "p2", "inputs": {"brand": "acme"}}
    branded = {
        "retriever_name": "branded",
        "collection_identifiers": ["references"],
        "stages": [FIND_COPIES],
        "verdict": {"canary": canary},
    }
    client.ok("POST", "/v1/retrievers", branded)
    assert client.ok("GET", "/v1/retrievers/branded")["verdict"]["canary"] == canary
    wrong = {
        "retriever_name": "x",
        "stages": [FIND_COPIES],
        "verdict": {"block_at": 0, "review_at": 1},
    }
    assert client.post("/v1/retrievers", wrong).status_code == 422
