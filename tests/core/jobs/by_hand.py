"""Jobs of a real service whose executions are what a test does: the runner, bodies, what came."""

import asyncio
import threading
from typing import Any

import orjson

from core.app import App
from core.deadline import NEVER
from core.errors import UnavailableError
from core.jobs.catalog import JobCatalog
from core.models.base import parse_model
from core.models.jobs import JobCreate
from core.models.namespaces import Namespace
from core.ports.jobs import JobRun, RunState
from core.types import JsonObject
from tests.core.service import vector_query


class ByHand:
    """A runner whose executions are what the test does."""

    def __init__(self) -> None:
        self.states: dict[str, RunState] = {}
        self.fails = False
        self.asked: list[str] = []

    def start(self, run: JobRun) -> str:
        if self.fails:
            raise UnavailableError("no room")
        self.states.setdefault(f"{run.job_id}/{run.run}", "running")
        return f"{run.job_id}/{run.run}"

    def state(self, execution: str) -> RunState:
        self.asked.append(execution)
        return self.states.get(execution, "unknown")

    def stop(self, execution: str) -> None:
        self.states[execution] = "stopped"


def body(count: int = 3, **more: Any) -> JobCreate:
    items = [{"id": f"i{n}", **vector_query(n)} for n in range(count)]
    return parse_model(JobCreate, {"retrievers": ["nearest"], "items": items, **more})


def wait(app: App, namespace: Namespace, job_id: str) -> JsonObject:
    """Return the job once the threads are done with it."""
    for _ in range(600):
        job = app.jobs.get(namespace, job_id)
        if job["status"] not in ("queued", "running"):
            return job
        threading.Event().wait(0.05)
    raise AssertionError("the job does not end")


def read_files(app: App, job: JsonObject, kind: str = "results") -> list[JsonObject]:
    keys = [
        one["url"].partition("/blobs/results/")[2].partition("?")[0]
        for one in job["results"]
        if one["kind"] == kind
    ]
    blobs = app.buckets.bucket("results")
    return [orjson.loads(row) for key in keys for row in blobs.get(key).splitlines()]


def run_by_hand(jobs: JobCatalog, namespace: Namespace, job: JsonObject) -> None:
    """Do the steps of the job's present run."""
    run = JobRun(namespace.namespace_id, job["job_id"], job["run"])
    planned = jobs.work.plan(run)
    for chunk in orjson.loads(jobs.store.results.get(planned.key)):
        assert asyncio.run(jobs.work.run_chunk(run, chunk, deadline=NEVER))
    jobs.work.finish(run)
