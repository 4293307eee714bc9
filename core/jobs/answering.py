"""Lines in, outcomes out: a few lines are run with every retriever, in batches of the engine's."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from core.catalog.retrievers import RetrieverCatalog
from core.deadline import Deadline
from core.engine import OnResult
from core.errors import DeadlineError, InvalidRequestError, TrawlError, describe_error
from core.jobs.manifest import Line
from core.jobs.rows import Outcome, error_row, line_error, result_row
from core.models.execution import BatchQuery, BatchRequest
from core.models.jobs import JobItem, JobSettings
from core.models.media_inputs import only_media_input
from core.models.namespaces import Namespace
from core.types import JsonObject

_log = logging.getLogger("trawl.jobs")

_CONCURRENCY: Final = 10


class RunsBatches(Protocol):
    """The part of the engine that jobs use."""

    async def execute_batch(
        self,
        namespace: Namespace,
        retriever: str,
        request: BatchRequest,
        *,
        deadline: Deadline,
        on_result: OnResult | None = None,
    ) -> JsonObject:
        """See `core.engine.Engine.execute_batch`."""
        ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How often an item is tried within one call, how long it waits in between (twice as long
    each time), and how long one batch may take."""

    attempts: int = 3
    first_wait_s: float = 1.0
    longest_wait_s: float = 20.0
    batch_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Task:
    """A line, the retrievers to run it with, and the errors of an earlier run that stay."""

    line: Line
    retrievers: Sequence[str]
    kept: Sequence[JsonObject] = ()


@dataclass(slots=True)
class _Tried:
    """Where one (line, retriever) stands: `result` and `error` are rows' bodies; with neither, or
    with `is_open`, it is not settled. `version` is the retriever's that answered."""

    task: Task
    item: JobItem
    result: JsonObject | None = None
    version: int | None = None
    error: JsonObject | None = None
    tries: int = 0
    is_open: bool = True


@dataclass(slots=True)
class Answerer:
    """Runs lines of one job."""

    engine: RunsBatches
    retrievers: RetrieverCatalog
    namespace: Namespace
    settings: JobSettings
    patience: Patience
    _media_inputs: dict[str, str | TrawlError] = field(default_factory=dict)

    async def answer(
        self, tasks: Sequence[Task], *, deadline: Deadline, settle: bool
    ) -> list[Outcome]:
        """Return the outcomes of the tasks, in order; fewer, if time ran out before all were
        settled. With `settle` the first is settled anyway, by the error it has."""
        tried: dict[int, dict[str, _Tried]] = {}
        for task in tasks:
            item = task.line.item
            own = {} if item is None else {name: _Tried(task, item) for name in task.retrievers}
            tried[task.line.number] = own
        for name in dict.fromkeys(name for own in tried.values() for name in own):
            group = [own[name] for own in tried.values() if name in own]
            await self._try_all(name, group, deadline)
        outcomes: list[Outcome] = []
        for task in tasks:
            own = tried[task.line.number]
            is_open = any(one.is_open for one in own.values())
            if is_open and (outcomes or not settle):
                break
            outcomes.append(_outcome(task, own))
            if is_open:
                break
        return outcomes

    async def _try_all(self, retriever: str, group: Sequence[_Tried], deadline: Deadline) -> None:
        wait = self.patience.first_wait_s
        left = list(group)
        while left:
            if any(one.tries for one in left):
                pause = max([wait, *(_asked_wait(one) for one in left)])
                pause = min(pause, self.patience.longest_wait_s)
                if pause >= deadline.remaining():
                    return
                await asyncio.sleep(pause)
                wait *= 2
            await self._try(retriever, left, deadline)
            if not deadline.passed():  # what failed by it is not the items' fault
                _count_tries(left)
            _settle(left, self.patience.attempts)
            if deadline.passed():
                return
            left = [one for one in left if one.is_open]

    async def _try(self, retriever: str, group: Sequence[_Tried], deadline: Deadline) -> None:
        """Run the group as one batch, and note what each got."""
        if any(one.item.file is not None for one in group):
            media_input = await asyncio.to_thread(self._media_input, retriever)
        else:
            media_input = ""
        queries: list[BatchQuery] = []
        sent: list[_Tried] = []
        for one in group:
            if one.item.inputs is None and isinstance(media_input, TrawlError):
                one.error = describe_error(media_input)
                continue
            inputs = one.item.inputs
            if inputs is None:
                inputs = {str(media_input): one.item.file}
            queries.append(BatchQuery(inputs=inputs, filters=one.item.filters))
            sent.append(one)
        if not sent:
            return
        await self._send(retriever, sent, queries, deadline)

    async def _send(
        self,
        retriever: str,
        sent: Sequence[_Tried],
        queries: list[BatchQuery],
        deadline: Deadline,
    ) -> None:
        """Run the queries as one batch; one by one if they bring down a batch together."""
        try:
            answer = await self._execute(retriever, queries, deadline)
        except TrawlError as error:
            for one in sent:
                one.error = describe_error(error)
            return
        except Exception as error:  # one batch; the others of the job go on
            _log.exception("a batch of a job failed unexpectedly")
            if len(sent) > 1:
                for one, query in zip(sent, queries, strict=True):
                    await self._send(retriever, [one], [query], deadline)
                return
            sent[0].error = describe_error(error)
            return
        for one, result in zip(sent, answer["results"], strict=True):
            if result["status"] == "completed":
                one.result, one.error = _renumbered(result, sent), None
                one.version = answer["retriever_version"]
            else:
                one.error = result["error"]

    async def _execute(
        self, retriever: str, queries: list[BatchQuery], deadline: Deadline
    ) -> JsonObject:
        request = BatchRequest(
            queries=queries,
            settings=self.settings.for_batch(),
            concurrency=_CONCURRENCY,
            return_vectors=self.settings.return_vectors,
        )
        return await self.engine.execute_batch(
            self.namespace,
            retriever,
            request,
            deadline=deadline.earlier(self.patience.batch_s),
            # Who listens gets documents inline, however many: a URL to them would be dead long
            # before a result file is read.
            on_result=_listen,
        )

    def _media_input(self, retriever: str) -> str | TrawlError:
        """Return which input takes a file, or why none does."""
        if retriever in self._media_inputs:
            return self._media_inputs[retriever]
        try:
            found = self.retrievers.find(self.namespace.namespace_id, retriever)
        except TrawlError as error:
            return error  # not kept: the store may answer next time
        types = {name: entry.type for name, entry in found.input_schema.items()}
        name = only_media_input(types) or no_media_input(retriever)
        self._media_inputs[retriever] = name
        return name


