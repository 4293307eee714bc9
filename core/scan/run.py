"""One scan at work: files against retrievers over one pinned world, every cell by itself."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import orjson

from core.deadline import Deadline
from core.errors import DeadlineError
from core.media.file_types import sniff_type
from core.models.execution import BatchQuery
from core.runtime.answers import failed_result
from core.runtime.batch import drain, run_bounded
from core.runtime.media import CallMedia, MediaFile
from core.runtime.pages import DEFAULT_LIMIT, first_rows
from core.runtime.query import Answered, answer_query, prepare
from core.scan.files import Item, facts_of
from core.scan.targets import Target, kinds_of
from core.scan.verdicts import Reason, canary_fault
from core.types import JsonObject

# Of a canary's hits so many are looked at: others may score as high and stand before it.
_CANARY_HITS = 10

CellKey = tuple[int, str]  # a file's index, a retriever's name
OnFile = Callable[[int], Awaitable[None]]


@dataclass(slots=True)
class ScanRun:
    """The cells of one scan. `wanted` are those to run: of a file whose SHA-256 is not the one in
    `looked_at` any more, all of them.

    Files of the same content, whatever they are called, are searched once: `leaders` maps each
    file to the one whose cells are its own. `results` holds the leaders' cells, as a batch of the
    retriever would answer them; None stands for a file that the retriever cannot use.
    """

    media: CallMedia
    targets: Sequence[Target]
    items: Sequence[Item]
    wanted: frozenset[CellKey]
    limit: int | None
    dedupe: bool
    deadline: Deadline
    looked_at: Mapping[int, str] = field(default_factory=dict)  # by earlier calls
    results: dict[CellKey, JsonObject | None] = field(default_factory=dict)
    facts: dict[int, JsonObject] = field(default_factory=dict)
    leaders: dict[int, int] = field(default_factory=dict)
    canaries: dict[str, Reason | None] = field(default_factory=dict)
    sizes: dict[CellKey, int] = field(default_factory=dict)  # of the results, as JSON, in bytes
    on_file: OnFile | None = None  # is told each file that was asked about, once it is done
    _by_content: dict[tuple[str, str, bytes], int] = field(default_factory=dict)
    _begun: dict[CellKey, asyncio.Task[None]] = field(default_factory=dict)
    _done: list[int] = field(default_factory=list)  # files that wait for the canaries

    async def run(self, concurrency: int) -> int:
        """Run until everything is done or time is up; return how many files were in flight at
        most. What has no result then has timed out."""
        work: list[Callable[[], Awaitable[None]]] = [
            partial(self._look_for_canary, target)
            for target in self.targets
            if target.thresholds.canary is not None
        ]
        work += [partial(self._finish_file, group) for group in self._groups()]
        try:
            run = await run_bounded(
                len(work),
                lambda n: work[n](),
                concurrency=concurrency,
                deadline=self.deadline,
            )
        finally:
            # One by one: what swallows a cancellation is cancelled again.
            await drain(self._begun.values())
            self.media.close()
        return run.peak

    @property
    def size(self) -> int:
        """About how many bytes the results have as JSON, those of equal files each time."""
        leaders = ((self.leaders.get(index, index), name) for index, name in self.wanted)
        return sum(self.sizes.get(key, 0) for key in leaders)

    def result(self, index: int, target: Target) -> JsonObject | None:
        """Return the result of a wanted cell; None for a file that the retriever cannot use."""
        leader = self.leaders.get(index, index)
        if (leader, target.name) in self.results:
            return self.results[leader, target.name]
        late = DeadlineError("the scan's time ran out before this was done")
        return failed_result(late, snapshots=_snapshots(target))

    def canary(self, target: Target) -> Reason | None:
        """Return what is wrong with a retriever's canary, None if it has none or it was found."""
        if target.thresholds.canary is None:
            return None
        late = Reason("canary_failed", "time ran out before the canary was looked for")
        return self.canaries.get(target.name, late)

    def _groups(self) -> list[list[int]]:
        """Return the indexes of files that are asked about, equal references together."""
        asked = sorted({index for index, _ in self.wanted})
        groups: dict[object, list[int]] = {}
        for index in asked:
            item = self.items[index]
            equal = (item.content, _written(item.inputs), item.error is None)
            groups.setdefault(equal if self.dedupe and not item.error else index, []).append(index)
        return list(groups.values())

    async def _finish_file(self, group: Sequence[int]) -> None:
        await self._run_file(group)
        if self.on_file is None:
            return
        leader = self.leaders[group[0]]
        begun = [task for (index, _), task in self._begun.items() if index == leader]
        if begun:  # by an equal file, perhaps: waited for, never cancelled from here
            await asyncio.wait(begun)
        self._done += group
        await self._tell()

    async def _tell(self) -> None:
        """Tell what is done, once the canaries are: what is clear depends on them."""
        waiting = (t for t in self.targets if t.thresholds.canary is not None)
        if self.on_file is None or any(t.name not in self.canaries for t in waiting):
            return
        while self._done:
            await self.on_file(self._done.pop(0))

    async def _run_file(self, group: Sequence[int]) -> None:
        first = group[0]
        self.leaders |= dict.fromkeys(group, first)
        item = self.items[first]
        if item.error is not None:
            for target in self._wanted_of(group):
                failed = failed_result(item.error, snapshots=_snapshots(target))
                self.results[first, target.name] = failed
            return
        file = await self._file(item)
        sniffed = None if file is None else sniff_type(file.data)
        facts = facts_of(file, sniffed, self.media.infos(item.content))
        self.facts[first] = facts
        changed = [n for n in group if file and self.looked_at.get(n, file.sha256) != file.sha256]
        # What was said of other bytes must not stand beside these.
        self.wanted |= {(index, target.name) for index in changed for target in self.targets}
        if file is not None and self.dedupe:
            # The declared type is part of it: a file that is not what it is declared as fails.
            equal = (file.sha256, file.declared_type or "", _written(item.inputs))
            self.leaders |= dict.fromkeys(group, self._by_content.setdefault(equal, first))
        leader = self.leaders[first]
        kinds = kinds_of(facts["content_type"])
        cells = []
        for target in self._wanted_of(group):
            key = (leader, target.name)
            if key not in self._begun:
                self._begun[key] = asyncio.create_task(self._run_cell(key, item, target, kinds))
                cells.append(self._begun[key])
        for cell in cells:
            await cell
        self.facts[first] = facts_of(file, sniffed, self.media.infos(item.content))
        self.media.release(item.content)

    def _wanted_of(self, group: Sequence[int]) -> list[Target]:
        return [t for t in self.targets if any((index, t.name) in self.wanted for index in group)]

    async def _file(self, item: Item) -> MediaFile | None:
        """Return the fetched file, None if there is none: then each cell says why."""
        if self.media.stands_for_document(item.content):
            return None
        try:
            return await self.media.file(item.content)
        except Exception:
            return None  # every cell meets the same error, and answers with it

    async def _run_cell(
        self, key: CellKey, item: Item, target: Target, kinds: frozenset[str]
    ) -> None:
        if target.call is None:
            error = target.error or DeadlineError("the retriever was not loaded in time")
            self.results[key] = failed_result(error, snapshots={})
        elif not target.takes(kinds):
            self.results[key] = None
        else:
            inputs = {**item.inputs, target.input_name: item.content}
            answered = await self._answer(target, inputs, self.limit or DEFAULT_LIMIT)
            self.results[key], self.sizes[key] = answered.result, answered.size

    async def _answer(self, target: Target, inputs: JsonObject, limit: int) -> Answered:
        if target.call is None:
            raise RuntimeError("a cell was run without its retriever's plan")
        prepared = prepare(target.call, BatchQuery(inputs=inputs))
        page = partial(first_rows, limit=limit)
        return await answer_query(target.call, prepared, page, asked=limit)

    async def _look_for_canary(self, target: Target) -> None:
        name = target.thresholds.canary
        fault: Reason | None
        if target.call is None:
            fault = Reason("canary_failed", "the retriever could not be loaded")
        elif target.canary is None:
            message = f"the canary {name} is in none of the retriever's collections"
            fault = Reason("canary_missing", message)
        elif target.input_name in target.thresholds.canary_inputs:
            message = f"verdict.canary.inputs names {target.input_name}, which takes the canary"
            fault = Reason("canary_failed", message)
        else:
            own = dict(target.thresholds.canary_inputs)
            inputs: JsonObject = {**own, target.input_name: target.canary}
            answered = await self._answer(target, inputs, _CANARY_HITS)
            fault = canary_fault(answered.result, target.thresholds)
            if (answered.result["error"] or {}).get("blame") == "caller":
                hint = "what else a query needs stands in verdict.canary.inputs"
                fault = fault and Reason(fault.code, f"{fault.message} ({hint})")
        self.canaries[target.name] = fault
        await self._tell()


def _written(inputs: JsonObject) -> bytes:
    """Return what equal inputs have alike: as in a batch 1 is not 1.0, which templates write
    otherwise."""
    return orjson.dumps(inputs, option=orjson.OPT_SORT_KEYS)


def _snapshots(target: Target) -> Mapping[str, int]:
    return {} if target.call is None else target.call.snapshots
