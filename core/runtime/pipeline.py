"""One query through the stages of a compiled plan."""

import asyncio
import logging
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from core.deadline import Deadline
from core.errors import DeadlineError, StageError, TrawlError
from core.filtering.operators import matches
from core.hits import Evidence, SearchRequest
from core.plan.compile import (
    CompiledPlan,
    CompiledStage,
    inputs_among,
    render_query_filter,
)
from core.rows.row import Row, Rows
from core.runtime.context import StageRun
from core.runtime.environment import Environment
from core.runtime.inputs import prepare_inputs
from core.runtime.notes import MAX_CHUNKS
from core.runtime.querying import QueryRun, prepare_search, submit_search
from core.runtime.searching import PreparedSearch
from core.stage import StageReport
from core.templates import compile_tree
from core.traits import StageParams
from core.types import JsonObject, JsonValue, ReadOnlyObject

# A retriever that a stage runs may run another one, this deep.
MAX_DEPTH = 3

_log = logging.getLogger("trawl")


class StageFailure(Exception):
    """An error on its way out of a query, with the stage that it came from."""

    def __init__(self, error: Exception, stage: CompiledStage) -> None:
        super().__init__(str(error))
        self.error = error
        self.stage_name = stage.node.stage_name
        self.stage_index = stage.node.written[0] if stage.node.written else None


@dataclass(frozen=True, slots=True)
class StageOutcome:
    """What one stage did: counts of rows, milliseconds, and what it reported."""

    name: str
    input_count: int
    output_count: int
    duration_ms: float
    report: StageReport
    error: str | None = None

    @property
    def incomplete(self) -> list[JsonObject]:
        """Why documents may be missing: what the stage said, its caps, a search not proven."""
        entries = list(self.report.incomplete)
        for limit in self.report.limits:
            if limit["name"] == MAX_CHUNKS:
                continue
            message = f"{limit['name']} was limited to {limit['applied']}"
            entries.append({"code": "capped", "message": message})
        evidence = self.report.evidence
        if evidence is not None and not evidence.exact:
            message = "the search is not proven to have found the nearest"
            entries.append({"code": "approximate", "message": message})
        return [{**entry, "stage": self.name} for entry in entries]


@dataclass(slots=True)
class PipelineResult:
    """A query's rows after the last stage, and the account of every stage."""

    rows: Rows
    stages: list[StageOutcome] = field(default_factory=list)

    @property
    def evidence(self) -> Evidence:
        """The evidence of all searches of the query."""
        merged: Evidence | None = None
        for outcome in self.stages:
            found = outcome.report.evidence
            if found is not None:
                merged = found if merged is None else merged.merged(found)
        return merged or Evidence()


@dataclass(slots=True)
class PreparedQuery:
    """A query whose inputs, filter and first parameters are checked, ready for its turn."""

    run: QueryRun
    plan: CompiledPlan
    inputs_read: frozenset[str]  # by the plan's templates and the query's own filter's
    first_params: StageParams | None = None


def prepare_query(
    environment: Environment,
    plan: CompiledPlan,
    inputs: JsonObject,
    filters: JsonValue,
    *,
    max_chunks: int | None,
    deadline: Deadline,
    depth: int = 0,
) -> PreparedQuery:
    """Check a query against the plan. Raises `InvalidRequestError`, `FilterError`,
    `TemplateError`."""
    ready = prepare_inputs(plan.plan.input_schema, inputs)
    scope: JsonObject = {"INPUT": ready, "CONTEXT": _context_scope(plan), "STAGE": {}}
    query = QueryRun(
        environment=environment,
        collection_ids=plan.plan.collection_ids,
        inputs=ready,
        scope=scope,
        filter=None if filters is None else render_query_filter(filters, scope),
        max_chunks=max_chunks,
        deadline=deadline,
        depth=depth,
    )
    own = () if query.filter is None else compile_tree({"filters": filters}).names
    return PreparedQuery(query, plan, plan.inputs_read | inputs_among(own))


def begin_leading_searches(queries: Sequence[PreparedQuery], *, most: int) -> None:
    """Start the searches that the plan begins with, so that a whole batch's are merged.

    Searches that cannot share a call (their filters differ) are begun for `most` queries only:
    the others' begin in their turn, or a batch would search more at once than its concurrency.
    A query that fails here fails alone, in its own turn and with its own stage's name: so the
    error is left to that turn, which meets it again.
    """
    kinds: set[frozenset[Hashable]] = set()
    for query in queries:
        searches = _leading_searches(query)
        kind = frozenset(search.key for _, search in searches)
        if not searches or (kind not in kinds and len(kinds) >= most):
            continue
        kinds.add(kind)
        for request, search in searches:
            future = submit_search(query.run, request, search)
            # Awaited later, or dropped at the deadline: then nobody is left to take its error.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            query.run.searched.append((request, future))


def _leading_searches(prepared: PreparedQuery) -> list[tuple[SearchRequest, PreparedSearch]]:
    leading = prepared.plan.stages[0]
    if leading.stage.searches is None:
        return []
    try:
        params = leading.params(prepared.run.scope)
        context = _stage_run(prepared.run, leading, is_first=True, report=StageReport())
        requests = leading.stage.searches(params, context)
        searches = [(request, prepare_search(prepared.run, request)) for request in requests]
    except Exception:
        return []
    prepared.first_params = params
    return searches


