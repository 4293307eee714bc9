"""The journey of a scan, on one page: every retriever loaded, one world pinned, files run, judged.

find the retrievers -> load their plans and pin their collections, once for all -> run the files,
bounded, each fetched and decoded once -> judge every cell -> answer
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from core.deadline import Deadline
from core.engine import BEGIN_SECONDS
from core.errors import DeadlineError, NotFoundError, TrawlError, UnavailableError
from core.models.execution import Settings
from core.models.features import index_name
from core.models.namespaces import Namespace
from core.models.scans import ScanRequest
from core.plan.cache import Level
from core.plan.compile import CompiledPlan
from core.planner import Planner, RetrieverFinder, collection_is_gone
from core.runtime.blocking import run_blocking
from core.runtime.environment import Environment, Services
from core.runtime.media import CallMedia
from core.runtime.query import Call
from core.scan.account import Account, age_warnings, describe_target, looked_at
from core.scan.answers import rated_file, rated_scan
from core.scan.files import Item, find_document, make_item
from core.scan.run import CellKey, ScanRun
from core.scan.targets import Target, find_targets
from core.scan.thresholds import with_metrics
from core.storage.snapshot import Snapshot
from core.types import JsonObject, Metric

_log = logging.getLogger("trawl")


@dataclass(frozen=True, slots=True)
class StopTimes:
    """When the cells must have ended, and when the answer must be ready."""

    cells: Deadline
    answer: Deadline


class Scanner:
    """Runs scans. One per process; what it answers is whole, unsigned, and stored nowhere."""

    def __init__(self, services: Services, planner: Planner, retrievers: RetrieverFinder) -> None:
        self._services = services
        self._planner = planner
        self._retrievers = retrievers

    async def scan(
        self,
        namespace: Namespace,
        request: ScanRequest,
        stop: StopTimes,
        *,
        earlier: JsonObject | None = None,
        again: frozenset[CellKey] = frozenset(),
        on_file: Callable[[JsonObject], Awaitable[None]] | None = None,
    ) -> tuple[JsonObject, int]:
        """Return the answer, and about how many bytes its results have.

        `on_file` is told each file that is asked about as it is done, rated as in the answer.
        With an `earlier` answer to the same request only the cells of `again` are run, and the
        others are taken from it as they were. Raises only what concerns the scan as a whole:
        `NotFoundError`, `InvalidRequestError`, `UnavailableError`.
        """
        started = time.perf_counter()
        begin_by = Deadline(max(stop.cells.at, Deadline.after(BEGIN_SECONDS).at))
        environment, media = self._environment(namespace, request, stop.cells)
        targets = await self._targets(environment, request, stop, begin_by)
        items = await self._items(environment, request, media, begin_by)
        names = [target.name for target in targets]
        every = frozenset((n, name) for n in range(len(items)) for name in names)
        run = ScanRun(
            media=media,
            targets=targets,
            items=items,
            wanted=every if earlier is None else every & again,
            limit=request.settings.limit,
            dedupe=request.settings.dedupe,
            deadline=stop.cells,
            looked_at=looked_at(earlier),
        )
        planned_ms = (time.perf_counter() - started) * 1000
        account = Account(request, run, earlier)
        if on_file is not None:
            run.on_file = lambda index: on_file(rated_file(account.file(index)))
        peak = await run.run(request.concurrency)
        files = account.files()
        about: JsonObject = {
            "retrievers": [describe_target(target, run) for target in targets],
            "concurrency": {"requested": request.concurrency, "peak": peak},
            "snapshots": environment.versions,
            "timing": {
                "total_ms": round((time.perf_counter() - started) * 1000, 3),
                "plan_ms": round(planned_ms, 3),
            },
            "warnings": age_warnings(files, run, environment.versions),
        }
        return rated_scan(files, about), run.size

    def check(self, namespace: Namespace, request: ScanRequest) -> None:
        """Raise what keeps a scan from beginning, as far as the retrievers' records tell; blocks.

        `NotFoundError`, `InvalidRequestError`.
        """
        find_targets(namespace, request, self._retrievers)

    def _environment(
        self, namespace: Namespace, request: ScanRequest, deadline: Deadline
    ) -> tuple[Environment, CallMedia]:
        services = self._services
        media = CallMedia(
            services.fetcher,
            services.extractor,
            services.read_object(namespace),
            services.media_pool,
            deadline,
        )

        def load_nested(config: str | JsonObject) -> CompiledPlan:
            if isinstance(config, str):
                return self._planner.load(namespace, config, optimized=True)[0]
            return self._planner.compile_inline(namespace, config)

        return Environment(services, namespace, load_nested, media), media

    async def _targets(
        self, environment: Environment, request: ScanRequest, stop: StopTimes, begin_by: Deadline
    ) -> list[Target]:
        """Return the retrievers, loaded; one that cannot be loaded costs its own cells alone."""
        namespace, pool = environment.namespace, self._services.pool
        try:
            found = await run_blocking(
                pool, lambda: find_targets(namespace, request, self._retrievers), begin_by
            )
        except TimeoutError:
            raise _unavailable() from None

        async def load(target: Target) -> Target:
            try:
                return await run_blocking(
                    pool, lambda: self._load(environment, target, request, stop), begin_by
                )
            except TimeoutError:
                error: Exception = DeadlineError("the retriever was not loaded in time")
            except Exception as caught:
                error = caught
                if not isinstance(caught, TrawlError):
                    _log.error("a retriever could not be loaded", exc_info=caught)
            return replace(target, error=error)

        targets = await asyncio.gather(*map(load, found))
        if all(target.error is not None for target in targets):
            raise _first_error(targets)
        return list(targets)

    def _load(
        self, environment: Environment, target: Target, request: ScanRequest, stop: StopTimes
    ) -> Target:
        """Load a retriever's plan, pin its collections, and find its canary in them; blocks."""
        started = time.perf_counter()
        loaded = self._planner.load(
            environment.namespace,
            target.retriever.retriever_id,
            optimized=request.settings.optimize,
        )
        try:
            snapshots = environment.pin(loaded[0].plan.collection_ids)
        except NotFoundError as error:
            raise collection_is_gone(error) from None
        canary = None
        if target.thresholds.canary is not None and environment.media is not None:
            stored = find_document(snapshots, target.thresholds.canary)
            canary = None if stored is None else environment.media.add_document(stored)
        call = _call(environment, loaded, request, stop, started)
        thresholds = with_metrics(target.thresholds, _metrics(target, snapshots))
        return replace(target, thresholds=thresholds, call=call, canary=canary)

    async def _items(
        self,
        environment: Environment,
        request: ScanRequest,
        media: CallMedia,
        begin_by: Deadline,
    ) -> list[Item]:
        async def make(n: int) -> Item:
            file = request.files[n]
            if file.document is None:
                return make_item(file, environment, media)
            try:
                return await run_blocking(
                    self._services.pool, lambda: make_item(file, environment, media), begin_by
                )
            except TimeoutError:
                late = DeadlineError("time ran out before the document was read")
                return Item("", file.inputs, late)

        return list(await asyncio.gather(*map(make, range(len(request.files)))))


