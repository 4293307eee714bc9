"""Runs of jobs in this process, on a laptop: one thread beside the caller's, a few chunks at once.

The engine's coroutines want one event loop, so all executions share the thread's. Other processes
on the same data folder see that a run is under way by a lock on a file, which ends with whoever
holds it.
"""

import asyncio
import fcntl
import json
import logging
import os
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.deadline import Deadline
from core.errors import UnavailableError
from core.ports.blobs import BlobStores
from core.ports.jobs import JobRun, JobSteps, PlannedChunks, RunState
from core.types import JsonObject

_log = logging.getLogger("trawl.jobs")

# As many as a laptop has cores for, beside whatever else it does.
_CHUNKS_AT_ONCE: Final = 2
_ATTEMPTS: Final = 3
_FIRST_WAIT_S: Final = 1.0
# One call of a chunk, as long as Lambda's.
_CALL_S: Final = 900.0
# A look at a lock holds it for an instant.
_LOCK_TRIES: Final = 20
_LOCK_WAIT_S: Final = 0.01


@dataclass(slots=True)
class _Execution:
    lock: int
    future: "Future[None] | None" = None
    state: RunState = "running"


class ThreadRunner:
    """A `JobRunner` in this process. `locks` is a folder that all its processes share; a reference
    is the name of a file in it. `close` stops every execution and waits for its end."""

    def __init__(
        self,
        steps: JobSteps,
        buckets: BlobStores,
        locks: Path,
        *,
        first_wait_s: float = _FIRST_WAIT_S,
    ) -> None:
        self._steps = steps
        self._buckets = buckets
        self._locks = locks
        self._first_wait_s = first_wait_s
        self._guard = threading.Lock()
        self._executions: dict[str, _Execution] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def start(self, run: JobRun) -> str:
        """Begin the run, unless it was begun here or in another process."""
        name = f"{run.namespace_id}.{run.job_id}.{run.run:05}.lock"
        with self._guard:
            if self._closed:
                raise UnavailableError("the service is being closed")
            if name in self._executions:
                return name
            self._locks.mkdir(parents=True, exist_ok=True)
            lock = _lock(self._locks / name)
            if lock is None:  # another process has it
                return name
            execution = self._executions[name] = _Execution(lock)
            future = execution.future = self._submit(self._execute(execution, run))
        # Not within the coroutine: one that is cancelled before its first step never runs.
        future.add_done_callback(lambda done: self._ended(name, execution, done.cancelled()))
        return name

    def state(self, execution: str) -> RunState:
        """Return what became of it; of another process's only whether it runs."""
        with self._guard:
            known = self._executions.get(execution)
        if known is not None:
            return known.state
        return "running" if _is_locked(self._locks / execution) else "unknown"

    def stop(self, execution: str) -> None:
        """Cancel it. Another process's notices by itself: the job says that it is stopped."""
        with self._guard:
            known = self._executions.get(execution)
        if known is not None and known.future is not None:
            known.future.cancel()

    def close(self) -> None:
        """Stop everything, wait for its end, and end the thread."""
        with self._guard:
            self._closed = True
            futures = [one.future for one in self._executions.values() if one.future]
            loop, self._loop = self._loop, None
            thread, self._thread = self._thread, None
        for future in futures:
            future.cancel()
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(_drain(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    def _submit(self, work: Coroutine[Any, Any, None]) -> "Future[None]":
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._loop.run_forever, name="trawl-jobs", daemon=True
            )
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _ended(self, name: str, execution: _Execution, cancelled: bool) -> None:
        if cancelled:
            execution.state = "stopped"
        (self._locks / name).unlink(missing_ok=True)
        os.close(execution.lock)

    async def _execute(self, execution: _Execution, run: JobRun) -> None:
        try:
            planned = await self._insist(run, "plan", lambda: self._steps.plan(run))
            chunks = await asyncio.to_thread(self._read, planned) if planned.count else []
            free = asyncio.Semaphore(_CHUNKS_AT_ONCE)
            async with asyncio.TaskGroup() as group:
                for chunk in chunks:
                    group.create_task(self._chunk(run, chunk, free))
            await self._insist(run, "finish", lambda: self._steps.finish(run))
            execution.state = "succeeded"
        except Exception:
            _log.exception("job %s run %d ended", run.job_id, run.run)
            execution.state = "failed"

    def _read(self, planned: PlannedChunks) -> list[JsonObject]:
        chunks: list[JsonObject] = json.loads(self._buckets.bucket(planned.bucket).get(planned.key))
        return chunks

    async def _chunk(self, run: JobRun, chunk: JsonObject, free: asyncio.Semaphore) -> None:
        async with free:
            failures, wait = 0, self._first_wait_s
            while True:
                try:
                    if await self._steps.run_chunk(run, chunk, deadline=Deadline.after(_CALL_S)):
                        return
                    failures = 0
                except Exception as error:
                    failures += 1
                    _log.exception("job %s chunk %s failed", run.job_id, chunk["number"])
                    if failures == _ATTEMPTS:
                        reason = type(error).__name__
                        break
                    await asyncio.sleep(wait)
                    wait *= 2
            await self._insist(run, "give_up", lambda: self._steps.give_up(run, chunk, reason))

    async def _insist(self, run: JobRun, step: str, work: Any) -> Any:
        """Run a blocking step, a few times if it fails."""
        wait = self._first_wait_s
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await asyncio.to_thread(work)
            except Exception:
                if attempt == _ATTEMPTS:
                    raise
                _log.exception("job %s run %d: %s failed", run.job_id, run.run, step)
            await asyncio.sleep(wait)
            wait *= 2
        raise RuntimeError("unreachable")


async def _drain() -> None:
    """Wait for every other task of the loop; they have been cancelled."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*tasks, return_exceptions=True)


def _lock(path: Path) -> int | None:
    """Return a descriptor that holds the file's lock, None if another process holds it."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    for _ in range(_LOCK_TRIES):
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        time.sleep(_LOCK_WAIT_S)
    os.close(descriptor)
    return None


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
