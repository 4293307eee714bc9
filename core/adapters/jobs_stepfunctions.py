"""Runs of jobs as executions of a Step Functions state machine, which calls the `job` function."""

import hashlib
import json
import re
from collections.abc import Callable, Collection
from typing import Any, Final, Protocol

from core.adapters.aws_clients import LazyClient, error_code, make_client, map_error
from core.errors import TrawlError
from core.ports.jobs import JobRun, RunState

_STATES: Final[dict[str, RunState]] = {
    "RUNNING": "running",
    "PENDING_REDRIVE": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "TIMED_OUT": "failed",
    "ABORTED": "stopped",
}
# Names of executions hold at most 80 characters; this much of one is for whoever reads a console.
_READABLE: Final = 40
_MACHINE: Final = re.compile(r"(arn:[^:]+:states:[^:]+:[^:]+):stateMachine:([^:]+)")


class RunsExecutions(Protocol):
    """The calls of boto3's Step Functions client that are made."""

    # The names are boto3's.
    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> Any:  # noqa: A002
        """Return `{executionArn, …}`."""
        ...

    def describe_execution(self, *, executionArn: str) -> Any:
        """Return `{status, …}`."""
        ...

    def stop_execution(self, *, executionArn: str) -> Any:
        """Stop it, and the children of its map."""
        ...


class StepFunctionsRunner:
    """A `JobRunner` whose references are ARNs of executions of one state machine.

    An ended execution is known for 90 days, and as long its name starts nothing again.
    """

    def __init__(self, state_machine: str, *, client: RunsExecutions | None = None) -> None:
        if not _MACHINE.fullmatch(state_machine):
            raise TrawlError(f"not the ARN of a state machine: {state_machine}")
        self._machine = state_machine
        self._client: LazyClient[RunsExecutions] = LazyClient(
            lambda: make_client("stepfunctions") if client is None else client
        )

    def start(self, run: JobRun) -> str:
        """Start the run unless it was started before; see `JobRunner.start`."""
        name = execution_name(run)
        told = {"namespace_id": run.namespace_id, "job_id": run.job_id, "run": run.run}
        # One of the same name that runs with the same input is answered like the first start; one
        # that is over already exists.
        answer = _call(
            lambda client: client.start_execution(
                stateMachineArn=self._machine, name=name, input=json.dumps(told)
            ),
            self._client(),
            fine={"ExecutionAlreadyExists"},
        )
        return self._execution(name) if answer is None else str(answer["executionArn"])

    def state(self, execution: str) -> RunState:
        """Return how the execution is doing; "unknown" if it is not known (any more)."""
        answer = _call(
            lambda client: client.describe_execution(executionArn=execution),
            self._client(),
            fine={"ExecutionDoesNotExist"},
        )
        return "unknown" if answer is None else _STATES.get(str(answer["status"]), "unknown")

    def stop(self, execution: str) -> None:
        """Stop the execution. Calls of the function that run already are left to their end."""
        answer = _call(
            lambda client: client.stop_execution(executionArn=execution),
            self._client(),
            # The second: it has ended, unless it has not.
            fine={"ExecutionDoesNotExist", "ValidationException"},
        )
        if answer is None and self.state(execution) == "running":
            raise TrawlError("Step Functions refused to stop the execution")

    def _execution(self, name: str) -> str:
        return _MACHINE.sub(rf"\1:execution:\2:{name}", self._machine)


def execution_name(run: JobRun) -> str:
    """Return the one name of the run's execution: two runs never share it, one always has it."""
    identity = json.dumps([run.namespace_id, run.job_id, run.run]).encode()
    digest = hashlib.sha256(identity).hexdigest()[:24]
    readable = re.sub(r"[^A-Za-z0-9_-]", "-", run.job_id)[:_READABLE]
    return f"{readable}-{run.run}-{digest}"


def _call(
    call: Callable[[RunsExecutions], Any], client: RunsExecutions, *, fine: Collection[str]
) -> Any:
    """Return the answer, None where it was refused with one of the codes that are `fine`."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call(client)
    except (BotoCoreError, ClientError) as error:
        if error_code(error) in fine:
            return None
        raise map_error(error, "Step Functions") from error
