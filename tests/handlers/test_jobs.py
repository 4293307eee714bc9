"""Jobs over HTTP: 202 and where to look, what is refused, who sees what, and batches that go on."""

import threading
from typing import Any

import httpx
import orjson
import pytest

from core.models.job_answers import ContinuedBatchAnswer, JobAnswer, JobPage
from tests.servers import Client, Server

DIMENSION = 4


def vector(n: int) -> list[float]:
    return [float(n), 1.0, 2.0, 3.0]


@pytest.fixture(scope="module")
def shop(server: Server) -> Client:
    """A namespace with a few documents and the retriever `near`."""
    client = server.new_namespace(
        vector_configs=[{"name": "emb", "dimension": DIMENSION, "metric": "cosine"}]
    )
    documents = [{"document_id": f"d{n}", "vectors": {"emb": vector(n)}} for n in range(5)]
    path = f"/v1/namespaces/{client.namespace}/documents/upsert"
    client.ok("POST", path, {"documents": documents})
    query = {"input_mode": "vector", "value": "{{INPUT.v}}"}
    search = {"feature_uri": "emb", "query": query, "top_k": 3}
    stage = {"stage_id": "feature_search", "parameters": {"searches": [search]}}
    body = {
        "retriever_name": "near",
        "input_schema": {"v": {"type": "array", "required": True}},
        "stages": [{"stage_name": "s", "config": stage}],
    }
    client.ok("POST", "/v1/retrievers", body)
    return client


def body(count: int = 3, **more: Any) -> Any:
    items = [{"id": f"i{n}", "inputs": {"v": vector(n)}} for n in range(count)]
    return {"retrievers": ["near"], "items": items, **more}


def wait(client: Client, path: str) -> Any:
    """Return the job once it is over."""
    pause = threading.Event()
    for _ in range(600):
        job = client.ok("GET", path)
        if job["status"] not in ("queued", "running"):
            return job
        pause.wait(0.05)
    raise AssertionError("the job does not end")


def read(job: Any, kind: str) -> list[Any]:
    """Read the result files as a user does: by their URLs, without a key."""
    texts = [httpx.get(one["url"]) for one in job["results"] if one["kind"] == kind]
    assert all(text.status_code == 200 for text in texts)
    return [orjson.loads(line) for text in texts for line in text.content.splitlines()]


def test_a_job_is_accepted_and_its_files_can_be_read(shop: Client) -> None:
    made = shop.post("/v1/jobs", body(30, metadata={"from": "test"}))
    assert made.status_code == 202
    JobAnswer.model_validate(made.json())
    job = wait(shop, made.headers["location"])
    JobAnswer.model_validate(job)
    assert (job["status"], job["progress"]["succeeded"]) == ("completed", 30)
    assert job["metadata"] == {"from": "test"}
    rows = read(job, "results")
    assert [row["id"] for row in rows] == [f"i{n}" for n in range(30)]
    assert rows[2]["result"]["documents"][0]["document_id"] == "d2"
    page = shop.ok("GET", "/v1/jobs?limit=1")
    JobPage.model_validate(page)
    assert page["results"][0]["job_id"] == job["job_id"]
    tampered = job["results"][0]["url"].replace("results/", "results/x", 1)
    assert httpx.get(tampered).status_code == 403


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"items": []}, "items"),
        ({"manifest": "s3://b/k"}, "either items or a manifest"),
        ({"items": None}, "either items or a manifest"),
        ({"items": None, "manifest": "http://x/y"}, "manifest"),
        ({"retrievers": []}, "retrievers"),
        ({"retrievers": ["near", "near"]}, "named twice"),
        ({"retrievers": [f"r{n}" for n in range(11)]}, "retrievers"),
        ({"items": [{"inputs": {}, "file": "x"}]}, "either inputs or a file"),
        ({"items": [{"inputs": {}, "url": "x"}]}, "unknown key 'url'"),
        ({"items": [{"file": "data:,x"}]}, "not exactly one media input"),
        ({"settings": {"return_presigned_urls": True}}, "unknown key"),
        ({"idempotency_key": "a\nb"}, "idempotency_key"),
        ({"items": None, "manifest": "s3://results/x/y"}, "may not be read"),
    ],
)
def test_what_is_wrong_is_refused_at_once(shop: Client, changes: Any, said: str) -> None:
    answer = shop.post("/v1/jobs", {**body(), **changes})
    assert answer.status_code == 422, answer.text
    assert said in answer.text


