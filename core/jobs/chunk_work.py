"""One call's work on a chunk: lines not yet done first, then errors that are worth another try.

What is done is saved every few seconds: files first, then the chunk's record, which replaces the
version that was read. Whoever loses that race throws its files away and goes on from the winner's.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from core.deadline import Deadline
from core.errors import ConflictError
from core.jobs.answering import Answerer, Task
from core.jobs.manifest import Chunk, parse_line
from core.jobs.progress import ChunkState, Part
from core.jobs.rows import Outcome, PartBuffer, read_rows, split_retryable
from core.jobs.store import Job, JobStore
from core.media.metering import MediaMeter, MediaUse

# ended: saved, look what is next. late: out of time. lost: another execution was faster.
# over: the job was stopped, deleted, or is at another run.
_End = Literal["ended", "late", "lost", "over"]


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """How much is done between two looks at the clock, and between two saves."""

    batch_lines: int = 50
    # More than this from one batch: the next has half as many lines.
    batch_bytes: int = 16_000_000
    # The first saves; `save_after` says when later ones are due.
    save_bytes: int = 4_000_000
    save_s: float = 15.0
    most_save_bytes: int = 64_000_000
    # Kept back from the deadline for saving; and what a call needs to get a line done for sure.
    margin_s: float = 10.0
    least_s: float = 20.0

    def save_after(self, files: int) -> tuple[int, float]:
        """Return how many bytes or seconds of work the next save of a chunk has.

        Twice as many with every 16 files: a record that names thousands would be too large to
        store, and written again at each save. What a kill can cost stays a share of what is done.
        """
        growth = 2 ** min(files // 16, 10)
        return min(self.save_bytes * growth, self.most_save_bytes), self.save_s * growth


@dataclass(frozen=True, slots=True)
class _Pass:
    """Some tasks, made as they are needed: `tasks(start, count)`. `rest(done)` is what stays for
    later in a file of its own; `advance` is the state once a file replaces what was done."""

    count: int
    tasks: Callable[[int, int], list[Task]]
    rest: Callable[[int], PartBuffer]
    advance: Callable[[ChunkState, int, list[Part]], ChunkState]


@dataclass(slots=True)
class ChunkWorker:
    """Works on one chunk of a job, from where its record stands."""

    store: JobStore
    job: Job
    chunk: Chunk
    lines: list[bytes] = field(repr=False)
    answerer: Answerer
    limits: ChunkLimits
    memory_mb: int
    media: MediaMeter
    _size: int = 0
    _since: float = 0.0
    # A function works on one chunk at a time: what its process uses meanwhile is this chunk's.
    _media_since: MediaUse = MediaUse()
    _has_saved: bool = False

    async def work(self, deadline: Deadline) -> bool:
        """Return True once nothing is left to do, False if time ran out before."""
        if deadline.remaining() < self.limits.least_s:
            return False
        stop = Deadline(deadline.at - self.limits.margin_s)
        self._size = self.limits.batch_lines
        self._since, self._media_since = time.monotonic(), self.media.read()
        while True:
            todo, state = await asyncio.to_thread(self._next)
            if todo is None:
                return True
            end = await self._some(todo, state, stop)
            if end in ("late", "over"):
                return end == "over"

    def _next(self) -> tuple[_Pass | None, ChunkState]:
        """Return what is to do, and the state that says so."""
        state = self.store.chunk(self.job, self.chunk.number, self.chunk.lines)
        if not state.is_whole:
            return self._first_pass(state), state
        due = state.due(self.job.run)
        return None if due is None else self._second_pass(due), state

    def _first_pass(self, state: ChunkState) -> _Pass:
        begin, first, names = state.position, self.chunk.first_line, self._retrievers

        def tasks(start: int, count: int) -> list[Task]:
            offsets = range(begin + start, min(begin + start + count, self.chunk.lines))
            return [Task(parse_line(first + i, self.lines[i]), names) for i in offsets]

        return _Pass(
            count=self.chunk.lines - begin,
            tasks=tasks,
            rest=lambda _done: PartBuffer(self.job.run),
            advance=lambda state, done, parts: state.advanced(done, parts),
        )

    def _second_pass(self, part: Part) -> _Pass:
        """Try again what a file of errors says is worth it."""
        rows = read_rows(self.store.results, part.key)
        names, first = self._retrievers, self.chunk.first_line

        def tasks(start: int, count: int) -> list[Task]:
            some: list[Task] = []
            for number, errors in rows[start : start + count]:
                again, kept = split_retryable(errors, names)
                line = parse_line(number, self.lines[number - first])
                some.append(Task(line, again, kept))
            return some

        def rest(done: int) -> PartBuffer:
            left = PartBuffer(part.run)
            for number, errors in rows[done:]:
                left.add(Outcome(number, errors=errors))
            return left

        return _Pass(
            count=len(rows),
            tasks=tasks,
            rest=rest,
            advance=lambda state, _done, parts: state.replaced(part, parts),
        )

    async def _some(self, todo: _Pass, state: ChunkState, stop: Deadline) -> _End:
        """Do tasks until it is time to save, or time is up; save them."""
        done, late, began = 0, False, time.monotonic()
        buffer = PartBuffer(self.job.run)
        enough_bytes, enough_s = self.limits.save_after(len(state.parts))
        while done < todo.count and not late:
            # The first line of a call is settled whatever happens, or a chunk might be called for
            # ever; so it goes alone, and no other line can take its time.
            settle = done == 0 and not self._has_saved
            tasks, size = todo.tasks(done, 1 if settle else self._size), buffer.size
            outcomes = await self.answerer.answer(tasks, deadline=stop, settle=settle)
            for outcome in outcomes:
                buffer.add(outcome)
            done += len(outcomes)
            if buffer.size - size > self.limits.batch_bytes:
                self._size = max(1, self._size // 2)
            late = len(outcomes) < len(tasks) or stop.passed()
            if buffer.size >= enough_bytes or time.monotonic() - began >= enough_s:
                break
        if done == 0:
            return "late"
        end = await asyncio.to_thread(self._save, todo, state, done, buffer)
        # Done with everything at the last moment: the next look at the record says so.
        return "late" if end == "ended" and late and done < todo.count else end

    def _save(self, todo: _Pass, state: ChunkState, done: int, buffer: PartBuffer) -> _End:
        if self.store.find_run(self.job.job_run) is None:
            return "over"
        results, folder = self.store.results, self.job.folder
        parts = buffer.write(results, folder, self.chunk.number)
        parts += todo.rest(done).write(results, folder, self.chunk.number)
        now, media_now = time.monotonic(), self.media.read()
        seconds, media = now - self._since, media_now.since(self._media_since)
        new = replace(
            todo.advance(state, done, parts),
            seconds=state.seconds + seconds,
            gb_seconds=state.gb_seconds + seconds * self.memory_mb / 1024,
            calls=state.calls + (not self._has_saved),
            media_gb_seconds=state.media_gb_seconds + media.gb_seconds,
            media_calls=state.media_calls + media.calls,
        )
        try:
            self.store.save_chunk(self.job, new)
        except ConflictError:
            for part in parts:
                results.delete(part.key)
            return "lost"
        self._since, self._media_since, self._has_saved = now, media_now, True
        return "ended"

    @property
    def _retrievers(self) -> list[str]:
        return [one["retriever_id"] for one in self.job.retrievers]
