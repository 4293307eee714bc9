"""The journey of a batch, on one page: plan once, pin once, run bounded, answer whole.

fetch the retriever, take its plan (cached, optimized) -> pin a snapshot of every collection
-> begin the leading searches, merged -> run the queries, bounded -> spill -> answer
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from core.deadline import Deadline
from core.delivery import Presigner, ReadableBuckets, fail_largest, spill_documents
from core.errors import DeadlineError, NotFoundError, TrawlError, UnavailableError
from core.ids import new_id
from core.models.execution import (
    AdhocRequest,
    BatchQuery,
    BatchRequest,
    ExecuteRequest,
    Settings,
)
from core.models.namespaces import Namespace
from core.models.retriever import Retriever
from core.plan.cache import Level
from core.plan.compile import CompiledPlan
from core.plan.explain import summarize_optimization
from core.planner import Planner, collection_is_gone
from core.ports.blobs import Blobs, BlobStores
from core.runtime.answers import batch_answer, failed_result, reference_answer
from core.runtime.batch import run_bounded
from core.runtime.blocking import run_blocking
from core.runtime.environment import Environment, Services
from core.runtime.equal_queries import copies_of, group_equal
from core.runtime.pages import (
    DEFAULT_LIMIT,
    choose_pagination,
    first_rows,
    ignored_sizes,
    page_size,
    show_page,
)
from core.runtime.pipeline import PreparedQuery, begin_leading_searches
from core.runtime.query import Call, answer_query, prepare
from core.types import JsonObject

# Kept back from `settings.deadline_ms` for putting the answer together: a tenth, at most 250 ms.
_ANSWER_SHARE, _ANSWER_SECONDS = 0.1, 0.25
# What storing large documents may use of the platform's own reserve, which comes after `deadline`.
_RESERVE_SECONDS = 1.0
# However soon the deadline: a plan and its snapshots get this long, so that there is an answer that
# says of each query, or of each cell of a scan, that it timed out.
BEGIN_SECONDS = 0.25

T = TypeVar("T")
OnResult = Callable[[JsonObject], Awaitable[None]]
LoadPlan = Callable[..., tuple[CompiledPlan, Level]]  # takes `optimized`


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where results go, and from what size on."""

    buckets: BlobStores
    assets_bucket: str
    results: Blobs
    presign_s: int
    spill_bytes: int


