"""The jobs port: who carries out a job's steps (Step Functions, or threads on a laptop).

CONTRACT between the adapters and `core/jobs/`: a runner starts one *execution* for each run of a
job, which calls `plan` once, then `run_chunk` for every element of the planned list (again as long
as it returns False; `give_up` if it ends the process again and again), then `finish` once.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from core.deadline import Deadline
from core.types import JsonObject

RunState = Literal["running", "succeeded", "failed", "stopped", "unknown"]


@dataclass(frozen=True, slots=True)
class JobRun:
    """One run of a job: `run` counts from 1; each continuation of a job is a new run."""

    namespace_id: str
    job_id: str
    run: int


@dataclass(frozen=True, slots=True)
class PlannedChunks:
    """Where the list of chunks lies: one JSON array of `count` small objects, each
    `{"number", "start", "length", "first_line", "lines"}`. Of no chunks there may be no list."""

    bucket: str
    key: str
    count: int


class JobSteps(Protocol):
    """What an execution does, step by step. Every step may be run twice, or two at once: what was
    done before is not done again. An exception of a step means: try it again, later."""

    def plan(self, run: JobRun) -> PlannedChunks:
        """Cut the manifest into chunks and return where the list of those to do lies."""
        ...

    async def run_chunk(self, run: JobRun, chunk: JsonObject, *, deadline: Deadline) -> bool:
        """Work on a chunk. True: done. False: out of time, call again, it goes on."""
        ...

    def give_up(self, run: JobRun, chunk: JsonObject, reason: str) -> None:
        """Write an error for every item of the chunk that has no result."""
        ...

    def finish(self, run: JobRun) -> None:
        """Count what came of the run, and close it."""
        ...


class JobRunner(Protocol):
    """Starts, looks at and stops executions. `UnavailableError` if it does not answer."""

    def start(self, run: JobRun) -> str:
        """Return a reference to the execution; starting the same run twice starts it once."""
        ...

    def state(self, execution: str) -> RunState:
        """Return what became of it; "unknown" if nobody can tell: its process ended, or it was
        too long ago."""
        ...

    def stop(self, execution: str) -> None:
        """End it; absent or ended is fine."""
        ...