def _metrics(target: Target, snapshots: Sequence[Snapshot]) -> dict[str, Metric]:
    names = {uri: index_name(uri) for uri in target.thresholds.scales}
    return {
        uri: snapshot.specs[name].metric
        for snapshot in snapshots
        for uri, name in names.items()
        if name in snapshot.specs
    }


def _call(
    environment: Environment,
    loaded: tuple[CompiledPlan, Level],
    request: ScanRequest,
    stop: StopTimes,
    started: float,
) -> Call:
    plan, level = loaded
    return Call(
        namespace=environment.namespace,
        plan=plan,
        plan_level=level,
        plan_ms=(time.perf_counter() - started) * 1000,
        environment=environment,
        settings=Settings.model_validate(request.settings.model_dump()),
        deadline=stop.cells,
        answer_by=stop.answer,
        return_vectors=request.return_vectors,
        presigner=None,  # URLs are signed when the scan is delivered: it is stored without
        started=started,
    )


def _first_error(targets: Sequence[Target]) -> Exception:
    error = next(target.error for target in targets if target.error is not None)
    return _unavailable() if isinstance(error, DeadlineError) else error


def _unavailable() -> UnavailableError:
    message = "time ran out before the retrievers and their collections could be read"
    return UnavailableError(message, retry_after_seconds=1)