class Engine:
    """Executes retrievers. One per process; its coroutines run on one event loop at a time."""

    def __init__(self, services: Services, planner: Planner, delivery: Delivery) -> None:
        self._services = services
        self._planner = planner
        self._delivery = delivery
        self._is_cold = True

    async def execute_batch(
        self,
        namespace: Namespace,
        retriever: str,
        request: BatchRequest,
        *,
        deadline: Deadline,
        on_result: OnResult | None = None,
    ) -> JsonObject:
        """Run every query of the batch and return the whole answer (`docs/design.md`).

        `deadline` is when the answer must be ready. `on_result` is told each result as it is
        done, in the order of completion. Raises only what concerns the batch as a whole:
        `NotFoundError`, `InvalidRequestError`, `UnavailableError`.
        """
        load = partial(self._planner.load, namespace, retriever)
        call = await self._begin(namespace, request, deadline, load)
        groups = group_equal(request.queries, dedupe=request.settings.dedupe)
        prepared = await self._prepare(call, [request.queries[members[0]] for members in groups])
        begin_leading_searches(_ready(prepared), most=request.concurrency)
        limit = request.settings.limit or DEFAULT_LIMIT
        page = partial(first_rows, limit=limit)
        results: list[JsonObject | None] = [None] * len(request.queries)
        size = 0

        async def run_group(group: int) -> None:
            nonlocal size
            answered = await answer_query(call, prepared[group], page, asked=limit)
            for copy in copies_of(answered.result, groups[group]):
                results[copy["index"]] = copy
                size += answered.size
                if on_result is not None:
                    await on_result(copy)

        try:
            run = await run_bounded(
                len(groups), run_group, concurrency=request.concurrency, deadline=call.deadline
            )
        finally:
            _abandon_searches(prepared)
        whole = [result or _timed_out(call, index) for index, result in enumerate(results)]
        batch_id = new_id("bat")
        if on_result is None:  # else every document is on its way already
            whole = await self._spill(call, whole, size, batch_id)
        concurrency = {"requested": request.concurrency, "peak": run.peak}
        about = {"concurrency": concurrency, **self._about(call), "warnings": []}
        about["retriever_version"] = call.plan.plan.retriever_version
        return batch_answer(whole, batch_id=batch_id, about=about)

    async def execute(
        self, namespace: Namespace, retriever: str, request: ExecuteRequest, *, deadline: Deadline
    ) -> JsonObject:
        """Run one query; answer as the reference does, with the per-query fields beside.

        What the caller got wrong, and what is broken here, is raised; a failed medium and a
        passed deadline are in the answer: `status`, `error`, `error_detail`.
        """
        load = partial(self._planner.load, namespace, retriever)
        return await self._execute(namespace, request, deadline, load)

    async def execute_adhoc(
        self, namespace: Namespace, request: AdhocRequest, *, deadline: Deadline
    ) -> JsonObject:
        """Run one query through stages that came with it."""

        def load(*, optimized: bool) -> tuple[CompiledPlan, Level]:
            return self._planner.compile_adhoc(namespace, request, optimized=optimized), "built"

        return await self._execute(namespace, request, deadline, load)

    def explain(self, namespace: Namespace, retriever: str) -> JsonObject:
        """Return the plan before and after optimization, and why. Nothing is executed."""
        return self._planner.explain(namespace, retriever)

    def check(self, namespace: Namespace, retriever: Retriever) -> None:
        """Raise `InvalidRequestError` with everything that would keep a retriever from running."""
        self._planner.check(namespace, retriever)

    async def _begin(
        self,
        namespace: Namespace,
        request: BatchRequest | ExecuteRequest,
        deadline: Deadline,
        load: LoadPlan,
    ) -> Call:
        """Load the plan and pin a snapshot of every collection."""
        started = time.perf_counter()
        stop, answer_by = stop_times(request.settings, deadline)

        def load_nested(config: str | JsonObject) -> CompiledPlan:
            if isinstance(config, str):
                return self._planner.load(namespace, config, optimized=True)[0]
            return self._planner.compile_inline(namespace, config)

        environment = Environment(self._services, namespace, load_nested)

        def plan_and_pin() -> tuple[CompiledPlan, Level, float]:
            plan, level = load(optimized=request.settings.optimize)
            plan_ms = (time.perf_counter() - started) * 1000
            try:
                environment.pin(plan.plan.collection_ids)
            except NotFoundError as error:
                raise collection_is_gone(error) from None
            return plan, level, plan_ms

        try:
            begin_by = Deadline(max(stop.at, Deadline.after(BEGIN_SECONDS).at))
            plan, level, plan_ms = await self._block(plan_and_pin, begin_by)
        except TimeoutError:
            message = "time ran out before the retriever and its collections could be read"
            raise UnavailableError(message, retry_after_seconds=1) from None
        return Call(
            namespace=namespace,
            plan=plan,
            plan_level=level,
            plan_ms=plan_ms,
            environment=environment,
            settings=request.settings,
            deadline=stop,
            answer_by=answer_by,
            return_vectors=request.return_vectors,
            presigner=self._presigner(namespace) if request.return_presigned_urls else None,
            started=started,
        )

    async def _prepare(
        self, call: Call, queries: Sequence[BatchQuery]
    ) -> list[PreparedQuery | Exception]:
        """Check every query, before any runs: what is not checked in time has timed out."""
        late = DeadlineError("time ran out before this query was checked")

        def check_all() -> list[PreparedQuery | Exception]:
            return [late if call.deadline.passed() else prepare(call, query) for query in queries]

        if not any(query.filters for query in queries):
            return check_all()
        # Fifty filters of a thousand conditions take half a second to read: not on the loop.
        try:
            return await self._block(check_all, call.deadline)
        except TimeoutError:
            return [late] * len(queries)

    async def _execute(
        self, namespace: Namespace, request: ExecuteRequest, deadline: Deadline, load: LoadPlan
    ) -> JsonObject:
        call = await self._begin(namespace, request, deadline, load)
        asked = choose_pagination(request, call.plan)
        prepared = prepare(call, BatchQuery(inputs=request.inputs, filters=request.filters))
        page = partial(show_page, asked=asked)
        answered = await answer_query(call, prepared, page, asked=page_size(asked))
        if answered.error is not None and _is_raised(answered.error):
            raise answered.error
        result = answered.result
        result["warnings"] += ignored_sizes(request, page_size(asked))
        (result,) = await self._spill(call, [result], answered.size, result["execution_id"])
        about = {"pagination": None, **self._about(call)}
        if request.explain:
            about["explain_plan"] = summarize_optimization(call.plan.plan, call.plan_ms)
        return reference_answer({**about, **result}, {"cache_hit": False})

    def _about(self, call: Call) -> JsonObject:
        """Return what batch and single answers say alike about the plan, the data, the time."""
        was_cold, self._is_cold = self._is_cold, False
        plan = call.plan.plan
        return {
            "retriever_id": plan.retriever_id,
            "retriever_name": plan.retriever_name,
            "snapshots": call.snapshots,
            "optimization_applied": any(decision.applied for decision in plan.decisions),
            "optimization_summary": summarize_optimization(plan, call.plan_ms),
            "timing": {
                "total_ms": round((time.perf_counter() - call.started) * 1000, 3),
                "plan_ms": round(call.plan_ms, 3),
                "plan_cache": call.plan_level,
                "cold": was_cold,
            },
        }

    async def _spill(
        self, call: Call, results: Sequence[JsonObject], size: int, folder: str
    ) -> list[JsonObject]:
        """Return the results; of an answer that is too large, the documents of the largest are
        moved out, or their results fail: nothing is ever cut short."""
        # Far below the limit nothing needs to be measured again.
        if size <= self._delivery.spill_bytes // 2:
            return list(results)
        prefix = f"{call.namespace.namespace_id}/results/{folder}"
        # Copies: a thread that outlives the deadline must not touch what is being answered.
        moved = [dict(result) for result in results]
        spill = partial(
            spill_documents,
            moved,
            limit_bytes=self._delivery.spill_bytes,
            blobs=self._delivery.results,
            key_of=lambda result: f"{prefix}/{result['execution_id']}.jsonl",
            expires_s=self._delivery.presign_s,
        )
        try:
            await self._block(spill, call.answer_by)
        except TimeoutError:
            return fail_largest(results, limit_bytes=self._delivery.spill_bytes)
        return moved

    def presign(self, namespace: Namespace, documents: Sequence[JsonObject]) -> list[JsonObject]:
        """Return stored documents with URLs to what the namespace may read; it blocks."""
        presigner = self._presigner(namespace)
        return [presigner.add_urls(document) for document in documents]

    def _presigner(self, namespace: Namespace) -> Presigner:
        readable = ReadableBuckets.of(namespace, self._delivery.assets_bucket)
        return Presigner(self._delivery.buckets, readable, self._delivery.presign_s)

    async def _block(self, work: Callable[[], T], deadline: Deadline) -> T:
        return await run_blocking(self._services.pool, work, deadline)


