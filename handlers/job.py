"""One step of a bulk job on Lambda, as the job's state machine asks for it."""

import asyncio
import json
import re
import time
from functools import cache
from typing import Any, Final

from aws_lambda_powertools import single_metric
from aws_lambda_powertools.metrics import MetricUnit

from core.deadline import Deadline
from core.errors import NotFoundError, TrawlError
from core.jobs.progress import add_up
from core.ports.jobs import JobRun, JobSteps
from handlers.deployed import deployed_app
from handlers.observation import logger, metrics

Event = dict[str, Any]

# The answer must leave before Lambda ends the process. The work itself keeps time back for saving.
RESERVE_S: Final = 5.0
# How Step Functions and Lambda report a process that was ended by time, by memory or by a crash.
_KILLED: Final = re.compile(
    r"States\.Timeout|Runtime\.(ExitError|OutOfMemory)|Sandbox\.Timedout|[Tt]imed out"
)
_MESSAGE_CHARS: Final = 500


class JobRefusedError(Exception):
    """The step cannot be done, now or later. The state machine names this class: it does not ask
    again."""


class JobPausedError(Exception):
    """The step may be done later. The state machine names this class: it asks again, patiently."""


@cache
def _runner() -> asyncio.Runner:
    """One loop for the life of the process: the engine's tasks and pools belong to it."""
    return asyncio.Runner()


def _steps() -> JobSteps:
    return deployed_app().jobs.work


def handler(event: Event, context: Any) -> Event:
    """Do `{step, namespace_id, job_id, run, chunk?, failure?}` and answer what comes next.

    `plan` answers `{bucket, key, count}`, `chunk` answers `{done}`, `give_up` and `finish` `{}`.
    A chunk that is refused is given up at once. Raises `JobRefusedError` and `JobPausedError` for
    errors of ours; any other exception is a bug, and fails the call.
    """
    started = time.perf_counter()
    run = JobRun(str(event["namespace_id"]), str(event["job_id"]), int(event["run"]))
    chunk = event.get("chunk") or {}
    facts = {
        "request_id": str(getattr(context, "aws_request_id", "")),
        "step": event["step"],
        "namespace_id": run.namespace_id,
        "job_id": run.job_id,
        "run": run.run,
        "chunk": chunk.get("number"),
    }
    with logger.append_context_keys(**facts):
        try:
            answer, outcome = _do(event, run, context)
        except Exception as error:
            _observe(event, "failed", started)
            logger.exception("job step failed")
            raise _told(error) from error
        _observe(event, outcome, started)
    return answer


def _do(event: Event, run: JobRun, context: Any) -> tuple[Event, str]:
    """Return the answer to one event, and the outcome that is counted."""
    steps, step = _steps(), event["step"]
    if step == "plan":
        planned = steps.plan(run)
        return {"bucket": planned.bucket, "key": planned.key, "count": planned.count}, "done"
    if step == "chunk":
        return _run_chunk(steps, run, event["chunk"], _deadline(context))
    if step == "give_up":
        steps.give_up(run, event["chunk"], describe_failure(event.get("failure") or {}))
        return {}, "given_up"
    if step == "finish":
        steps.finish(run)
        _count_items(run)
        return {}, "done"
    raise JobRefusedError(f"no such step: {step}")


def _run_chunk(steps: JobSteps, run: JobRun, chunk: Event, deadline: Deadline) -> tuple[Event, str]:
    try:
        done = _runner().run(steps.run_chunk(run, chunk, deadline=deadline))
    except TrawlError as error:
        if _is_passing(error):
            raise
        # Asking again would end the same way.
        logger.warning("chunk refused", extra={"code": error.code})
        steps.give_up(run, chunk, _shown(error))
        return {"done": True}, "given_up"
    return {"done": done}, "done" if done else "continued"


def _deadline(context: Any) -> Deadline:
    return Deadline.after(max(0.0, context.get_remaining_time_in_millis() / 1000 - RESERVE_S))


def describe_failure(failure: Event) -> str:
    """Return, for the user's error file, why a chunk was given up: `{Error, Cause}` of the state
    machine, where `Cause` is what Lambda told of the exception, as JSON.

    Only messages that were written for users are repeated; of the rest, the class.
    """
    kind, cause = str(failure.get("Error", "")), str(failure.get("Cause", ""))
    try:
        told = json.loads(cause)
    except ValueError:
        told = {"errorMessage": cause}
    message = str(told.get("errorMessage", "")) if isinstance(told, dict) else ""
    if kind in (JobRefusedError.__name__, JobPausedError.__name__):
        return message[:_MESSAGE_CHARS]
    if _KILLED.search(f"{kind} {message}"):
        return "its items took more time or memory than the job function has, again and again"
    return f"the job function failed again and again ({kind[:100] or 'unknown error'}); see its log"


def _is_passing(error: TrawlError) -> bool:
    """Say whether the same step may succeed later."""
    return error.retryable or error.blame == "service"


def _told(error: Exception) -> Exception:
    """Return the exception by whose class the state machine decides."""
    if not isinstance(error, TrawlError):
        return error
    kind = JobPausedError if _is_passing(error) else JobRefusedError
    return kind(_shown(error))


def _shown(error: TrawlError) -> str:
    return f"{error.code}: {error.message}"[:_MESSAGE_CHARS]


def _count_items(run: JobRun) -> None:
    """Send how the items of an ended job went; those of a continued job are sent again."""
    store = deployed_app().jobs.store
    try:
        totals = add_up(store.chunks(store.find(run.namespace_id, run.job_id)))
    except NotFoundError:  # it went with its namespace
        return
    for outcome, count in (("succeeded", totals.succeeded), ("failed", totals.failed)):
        _send_count("JobItems", outcome, count)


def _send_count(name: str, outcome: str, count: int) -> None:
    with single_metric(name, MetricUnit.Count, count, namespace="Trawl") as metric:
        metric.add_dimension("service", str(metrics.service))
        metric.add_dimension("outcome", outcome)


def _observe(event: Event, outcome: str, started: float) -> None:
    """Say what happened, never what was asked: manifests and results are the user's."""
    if event["step"] in ("chunk", "give_up"):
        _send_count("JobChunks", outcome, 1)
    milliseconds = round((time.perf_counter() - started) * 1000, 3)
    logger.info("job step", extra={"outcome": outcome, "duration_ms": milliseconds})
