"""What a job rests on changes while it runs: its runner, its retrievers, its rights."""

import asyncio
import threading
from dataclasses import replace
from typing import Any

import orjson
import pytest

from core.app import App
from core.deadline import NEVER
from core.errors import (
    InvalidRequestError,
    TrawlError,
)
from core.jobs.catalog import JobCatalog
from core.models.base import parse_model
from core.models.jobs import JobCreate
from core.models.listing import ListRequest
from core.models.namespaces import Namespace
from core.models.retriever import RetrieverPatch
from core.ports.jobs import JobRun
from tests.core.jobs.by_hand import ByHand, body, read_files
from tests.core.service import (
    make_retriever,
    search_stage,
)


def test_a_run_that_was_given_up_has_failed(
    jobs: JobCatalog, shop: Namespace, runner: ByHand
) -> None:
    job = jobs.create(shop, body(idempotency_key="k11"))
    runner.states[f"{job['job_id']}/1"] = "failed"
    seen = jobs.get(shop, job["job_id"])
    assert (seen["status"], seen["error"]["code"]) == ("failed", "run_failed")
    assert "idempotency key" in seen["error"]["message"]
    again = jobs.create(shop, body(idempotency_key="k11"))
    assert (again["job_id"], again["run"], again["error"]) == (job["job_id"], 2, None)
    runner.states[f"{job['job_id']}/2"] = "succeeded"  # and yet the job is not over
    assert jobs.get(shop, job["job_id"])["status"] == "interrupted"


def test_a_list_asks_about_what_it_shows(jobs: JobCatalog, shop: Namespace, runner: ByHand) -> None:
    made = [jobs.create(shop, body(metadata={"n": n}))["job_id"] for n in range(5)]
    for job_id in made:
        runner.states[f"{job_id}/1"] = "stopped"
    runner.asked.clear()
    page = jobs.list(shop, ListRequest(limit=2))
    assert [one["status"] for one in page["results"]] == ["stopped", "stopped"]
    assert sorted(runner.asked) == sorted(f"{one['job_id']}/1" for one in page["results"])
    # Here the status says which they are.
    condition = {"field": "status", "operator": "eq", "value": "stopped"}
    page = jobs.list(shop, ListRequest(limit=1000, filters=condition))
    assert set(made) <= {one["job_id"] for one in page["results"]}
    assert {one["status"] for one in page["results"]} == {"stopped"}


def test_jobs_say_which_version_of_a_retriever_they_are_of(
    app: App, jobs: JobCatalog, shop: Namespace
) -> None:
    inputs = {"v": {"type": "array", "required": True}}
    make_retriever(app, shop, [search_stage()], "moving", input_schema=inputs)
    job = jobs.create(shop, body(40, retrievers=["moving"], idempotency_key="k12"))
    run = JobRun(shop.namespace_id, job["job_id"], 1)
    chunks = orjson.loads(jobs.store.results.get(jobs.work.plan(run).key))
    asyncio.run(jobs.work.run_chunk(run, chunks[0], deadline=NEVER))
    app.retrievers.patch(
        shop, "moving", RetrieverPatch(description="changed"), check=lambda *_: None
    )
    asyncio.run(jobs.work.run_chunk(run, chunks[1], deadline=NEVER))
    jobs.work.finish(run)
    done = jobs.get(shop, job["job_id"])
    assert done["retrievers"][0]["retriever_version"] == 1
    versions = [row["retriever_version"] for row in read_files(app, done)]
    assert versions == [1] * 25 + [2] * 15


def test_a_retriever_that_goes_in_the_middle_leaves_errors(
    app: App, jobs: JobCatalog, shop: Namespace
) -> None:
    inputs = {"v": {"type": "array", "required": True}}
    make_retriever(app, shop, [search_stage()], "going", input_schema=inputs)
    job = jobs.create(shop, body(40, retrievers=["going", "far"]))
    run = JobRun(shop.namespace_id, job["job_id"], 1)
    chunks = orjson.loads(jobs.store.results.get(jobs.work.plan(run).key))
    asyncio.run(jobs.work.run_chunk(run, chunks[0], deadline=NEVER))
    app.retrievers.delete(shop.namespace_id, "going")
    asyncio.run(jobs.work.run_chunk(run, chunks[1], deadline=NEVER))
    jobs.work.finish(run)
    done = jobs.get(shop, job["job_id"])
    assert (done["progress"]["succeeded"], done["progress"]["failed"]) == (25, 15)
    assert done["errors_by_code"] == {"not_found": 15}
    assert len(read_files(app, done)) == 25 + 40


def test_a_manifest_is_not_read_by_who_may_no_longer(
    app: App, jobs: JobCatalog, shop: Namespace, runner: ByHand
) -> None:
    app.buckets.bucket("lent").put("m.jsonl", b"{}")
    lent = replace(shop, registered_buckets=("lent",))
    request = {"retrievers": ["nearest"], "manifest": "s3://lent/m.jsonl", "idempotency_key": "k13"}
    job = jobs.create(lent, parse_model(JobCreate, request))
    runner.states.clear()  # ended before the manifest was read
    with pytest.raises(InvalidRequestError, match="not registered"):
        jobs.create(shop, parse_model(JobCreate, request))
    assert jobs.get(shop, job["job_id"])["run"] == 1


def test_metadata_is_small(shop: Namespace) -> None:
    with pytest.raises(InvalidRequestError, match="metadata: .* at most 50000") as caught:
        body(metadata={"text": "x" * 50_000})
    assert [problem.path for problem in caught.value.problems] == ["metadata"]


def test_two_posts_at_once_make_one_job(app: App, jobs: JobCatalog, shop: Namespace) -> None:
    ready = threading.Barrier(4)
    made: list[str] = []

    def post() -> None:
        ready.wait()
        made.append(jobs.create(shop, body(idempotency_key="k14"))["job_id"])

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    assert len(set(made)) == 1


def test_a_bucket_that_the_deployment_may_not_read_is_named(
    jobs: JobCatalog, shop: Namespace
) -> None:
    class Refusing:
        def bucket(self, _name: str) -> Any:
            return self

        def head(self, _key: str) -> Any:
            raise TrawlError("S3 refused the request: 403")

    buckets: Any = Refusing()
    lent = replace(shop, registered_buckets=("lent",))
    request = parse_model(JobCreate, {"retrievers": ["nearest"], "manifest": "s3://lent/m.jsonl"})
    with pytest.raises(InvalidRequestError, match="read_buckets"):
        replace(jobs, buckets=buckets).create(lent, request)


def test_a_plan_for_a_namespace_that_is_gone_leaves_nothing(
    app: App, jobs: JobCatalog, shop: Namespace
) -> None:
    run = JobRun("ns_gone", "job_" + "0" * 24, 1)
    planned = jobs.work.plan(run)
    assert planned.count == 0
    assert list(app.buckets.bucket("results").list("ns_gone/")) == []
    jobs.work.finish(run)
