"""Jobs of a real service in a folder: made, continued, stopped, forgotten, kept apart."""

import asyncio
from dataclasses import replace

import orjson
import pytest

from core.app import App
from core.deadline import NEVER
from core.errors import (
    IdempotencyError,
    InvalidRequestError,
    NotFoundError,
    UnavailableError,
)
from core.jobs.catalog import JobCatalog
from core.models.base import parse_model
from core.models.jobs import JobCreate, JobGet
from core.models.listing import ListRequest
from core.models.namespaces import Namespace
from core.ports.jobs import JobRun
from core.ports.records import Delete
from tests.core.jobs.by_hand import ByHand, body, read_files, run_by_hand, wait
from tests.core.service import (
    answer_of,
    make_namespace,
    make_retriever,
    random_documents,
    run_batch,
    search_stage,
    upsert,
    vector_query,
)


def test_a_job_answers_as_batches_do(app: App, shop: Namespace) -> None:
    job = app.jobs.create(shop, body(60, retrievers=["nearest", "far"]))
    assert job["status"] in ("queued", "running")
    done = wait(app, shop, job["job_id"])
    assert done["status"] == "completed"
    assert done["progress"]["items"] == done["progress"]["succeeded"] == 60
    assert done["progress"]["fraction"] == 1.0
    assert done["cost"]["usd"] == 0
    rows = read_files(app, done)
    assert len(rows) == 120
    assert sorted({row["line"] for row in rows}) == list(range(1, 61))
    firsts = [row["line"] for row in rows[:: len(rows) // done["progress"]["chunks"]]]
    assert firsts == sorted(firsts)
    alone = run_batch(app, shop, "nearest", [vector_query(n) for n in range(50)])["results"]
    retriever = app.retrievers.find(shop.namespace_id, "nearest").retriever_id
    mine = {row["line"]: row for row in rows if row["retriever"] == retriever}
    for n, result in enumerate(alone):
        assert mine[n + 1]["id"] == f"i{n}"
        assert answer_of(mine[n + 1]["result"]) == answer_of(result)


def test_files_come_in_pages(app: App, shop: Namespace) -> None:
    done = wait(app, shop, app.jobs.create(shop, body(60))["job_id"])
    whole = [one["url"].partition("?")[0] for one in done["results"]]
    assert len(whole) == 3
    seen: list[str] = []
    cursor = None
    while True:
        page = app.jobs.get(shop, done["job_id"], JobGet(limit=2, cursor=cursor))
        seen += [one["url"].partition("?")[0] for one in page["results"]]
        cursor = page["pagination"]["next_cursor"]
        if cursor is None:
            break
    assert seen == whole


def test_a_manifest_is_read_if_the_namespace_may(app: App, shop: Namespace) -> None:
    assets = app.buckets.bucket("assets")
    lines = [orjson.dumps(vector_query(n)) for n in range(3)]
    assets.put(f"{shop.namespace_id}/m.jsonl", b"\n".join([*lines, b"nonsense", b"", b"{}", b""]))
    assets.put("somebody/m.jsonl", b"{}")
    request = {"retrievers": ["nearest"], "manifest": f"s3://assets/{shop.namespace_id}/m.jsonl"}
    job = app.jobs.create(shop, parse_model(JobCreate, request))
    done = wait(app, shop, job["job_id"])
    assert done["status"] == "completed_with_errors"
    assert done["progress"]["succeeded"] == done["progress"]["failed"] == 3
    assert done["errors_by_code"] == {"validation_failed": 3}
    assert [row["line"] for row in read_files(app, done, "errors")] == [4, 5, 6]
    for uri, said in (
        ("s3://assets/somebody/m.jsonl", "outside this namespace"),
        ("s3://results/ns/m.jsonl", "not registered"),
        (f"s3://assets/{shop.namespace_id}/other.jsonl", "does not exist"),
    ):
        with pytest.raises(InvalidRequestError, match=said):
            app.jobs.create(shop, parse_model(JobCreate, {**request, "manifest": uri}))


def test_retrievers_are_looked_up_at_once(jobs: JobCatalog, shop: Namespace) -> None:
    with pytest.raises(NotFoundError, match="nothing"):
        jobs.create(shop, body(retrievers=["nearest", "nothing"]))
    request = {"retrievers": ["nearest"], "items": [{"file": "https://example.com/a.png"}]}
    with pytest.raises(InvalidRequestError, match="not exactly one media input"):
        jobs.create(shop, parse_model(JobCreate, request))
    retriever = jobs.retrievers.find(shop.namespace_id, "nearest").retriever_id
    with pytest.raises(InvalidRequestError, match="named twice"):
        jobs.create(shop, body(retrievers=["nearest", retriever]))


def test_a_key_stands_for_one_body(jobs: JobCatalog, shop: Namespace) -> None:
    first = jobs.create(shop, body(idempotency_key="k1"))
    again = jobs.create(shop, body(idempotency_key="k1"))
    assert again["job_id"] == first["job_id"]
    assert again["run"] == 1
    with pytest.raises(IdempotencyError, match=first["job_id"]):
        jobs.create(shop, body(4, idempotency_key="k1"))
    assert jobs.create(shop, body())["job_id"] != first["job_id"]


def test_what_is_finished_is_not_run_again(jobs: JobCatalog, shop: Namespace) -> None:
    job = jobs.create(shop, body(idempotency_key="k2"))
    run_by_hand(jobs, shop, job)
    again = jobs.create(shop, body(idempotency_key="k2"))
    assert (again["status"], again["run"]) == ("completed", 1)


def test_errors_that_stay_start_no_run(jobs: JobCatalog, shop: Namespace) -> None:
    items = [{"inputs": {"v": "no vector"}}]
    job = jobs.create(shop, body(items=items, idempotency_key="k3"))
    run_by_hand(jobs, shop, job)
    again = jobs.create(shop, body(items=items, idempotency_key="k3"))
    assert (again["status"], again["run"]) == ("completed_with_errors", 1)


def test_an_interrupted_job_goes_on(jobs: JobCatalog, shop: Namespace, runner: ByHand) -> None:
    job = jobs.create(shop, body(80, idempotency_key="k4"))
    run = JobRun(shop.namespace_id, job["job_id"], 1)
    planned = jobs.work.plan(run)
    chunks = orjson.loads(jobs.store.results.get(planned.key))
    asyncio.run(jobs.work.run_chunk(run, chunks[1], deadline=NEVER))
    assert jobs.get(shop, job["job_id"])["status"] == "running"
    runner.states.clear()  # the process ended
    seen = jobs.get(shop, job["job_id"])
    assert seen["status"] == "interrupted"
    assert seen["progress"]["done"] == 25
    again = jobs.create(shop, body(80, idempotency_key="k4"))
    assert (again["job_id"], again["run"]) == (job["job_id"], 2)
    planned = jobs.work.plan(JobRun(shop.namespace_id, job["job_id"], 2))
    assert planned.count == len(chunks) - 1
    # What is left of the first run does no harm: it is over.
    assert asyncio.run(jobs.work.run_chunk(run, chunks[0], deadline=NEVER))
    jobs.work.finish(run)
    assert jobs.get(shop, job["job_id"])["progress"]["done"] == 25
    run_by_hand(jobs, shop, again)
    done = jobs.get(shop, job["job_id"])
    assert (done["status"], done["progress"]["succeeded"]) == ("completed", 80)


def test_a_stopped_job_keeps_what_is_done(
    jobs: JobCatalog, shop: Namespace, runner: ByHand
) -> None:
    job = jobs.create(shop, body(60, idempotency_key="k5"))
    run = JobRun(shop.namespace_id, job["job_id"], 1)
    chunks = orjson.loads(jobs.store.results.get(jobs.work.plan(run).key))
    asyncio.run(jobs.work.run_chunk(run, chunks[0], deadline=NEVER))
    stopped = jobs.stop(shop, job["job_id"])
    assert (stopped["status"], stopped["progress"]["done"]) == ("stopped", 25)
    assert list(runner.states.values()) == ["stopped"]
    jobs.work.finish(run)
    assert jobs.stop(shop, job["job_id"])["status"] == "stopped"
    again = jobs.create(shop, body(60, idempotency_key="k5"))
    assert (again["run"], again["status"]) == (2, "running")


def test_a_runner_that_does_not_answer(jobs: JobCatalog, shop: Namespace, runner: ByHand) -> None:
    runner.fails = True
    with pytest.raises(UnavailableError):
        jobs.create(shop, body(idempotency_key="k6"))
    seen = jobs.list(shop, ListRequest(search="k6"))["results"][0]
    assert (seen["status"], seen["error"]["code"]) == ("failed", "unavailable")
    runner.fails = False
    again = jobs.create(shop, body(idempotency_key="k6"))
    assert (again["job_id"], again["run"], again["status"]) == (seen["job_id"], 2, "queued")


def test_an_empty_manifest_fails_the_job(app: App, shop: Namespace) -> None:
    app.buckets.bucket("assets").put(f"{shop.namespace_id}/empty.jsonl", b"\n\n")
    request = {
        "retrievers": ["nearest"],
        "manifest": f"s3://assets/{shop.namespace_id}/empty.jsonl",
    }
    done = wait(app, shop, app.jobs.create(shop, parse_model(JobCreate, request))["job_id"])
    assert (done["status"], done["error"]["message"]) == ("failed", "the manifest is empty")


def test_namespaces_do_not_see_each_others_jobs(
    app: App, jobs: JobCatalog, shop: Namespace
) -> None:
    other = make_namespace(app, "other")
    job = jobs.create(shop, body(idempotency_key="k7"))
    assert jobs.list(other, ListRequest())["results"] == []
    for call in (jobs.get, jobs.stop):
        with pytest.raises(NotFoundError):
            call(other, job["job_id"])
    for bad in ("job_1", "../x", "job_" + "0" * 24, "x" * 5000):
        with pytest.raises(NotFoundError):
            jobs.get(shop, bad)


def test_jobs_go_with_their_namespace(app: App) -> None:
    namespace = make_namespace(app, "gone")
    upsert(app, namespace, random_documents(3))
    inputs = {"v": {"type": "array"}}
    make_retriever(app, namespace, [search_stage()], input_schema=inputs)
    job = app.jobs.create(namespace, body(60, idempotency_key="k"))
    wait(app, namespace, job["job_id"])
    app.namespaces.delete(namespace.namespace_id)
    left = list(app.buckets.bucket("results").list(f"{namespace.namespace_id}/"))
    assert left == []
    assert list(app.jobs.store.all(namespace.namespace_id)) == []
    assert app.jobs.store.find_key(namespace.namespace_id, "k") is None
    with pytest.raises(NotFoundError):
        app.jobs.get(namespace, job["job_id"])


def test_a_claim_without_its_job_is_free(app: App, jobs: JobCatalog, shop: Namespace) -> None:
    job = jobs.create(shop, body(idempotency_key="k8"))
    app.records.delete(Delete(f"jobs/{shop.namespace_id}", f"job/{job['job_id']}"))
    assert jobs.create(shop, body(idempotency_key="k8"))["job_id"] != job["job_id"]


def test_a_job_nobody_started_is_started_by_the_next_who_asks(
    app: App, jobs: JobCatalog, shop: Namespace
) -> None:
    job = jobs.create(shop, body(idempotency_key="k9"))
    jobs.store.update(shop.namespace_id, job["job_id"], lambda job: replace(job, execution=None))
    assert jobs.get(shop, job["job_id"])["status"] == "queued"
    again = jobs.create(shop, body(idempotency_key="k9"))
    assert (again["run"], again["status"]) == (1, "queued")
    assert jobs.store.find(shop.namespace_id, job["job_id"]).execution is not None


def test_a_job_whose_files_have_expired_says_so(jobs: JobCatalog, shop: Namespace) -> None:
    job = jobs.create(shop, body(idempotency_key="k10"))
    jobs.work.plan(JobRun(shop.namespace_id, job["job_id"], 1))
    for blob in list(jobs.store.results.list(f"{shop.namespace_id}/jobs/{job['job_id']}/")):
        jobs.store.results.delete(blob.key)
    jobs.stop(shop, job["job_id"])
    again = jobs.create(shop, body(idempotency_key="k10"))
    assert jobs.work.plan(JobRun(shop.namespace_id, job["job_id"], again["run"])).count == 0
    seen = jobs.get(shop, job["job_id"])
    assert (seen["status"], "not kept" in seen["error"]["message"]) == ("failed", True)
