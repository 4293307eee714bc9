"""The API under AWS's own runtime client: deadlines, sizes, signals, and processes that end.

Table and buckets are a server on this machine (`tests/aws_server.py`), so the code that runs is
the code that is deployed.
"""

import signal
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from core.adapters.records_dynamodb import DynamoRecords
from core.auth.keys import Keys
from tests.aws_server import BUCKETS, TABLE, AwsServer, Fault, Request, running_aws
from tests.copies import encode, make_collection, make_retriever, picture
from tests.runtime.calls import Caller
from tests.runtime.emulator import LIMIT_BYTES, Function

# One search answers all of these documents: together they are more than Lambda sends.
LARGE, TEXT_BYTES = 40, 200_000
SEARCH = {
    "stage_name": "nearest",
    "config": {
        "stage_id": "feature_search",
        "parameters": {
            "searches": [
                {
                    "feature_uri": "emb",
                    "query": {"input_mode": "vector", "value": "{{INPUT.v}}"},
                    "top_k": LARGE,
                }
            ],
            "final_top_k": LARGE,
        },
    },
}


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsServer]:
    with running_aws() as aws:
        yield aws


@pytest.fixture(scope="module")
def api(aws: AwsServer) -> Iterator[Caller]:
    """An admin's calls to the function that is deployed."""
    _, key = Keys(DynamoRecords(TABLE, client=aws.client("dynamodb"))).create("test", "admin")
    with Function("handlers.api.handler", aws.environment) as function:
        yield Caller(function, key)