def _timed_out(call: Call, index: int) -> JsonObject:
    error = DeadlineError("the batch's time ran out before this query was done")
    return {**failed_result(error, snapshots=call.snapshots), "index": index}


def _ready(prepared: Sequence[PreparedQuery | Exception]) -> list[PreparedQuery]:
    return [query for query in prepared if isinstance(query, PreparedQuery)]


def _abandon_searches(prepared: Sequence[PreparedQuery | Exception]) -> None:
    """Cancel searches that were begun for queries that never had their turn."""
    for query in _ready(prepared):
        for _, future in query.run.searched:
            future.cancel()


def stop_times(settings: Settings, deadline: Deadline) -> tuple[Deadline, Deadline]:
    """Return when the queries must have ended, and when what follows them must have."""
    answer_by = Deadline(deadline.at + _RESERVE_SECONDS)
    if settings.deadline_ms is None:
        return deadline, answer_by
    asked = settings.deadline_ms / 1000
    stop = deadline.earlier(asked - min(_ANSWER_SECONDS, asked * _ANSWER_SHARE))
    return stop, answer_by.earlier(asked)


def _is_raised(error: Exception) -> bool:
    """Say whether a single execution's error is no result: the caller's fault, or a defect."""
    return not isinstance(error, TrawlError) or error.blame == "caller"
