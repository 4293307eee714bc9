"""What an execution of a job does, step by step: in a thread on a laptop, in a Lambda function
under Step Functions. Every step may die at any point, and may be run twice."""

from core.deadline import Deadline
from core.ports.jobs import JobRun, PlannedChunks
from core.types import JsonObject

__all__ = ["JobWork", "PlannedChunks"]


class JobWork:
    """`core.ports.jobs.JobSteps` over the records, the results bucket and an engine."""

    def plan(self, run: JobRun) -> PlannedChunks:
        """Cut the manifest into chunks, once, and write the list of those that are to do."""
        raise NotImplementedError

    async def run_chunk(self, run: JobRun, chunk: JsonObject, *, deadline: Deadline) -> bool:
        """Work on a chunk. True: done. False: out of time, call again, it goes on."""
        raise NotImplementedError

    def give_up(self, run: JobRun, chunk: JsonObject, reason: str) -> None:
        """Write an error for every item of the chunk that has no result."""
        raise NotImplementedError

    def finish(self, run: JobRun) -> None:
        """Count what came of the run, and close it."""
        raise NotImplementedError
