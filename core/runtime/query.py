"""One query of a call, from its inputs to its result; whatever happens to it stays in it."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import orjson

from core.deadline import Deadline
from core.delivery import Presigner
from core.errors import DeadlineError, StageError, TrawlError
from core.models.execution import BatchQuery, Settings
from core.models.namespaces import Namespace
from core.plan.cache import Level
from core.plan.compile import CompiledPlan
from core.rows.row import Row
from core.runtime.answers import completed_result, failed_result
from core.runtime.environment import Environment
from core.runtime.pipeline import PreparedQuery, StageFailure, prepare_query, run_pipeline
from core.runtime.presenting import present_rows
from core.types import JsonObject

_log = logging.getLogger("trawl")

# Chooses the rows that are shown, and what the result says about them beside its own.
Page = Callable[[Sequence[Row]], tuple[Sequence[Row], JsonObject]]


@dataclass(frozen=True, slots=True)
class Call:
    """One request at work: its plan, its pinned world, and what it wants shown."""

    namespace: Namespace
    plan: CompiledPlan
    plan_level: Level
    plan_ms: float
    environment: Environment
    settings: Settings
    deadline: Deadline  # when the queries must have ended
    answer_by: Deadline  # when the answer must be ready
    return_vectors: bool
    presigner: Presigner | None
    started: float  # time.perf_counter()

    @property
    def snapshots(self) -> dict[str, int]:
        """The pinned version of each of the plan's collections."""
        versions = self.environment.versions
        return {name: versions[name] for name in self.plan.plan.collection_ids}


@dataclass(frozen=True, slots=True)
class Answered:
    """A query's result, its bytes as JSON, and the error behind it if it failed."""

    result: JsonObject
    size: int
    error: Exception | None = None


def prepare(call: Call, query: BatchQuery) -> PreparedQuery | Exception:
    """Check one query; what is wrong with it, or with us, is its own result, in its own turn."""
    try:
        return prepare_query(
            call.environment,
            call.plan,
            query.inputs,
            query.filters,
            max_chunks=call.settings.max_chunks,
            deadline=call.deadline,
        )
    except Exception as error:
        return error


async def answer_query(
    call: Call, prepared: PreparedQuery | Exception, page: Page, *, asked: int
) -> Answered:
    """Run one query to its result. Never raises, but for being cancelled."""
    started = time.perf_counter()
    try:
        if isinstance(prepared, Exception):
            raise prepared
        result = await _run(call, prepared, page, asked)
        answered = Answered(result, _json_size(result))
    except TimeoutError:
        answered = _failed(call, DeadlineError("the query's time ran out"))
    except Exception as error:
        answered = _failed(call, error)
    answered.result["duration_ms"] = round((time.perf_counter() - started) * 1000, 3)
    return answered


async def _run(call: Call, prepared: PreparedQuery, page: Page, asked: int) -> JsonObject:
    budget_ms = call.plan.plan.max_time_ms
    prepared.run.deadline = call.deadline.earlier(None if budget_ms is None else budget_ms / 1000)
    remaining = prepared.run.deadline.remaining()
    async with asyncio.timeout(None if remaining == float("inf") else remaining):
        ran = await run_pipeline(prepared)
        rows, about = page(ran.rows)
        documents = await _present(call, rows)
    unused = sorted(set(prepared.run.inputs) - prepared.inputs_read)
    warnings = [f"input {name!r} is used by no stage" for name in unused]
    result = completed_result(
        ran, documents, asked=asked, snapshots=call.snapshots, warnings=warnings
    )
    return {**result, **about}


def _json_size(result: JsonObject) -> int:
    """Return a result's bytes; fail the one query whose stages made what cannot be answered."""
    try:
        return len(orjson.dumps(result))
    except TypeError as error:
        raise StageError(f"the result holds what JSON cannot: {error}") from error


async def _present(call: Call, rows: Sequence[Row]) -> list[JsonObject]:
    present = partial(
        present_rows,
        call.environment,
        rows,
        presigner=call.presigner,
        return_vectors=call.return_vectors,
    )
    if call.presigner is None and not call.return_vectors:
        return present()
    # Signing computes and vectors are read from disk: neither may hold up the loop.
    pool = call.environment.services.pool
    return await asyncio.get_running_loop().run_in_executor(pool, present)


def _failed(call: Call, error: Exception) -> Answered:
    cause = error.error if isinstance(error, StageFailure) else error
    if not isinstance(cause, TrawlError):
        _log.error("a query failed unexpectedly", exc_info=cause)
    result = failed_result(error, snapshots=call.snapshots)
    return Answered(result, len(orjson.dumps(result)), cause)