def test_unknown_retrievers_are_not_found(shop: Client) -> None:
    assert shop.post("/v1/jobs", body(retrievers=["near", "other"])).status_code == 404


def test_a_key_with_another_body_conflicts(shop: Client) -> None:
    first = shop.post("/v1/jobs", body(idempotency_key="same")).json()
    again = shop.post("/v1/jobs", body(idempotency_key="same"))
    assert (again.status_code, again.json()["job_id"]) == (202, first["job_id"])
    other = shop.post("/v1/jobs", body(4, idempotency_key="same"))
    assert other.status_code == 409
    assert other.json()["error"]["code"] == "idempotency_conflict"
    assert first["job_id"] in other.json()["error"]["message"]


def test_other_namespaces_see_nothing(server: Server, shop: Client) -> None:
    job_id = shop.post("/v1/jobs", body()).json()["job_id"]
    other = server.new_namespace()
    assert other.get(f"/v1/jobs/{job_id}").status_code == 404
    assert other.send("DELETE", f"/v1/jobs/{job_id}").status_code == 404
    assert other.ok("GET", "/v1/jobs")["results"] == []
    assert shop.get("/v1/jobs/job_nothing").status_code == 404
    keys = "/v1/organizations/users/ann@example.com/api-keys"
    key = {"name": "reads", "permissions": ["read"], "namespaces": [shop.namespace]}
    reader = shop.holding(server.admin.ok("POST", keys, key)["key"])
    assert reader.get(f"/v1/jobs/{job_id}").status_code == 200
    assert reader.send("DELETE", f"/v1/jobs/{job_id}").status_code == 403


def test_a_batch_goes_on_as_a_job(shop: Client) -> None:
    queries = [{"inputs": {"v": vector(n)}} for n in range(5)]
    path = "/v1/retrievers/near/execute/batch"
    settings = {"deadline_ms": 1, "limit": 2, "on_deadline": "job"}
    answer = shop.post(path, {"queries": queries, "settings": settings})
    if answer.status_code == 200:  # a fast machine did them all in that time
        assert answer.json()["unprocessed"] == []
        return
    assert answer.status_code == 202, answer.text
    ContinuedBatchAnswer.model_validate(answer.json())
    batch = answer.json()
    assert [one["index"] for one in batch["results"]] == [0, 1, 2, 3, 4]
    job = wait(shop, batch["job"]["url"])
    assert job["status"] == "completed"
    rows = read(job, "results")
    assert [int(row["id"]) for row in rows] == batch["job"]["indexes"] == batch["unprocessed"]
    for row in rows:
        documents = row["result"]["documents"]
        assert len(documents) == 2
        assert documents[0]["document_id"] == f"d{row['id']}"


def test_a_stream_tells_the_job_in_its_last_event(shop: Client) -> None:
    queries = [{"inputs": {"v": vector(n)}} for n in range(3)]
    settings = {"deadline_ms": 1, "on_deadline": "job"}
    path = "/v1/retrievers/near/execute/batch"
    answer = shop.post(path, {"queries": queries, "settings": settings, "stream": True})
    assert answer.status_code == 200
    events = [orjson.loads(e[6:]) for e in answer.content.split(b"\n\n") if e.startswith(b"data")]
    last = events[-1]
    assert last["event_type"] == "batch_complete"
    assert bool(last["unprocessed"]) == ("job" in last)
    if last["unprocessed"]:
        assert last["job"]["indexes"] == last["unprocessed"]


def test_a_batch_that_ends_in_time_makes_no_job(shop: Client) -> None:
    queries = [{"inputs": {"v": vector(1)}}, {"inputs": {"v": "wrong"}}]
    path = "/v1/retrievers/near/execute/batch"
    before = shop.ok("GET", "/v1/jobs")["total_count"]
    answer = shop.post(path, {"queries": queries, "settings": {"on_deadline": "job"}})
    assert answer.status_code == 200
    assert "job" not in answer.json()
    assert shop.ok("GET", "/v1/jobs")["total_count"] == before


def test_on_deadline_is_read_strictly(shop: Client) -> None:
    query = {"inputs": {"v": vector(1)}}
    path = "/v1/retrievers/near/execute"
    wrong = {"queries": [query], "settings": {"on_deadline": "later"}}
    assert shop.post(f"{path}/batch", wrong).status_code == 422
    single = shop.post(path, {**query, "settings": {"on_deadline": "job"}})
    assert single.status_code == 422
    assert "a batch's" in single.text