def no_media_input(retriever: str) -> InvalidRequestError:
    """Return the error of an item with a file for a retriever that cannot tell where it goes."""
    return InvalidRequestError(
        f"retriever {retriever} has not exactly one media input: give inputs, not a file"
    )


async def _listen(_result: JsonObject) -> None:
    return None


def _count_tries(group: Sequence[_Tried]) -> None:
    """Count a try of each item; not of one that never had its turn, as others took the batch's
    time: they are done now, so the next batch is shorter."""
    is_shorter = any(one.result is not None for one in group)
    for one in group:
        had_no_turn = one.error is not None and one.error["code"] == DeadlineError.code
        one.tries += not (is_shorter and had_no_turn)


def _settle(group: Sequence[_Tried], attempts: int) -> None:
    for one in group:
        again = one.error is not None and one.error["retryable"] and one.tries < attempts
        one.is_open = one.result is None and (one.error is None or again)


def _asked_wait(one: _Tried) -> float:
    return float((one.error or {}).get("retry_after_seconds") or 0)


def _renumbered(result: JsonObject, sent: Sequence[_Tried]) -> JsonObject:
    """Return a result whose indexes count the manifest's lines, from 0."""
    copy = result["duplicate_of"]
    return {
        **result,
        "index": sent[result["index"]].task.line.number - 1,
        "duplicate_of": None if copy is None else sent[copy].task.line.number - 1,
    }


def _outcome(task: Task, tried: Mapping[str, _Tried]) -> Outcome:
    outcome = Outcome(task.line.number, errors=list(task.kept))
    if task.line.error is not None:
        if not task.kept:
            outcome.errors.append(line_error(task.line, task.line.error))
        return outcome
    for name, one in tried.items():
        if one.result is not None:
            outcome.results.append(result_row(task.line, name, one.version, one.result))
        else:
            error = one.error or describe_error(TrawlError("the item has no answer"))
            outcome.errors.append(error_row(task.line, name, error))
    return outcome
