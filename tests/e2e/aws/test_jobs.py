"""Bulk jobs on AWS: hundreds of queries through the Distributed Map, stopped, continued, poisoned.

In the order of the file: each test finds what those before it have left.
"""

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from core.adapters.jobs_stepfunctions import StepFunctionsRunner, execution_name
from core.ports.jobs import JobRun
from tests.core.media.pictures import encode, landscape
from tests.e2e.aws.deployment import Deployment
from tests.e2e.aws.images import Images, as_uri, get
from tests.servers import Client

NAMESPACE = "bulk"
DIMENSION = 16
RETRIEVERS = ("near", "nearer")
# Lines of a manifest that cannot have a result, and the code of the error that they get.
POISON = {
    "{this is no JSON": "validation_failed",
    "[1, 2]": "validation_failed",
    "": "validation_failed",
    '{"id": "neither"}': "validation_failed",
    '{"id": "both", "inputs": {"vector": [1]}, "file": "https://example.com/a.jpg"}': (
        "validation_failed"
    ),
    '{"id": "unknown key", "inputs": {"vector": [1]}, "colour": "red"}': "validation_failed",
    '{"id": "missing", "inputs": {}}': "validation_failed",
    '{"id": "nameless", "inputs": {"vektor": [1]}}': "validation_failed",
    '{"id": "short", "inputs": {"vector": [1, 2, 3]}}': "validation_failed",
    '{"id": "words", "inputs": {"vector": "red"}}': "validation_failed",
}


@dataclass(frozen=True, slots=True)
class Jobs:
    """A namespace of vectors with two retrievers, and jobs on them."""

    deployment: Deployment
    client: Client
    prefix: str
    vectors: list[list[float]]

    def write_manifest(self, name: str, lines: list[str]) -> str:
        """Store a manifest among the namespace's own files and return its address."""
        bucket = self.deployment.outputs["AssetsBucketName"]
        key = f"{self.prefix}/{name}.jsonl"
        self.deployment.client("s3").put_object(
            Bucket=bucket, Key=key, Body="\n".join(lines).encode()
        )
        return f"s3://{bucket}/{key}"

    def lines(self, count: int) -> list[str]:
        """Return that many good lines, each about another document."""
        return [
            json.dumps({"id": f"i{n}", "inputs": {"vector": self.vectors[n % len(self.vectors)]}})
            for n in range(count)
        ]

    def create(self, **body: Any) -> Any:
        """Make or continue a job."""
        answer = self.client.post("/v1/jobs", body)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def wait(self, job_id: str, until: Callable[[Any], bool], seconds: float = 120) -> Any:
        """Return the job as soon as it is as wanted."""
        ends = time.monotonic() + seconds
        while True:
            job = self.client.ok("GET", f"/v1/jobs/{job_id}?limit=1000")
            if until(job):
                return job
            assert time.monotonic() < ends, job
            time.sleep(0.2)


def is_over(job: Any) -> bool:
    return job["status"] not in ("queued", "running")


def rows_of(job: Any, kind: str) -> list[Any]:
    """Open the presigned URLs of one kind, as anyone could, and read the lines behind them."""
    rows = []
    for file in job["results"]:
        if file["kind"] != kind:
            continue
        status, body = get(file["url"])
        assert status == 200, body
        lines = body.decode().splitlines()
        assert len(lines) == file["items"]
        rows += [json.loads(line) for line in lines]
    return rows


@pytest.fixture(scope="module")
def jobs(deployment: Deployment, admin: Client) -> Jobs:
    """A hundred vectors, and two retrievers of the nearest."""
    made = admin.ok(
        "POST",
        "/v1/namespaces/standalone",
        {
            "namespace_id": NAMESPACE,
            "vector_configs": [{"name": "v", "dimension": DIMENSION, "metric": "cosine"}],
        },
    )
    client = admin.within(NAMESPACE)
    vectors = np.random.default_rng(7).standard_normal((100, DIMENSION)).round(4).tolist()
    documents = [
        {"document_id": f"d{n}", "vectors": {"v": vector}} for n, vector in enumerate(vectors)
    ]
    client.ok("POST", f"/v1/namespaces/{NAMESPACE}/documents/upsert", {"documents": documents})
    collection = client.ok("GET", f"/v1/namespaces/{NAMESPACE}")["default_collection_id"]
    for number, name in enumerate(RETRIEVERS, start=1):
        search = {
            "searches": [
                {
                    "feature_uri": "v",
                    "query": {"input_mode": "vector", "value": "{{INPUT.vector}}"},
                    "top_k": number,
                }
            ],
            "final_top_k": number,
        }
        stage = {
            "stage_name": "search",
            "config": {"stage_id": "feature_search", "parameters": search},
        }
        body = {
            "retriever_name": name,
            "collection_identifiers": [collection],
            "stages": [stage],
            "input_schema": {"vector": {"type": "array", "required": True}},
        }
        client.ok("POST", "/v1/retrievers", body)
    return Jobs(deployment, client, made["namespace_id"], vectors)