async def run_pipeline(prepared: PreparedQuery) -> PipelineResult:
    """Run every stage. Raises `StageFailure` with the stage's own error, or `DeadlineError`."""
    result = PipelineResult(rows=())
    try:
        for position, stage in enumerate(prepared.plan.stages):
            prepared.run.deadline.check(f"stage {stage.node.stage_name!r}")
            await _run_stage(result, prepared, position)
    finally:
        for _, future in prepared.run.searched:
            future.cancel()
    return result


async def _run_stage(result: PipelineResult, prepared: PreparedQuery, position: int) -> None:
    started = time.perf_counter()
    stage = prepared.plan.stages[position]
    report = StageReport()
    before = result.rows
    error = None
    try:
        rows = await _stage_rows(prepared, position, before, report)
    except (DeadlineError, asyncio.CancelledError):
        raise
    except Exception as caught:
        if stage.node.on_error != "skip":
            raise StageFailure(caught, stage) from caught
        error = _describe_skip(caught, stage, report)
        rows = before
    result.rows = rows
    elapsed = (time.perf_counter() - started) * 1000
    name = stage.node.stage_name
    result.stages.append(StageOutcome(name, len(before), len(rows), elapsed, report, error))
    _publish(prepared, stage, rows)


async def _stage_rows(
    prepared: PreparedQuery, position: int, rows: Rows, report: StageReport
) -> Rows:
    stage, scope = prepared.plan.stages[position], prepared.run.scope
    context = _stage_run(prepared.run, stage, is_first=position == 0, report=report)
    begun = prepared.first_params if position == 0 else None
    params = begun or stage.params(scope)
    after = await stage.stage.run(params, rows, context)
    keep = stage.rows_filter(scope)
    if keep is None:
        return after
    whole = await context.hydrate(after)
    return [row for row in whole if matches(keep, row.fields)]


def _stage_run(
    run: QueryRun, stage: CompiledStage, *, is_first: bool, report: StageReport
) -> StageRun:
    traits = stage.stage.traits
    # The query's filter constrains searches and scans. What filters rows on their way does not
    # ask for it again: they may have lost, or computed anew, the fields that it names.
    searches = is_first or traits.as_filter is None
    query_filter = run.filter if searches else None
    return StageRun(
        query=run,
        filter=stage.source_filter(run.scope, query_filter) if traits.source else None,
        hints=stage.node.hints,
        is_first=is_first,
        report=report,
        run_nested=_run_nested,
    )


def _describe_skip(caught: Exception, stage: CompiledStage, report: StageReport) -> str:
    """Record that a stage with `on_error: skip` failed: its absence makes the result incomplete."""
    if not isinstance(caught, TrawlError):
        _log.exception("stage %s failed and was skipped", stage.node.stage_name)
    message = caught.message if isinstance(caught, TrawlError) else type(caught).__name__
    report.incomplete.append({"code": "stage_skipped", "message": message})
    return message


def _publish(prepared: PreparedQuery, stage: CompiledStage, rows: Rows) -> None:
    """Let later templates see a stage's rows, as `STAGE.<name>` and `CONTEXT.<alias>`."""
    name, alias, scope = stage.node.stage_name, stage.node.output_alias, prepared.run.scope
    if alias is not None:
        scope["CONTEXT"] = {**scope["CONTEXT"], alias: [dict(row.fields) for row in rows]}
    if prepared.plan.reads_stage_outputs:
        score = rows[0].fields.get("score") if rows else None
        documents = [dict(row.fields) for row in rows]
        output = {"count": len(rows), "top_score": score, "documents": documents}
        scope["STAGE"] = {**scope["STAGE"], name: output}


def _context_scope(plan: CompiledPlan) -> JsonObject:
    return {
        "namespace_id": plan.plan.namespace_id,
        "retriever": {
            "retriever_id": plan.plan.retriever_id,
            "retriever_name": plan.plan.retriever_name,
            "version": plan.plan.retriever_version,
        },
    }


async def _run_nested(
    context: StageRun, retriever: str | JsonObject, inputs: ReadOnlyObject
) -> Sequence[Row]:
    """Run another retriever for one row of a stage: same snapshots, same deadline."""
    outer = context.query
    if outer.depth + 1 >= MAX_DEPTH:
        raise StageError(f"retrievers run each other more than {MAX_DEPTH} deep")
    environment = outer.environment
    plan = await _nested_plan(environment, retriever)
    prepared = prepare_query(
        environment,
        plan,
        dict(inputs),
        None,
        max_chunks=outer.max_chunks,
        deadline=outer.deadline,
        depth=outer.depth + 1,
    )
    try:
        nested = await run_pipeline(prepared)
    except StageFailure as failure:
        raise failure.error from failure
    for outcome in nested.stages:
        context.report.incomplete.extend(outcome.incomplete)
        context.report.warnings.extend(outcome.report.warnings)
    return await context.hydrate(nested.rows)


async def _nested_plan(environment: Environment, retriever: str | JsonObject) -> CompiledPlan:
    """Load a stored retriever's plan, or compile inline stages; its collections are pinned."""

    def load() -> CompiledPlan:
        plan = environment.load_plan(retriever)
        environment.pin(plan.plan.collection_ids)
        return plan

    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(environment.services.pool, load)