@pytest.fixture(scope="module")
def large(api: Caller) -> Caller:
    """A namespace whose documents do not fit one answer."""
    specs = [{"name": "emb", "dimension": 2}]
    body = {"namespace_id": "large", "vector_configs": specs}
    api.ok("POST", "/v1/namespaces/standalone", body)
    caller = api.within("large")
    for start in range(0, LARGE, LARGE // 2):
        documents = [
            {
                "document_id": f"d{i}",
                "vectors": {"emb": [1.0, i / LARGE]},
                "payload": {"text": chr(97 + i % 26) * TEXT_BYTES},
            }
            for i in range(start, start + LARGE // 2)
        ]
        path = "/v1/namespaces/large/documents/upsert"
        caller.ok("POST", path, {"documents": documents})
    caller.ok("POST", "/v1/retrievers", {"retriever_name": "nearest", "stages": [SEARCH]})
    return caller


@pytest.fixture(scope="module")
def images(api: Caller) -> Caller:
    """A namespace with one picture, and a retriever of its copies."""
    api.ok("POST", "/v1/namespaces/standalone", {"namespace_id": "images"})
    caller = api.within("images")
    make_collection(caller, "refs")
    documents = [{"document_id": "p0", "content": encode(picture(0))}]
    path = "/v1/namespaces/images/documents/upsert"
    caller.ok("POST", path, {"documents": documents, "collection_id": "refs"})
    make_retriever(caller, "refs")
    return caller


def test_a_fresh_function_starts_and_answers_without_asking_aws(aws: AwsServer) -> None:
    asked = len(aws.seen)
    with Function("handlers.api.handler", aws.environment) as function:
        assert function.start() is None
        for version in ("v1", "v2"):
            called = Caller(function).call("GET", "/v1/health", version=version)
            assert (called.status, called.body) == (200, {"status": "ok"})
            assert called.headers["X-Request-Id"] == called.answer.request_id
        assert "Traceback" not in function.log
    assert len(aws.seen) == asked


def test_two_calls_share_what_was_loaded_and_no_ids(aws: AwsServer, large: Caller) -> None:
    path = "/v1/retrievers/nearest/execute"
    body = {"inputs": {"v": [1, 0]}, "settings": {"limit": 1}}
    first, pid = large.call("POST", path, body), large.function.pid
    loaded = aws.count("s3", "GET")
    second = large.call("POST", path, body)
    assert large.function.pid == pid
    assert aws.count("s3", "GET") == loaded
    for called in (first, second):
        assert called.status == 200
        assert called.headers["X-Request-Id"] == called.answer.request_id
    assert first.answer.request_id != second.answer.request_id
    assert first.body["execution_id"] != second.body["execution_id"]


def test_a_wrong_key_is_refused_in_both_formats(api: Caller) -> None:
    for version in ("v1", "v2"):
        called = Caller(api.function, "sk_wrong").call("GET", "/v1/namespaces", version=version)
        assert called.status == 401


def test_a_batch_that_cannot_end_answers_before_the_deadline(
    aws: AwsServer, images: Caller
) -> None:
    """Objects that S3 never sends: the files that came with the call are answered all the same."""
    assets = BUCKETS[0]
    path = "/v1/retrievers/copies/execute/batch"
    there = {"inputs": {"file": encode(picture(0))}}
    stuck = [{"inputs": {"file": f"s3://{assets}/images/{i}.png"}} for i in range(3)]
    # Decoders start once: not in the time that is measured out below.
    assert images.ok("POST", path, {"queries": [there]})["status"] == "completed"

    def decide(request: Request) -> Fault | None:
        return Fault(hang=True) if f"/{assets}/" in request.path else None

    aws.decide = decide
    try:
        body = {"queries": [*stuck, there], "concurrency": 4}
        called = images.call("POST", path, body, timeout_s=6.0)
    finally:
        aws.decide = lambda request: None
    assert called.status == 200
    assert [one["status"] for one in called.body["results"]] == [*["timed_out"] * 3, "completed"]
    assert called.body["unprocessed"] == [0, 1, 2]
    [found] = called.body["results"][3]["documents"]
    assert found["document_id"] == "p0"
    assert called.answer.seconds < 6.0
    # What the stuck threads still do is nobody's: the next call is answered whole.
    assert images.ok("POST", path, {"queries": [there]})["status"] == "completed"


def test_an_answer_of_a_batch_that_is_too_large_goes_by_way_of_the_bucket(large: Caller) -> None:
    body = {"queries": [{"inputs": {"v": [1, 0]}}], "settings": {"limit": LARGE}}
    called = large.call("POST", "/v1/retrievers/nearest/execute/batch", body)
    assert len(called.answer.payload) <= LIMIT_BYTES
    [result] = called.body["results"]
    assert (result["status"], result["documents"]) == ("completed", [])
    assert result["documents_count"] == LARGE
    with urllib.request.urlopen(result["documents_url"]) as stored:  # noqa: S310 - our own server
        assert len(stored.read().splitlines()) == LARGE


def test_a_list_that_is_too_large_is_refused_with_what_to_do(large: Caller) -> None:
    path = f"/v1/collections/{_default_collection(large)}/documents/list"
    called = large.call("POST", path, {"limit": LARGE})
    assert len(called.answer.payload) <= LIMIT_BYTES
    assert called.status == 422
    assert "6 MB" in called.body["error"]["message"]
    assert large.call("POST", path, {"limit": 2}).status == 200


def _default_collection(caller: Caller) -> Any:
    [one] = caller.ok("POST", "/v1/collections/list", {})["results"]
    return one["collection_id"]


def test_a_process_that_is_taken_back_loses_nothing_that_was_acknowledged(large: Caller) -> None:
    path = "/v1/namespaces/large/documents/upsert"
    late = {"document_id": "late", "vectors": {"emb": [0.0, 1.0]}, "payload": {}}
    large.ok("POST", path, {"documents": [late]})
    assert large.function.terminate() in (0, -signal.SIGTERM)
    collection = _default_collection(large)
    found = large.ok("GET", f"/v1/collections/{collection}/documents/late")
    assert found["document_id"] == "late"


def test_a_process_that_ends_in_the_middle_fails_its_call_alone(
    aws: AwsServer, large: Caller
) -> None:
    """It is killed while it waits for the answer to its own write, which was carried out."""
    path = "/v1/namespaces/large/documents/upsert"
    half = {"document_id": "half", "vectors": {"emb": [0.0, 1.0]}, "payload": {}}
    with Function("handlers.api.handler", aws.environment) as function:
        caller = Caller(function, large.key, large.namespace)
        # Also loads what a first call needs: the time below is the write's alone.
        collection = _default_collection(caller)
        aws.fail([Fault(applied=True, hang=True)], "dynamodb", "UpdateItem")
        with pytest.raises(AssertionError, match=r"Sandbox\.Timedout"):
            caller.call("POST", path, {"documents": [half]}, timeout_s=5.0)
        # It was not acknowledged, and may be there or not; whole it is in any case.
        assert caller.call("GET", f"/v1/collections/{collection}/documents/half").status == 200
        assert caller.ok("POST", path, {"documents": [half]})["document_ids"] == ["half"]
