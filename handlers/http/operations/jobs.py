"""Operations on jobs: work larger than one call."""

from core.types import JsonObject
from handlers.http.call import Call
from handlers.http.dispatch import json_response
from handlers.http.messages import ApiResponse


def create_job(call: Call) -> ApiResponse:
    """Make a job and start it, or continue the one of the same idempotency key."""
    job = call.app.jobs.create(call.namespace, call.body)
    call.facts["job_id"] = job["job_id"]
    return json_response(202, job, {"Location": f"/v1/jobs/{job['job_id']}"})


def list_jobs(call: Call) -> JsonObject:
    """List the namespace's jobs, the newest first."""
    return call.app.jobs.list(call.namespace, call.body)


def get_job(call: Call) -> JsonObject:
    """Return a job's progress, cost, and a page of its result files."""
    call.facts["job_id"] = call.path["job"]
    return call.app.jobs.get(call.namespace, call.path["job"], call.body)


def stop_job(call: Call) -> JsonObject:
    """Stop a job; what is done stays."""
    call.facts["job_id"] = call.path["job"]
    return call.app.jobs.stop(call.namespace, call.path["job"])