def test_every_line_ends_in_one_place_and_poison_costs_nobody_else(jobs: Jobs) -> None:
    lines = jobs.lines(290)
    for place, poison in enumerate(POISON):
        lines.insert(place * 29 + 3, poison)
    manifest = jobs.write_manifest("mixed", lines)
    made = jobs.create(retrievers=RETRIEVERS, manifest=manifest, settings={"limit": 5})
    assert not is_over(made)
    job = jobs.wait(made["job_id"], is_over)
    assert job["status"] == "completed_with_errors"
    assert (job["progress"]["items"], job["progress"]["done"]) == (300, 300)
    assert (job["progress"]["succeeded"], job["progress"]["failed"]) == (290, 10)
    assert job["progress"]["fraction"] == 1
    assert job["progress"]["chunks"] == job["progress"]["chunks_done"] > 1
    results, errors = rows_of(job, "results"), rows_of(job, "errors")
    for row in results:
        n = int(row["id"][1:])
        assert row["result"]["documents"][0]["document_id"] == f"d{n % 100}"
        assert lines[row["line"] - 1] == json.dumps(
            {"id": row["id"], "inputs": {"vector": jobs.vectors[n % 100]}}
        )
    # Each good line once for each retriever, each bad one in an error that says why.
    places = Counter(row["line"] for row in results)
    bad = {line for line, text in enumerate(lines, start=1) if text in POISON}
    assert set(places.values()) == {2}
    assert set(places) == set(range(1, 301)) - bad
    assert {row["line"] for row in errors} == bad
    for row in errors:
        assert row["error"]["code"] == POISON[lines[row["line"] - 1]], row
        assert row["error"]["blame"] == "caller"
        assert row["error"]["message"]
    assert job["errors_by_code"] == Counter(row["error"]["code"] for row in errors)
    assert job["cost"]["usd"] > 0
    assert job["cost"]["lambda_gb_seconds"] > 0
    assert job["cost"]["requests"]["state_transitions"] >= job["progress"]["chunks"]


def test_a_job_that_is_stopped_goes_on_where_it_was(jobs: Jobs) -> None:
    count = 1000
    manifest = jobs.write_manifest("long", jobs.lines(count))
    body = {"retrievers": ["near"], "manifest": manifest, "idempotency_key": "long"}
    made = jobs.create(**body)
    jobs.wait(made["job_id"], lambda job: job["progress"]["chunks_done"] > 0)
    stopped = jobs.client.ok("DELETE", f"/v1/jobs/{made['job_id']}")
    assert stopped["status"] == "stopped"
    assert 0 < stopped["progress"]["done"] < count
    done = {row["line"] for row in rows_of(stopped, "results")}
    again = jobs.create(**body)
    assert (again["job_id"], again["run"]) == (made["job_id"], 2)
    job = jobs.wait(made["job_id"], is_over)
    assert (job["status"], job["progress"]["succeeded"]) == ("completed", count)
    places = Counter(row["line"] for row in rows_of(job, "results"))
    assert places == Counter(range(1, count + 1))
    assert done <= set(places)
    # It is over, and being asked for again changes nothing.
    assert jobs.create(**body)["run"] == 2


def test_a_run_is_started_once_however_often_it_is_asked_for(jobs: Jobs) -> None:
    body = {
        "retrievers": ["near"],
        "items": [json.loads(line) for line in jobs.lines(30)],
        "idempotency_key": "twice",
    }
    first, second = jobs.create(**body), jobs.create(**body)
    assert first["job_id"] == second["job_id"]
    machine = jobs.deployment.outputs["JobStateMachineArn"]
    run = JobRun(jobs.prefix, first["job_id"], 1)
    runner = StepFunctionsRunner(machine)
    execution = runner.start(run)
    job = jobs.wait(first["job_id"], is_over)
    assert (job["status"], job["run"], job["progress"]["succeeded"]) == ("completed", 1, 30)
    # Over or not, the name is taken.
    assert runner.start(run) == execution
    listed = jobs.deployment.client("stepfunctions").list_executions(stateMachineArn=machine)
    names = [one["name"] for one in listed["executions"]]
    assert names.count(execution_name(run)) == 1
    assert runner.state(execution) == "succeeded"


def test_files_are_read_by_the_media_function_and_bad_ones_are_named(images: Images) -> None:
    broken = encode(landscape(3), "JPEG")[:2000]
    files = [as_uri(encode(landscape(n % 4), "PNG")) for n in range(8)] + [as_uri(broken)]
    items = [{"id": f"f{n}", "file": file} for n, file in enumerate(files)]
    answer = images.client.post("/v1/jobs", {"retrievers": ["copies"], "items": items})
    assert answer.status_code == 202, answer.text
    ends = time.monotonic() + 120
    while not is_over(job := images.client.ok("GET", f"/v1/jobs/{answer.json()['job_id']}")):
        assert time.monotonic() < ends, job
        time.sleep(0.2)
    tops = {
        row["id"]: row["result"]["documents"][0]["document_id"] for row in rows_of(job, "results")
    }
    assert tops == {f"f{n}": f"p{n % 4}" for n in range(8)}
    [error] = rows_of(job, "errors")
    assert (error["id"], error["retriever"] is None) == ("f8", False)
    assert (error["error"]["code"], error["error"]["blame"]) == ("media_unreadable", "media")
    # Five files that differ: each is a call of the media function, billed beside the job's own.
    assert job["cost"]["requests"]["lambda"] > 5
    assert job["cost"]["media_gb_seconds"] > 0


def test_a_run_of_a_job_that_is_gone_ends_quietly(jobs: Jobs) -> None:
    runner = StepFunctionsRunner(jobs.deployment.outputs["JobStateMachineArn"])
    execution = runner.start(JobRun(jobs.prefix, "job_nobody", 1))
    ends = time.monotonic() + 60
    while runner.state(execution) == "running":
        assert time.monotonic() < ends
        time.sleep(0.2)
    # As after its namespace was deleted: there is nothing to do, and nobody to tell.
    assert runner.state(execution) == "succeeded"
