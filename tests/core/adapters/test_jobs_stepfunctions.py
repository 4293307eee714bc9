"""Runs of jobs on Step Functions: the contract under moto, and what AWS's answers become."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from core.adapters.jobs_stepfunctions import StepFunctionsRunner, execution_name
from core.errors import TrawlError, UnavailableError
from core.ports.jobs import JobRun, JobRunner
from tests.contracts.jobs import RUN, JobRunnerContract

REGION = "eu-central-1"
MACHINE = f"arn:aws:states:{REGION}:123456789012:stateMachine:trawl-jobs"
EXECUTION = f"arn:aws:states:{REGION}:123456789012:execution:trawl-jobs:{execution_name(RUN)}"
WAITS = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 9999, "End": True}}}


class TestStepFunctionsRunner(JobRunnerContract):
    @pytest.fixture
    def runner(self) -> Iterator[JobRunner]:
        with mock_aws():
            client = boto3.client("stepfunctions", region_name=REGION)
            role = "arn:aws:iam::123456789012:role/jobs"
            client.create_state_machine(
                name="trawl-jobs", definition=json.dumps(WAITS), roleArn=role
            )
            yield StepFunctionsRunner(MACHINE, client=client)


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with Stubber(boto3.client("stepfunctions", region_name=REGION)) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def runner_of(stubbed: Stubber) -> StepFunctionsRunner:
    client: Any = stubbed.client
    return StepFunctionsRunner(MACHINE, client=client)


def test_the_request_names_the_run_and_nothing_else(stubbed: Stubber) -> None:
    stubbed.add_response(
        "start_execution",
        {"executionArn": EXECUTION, "startDate": 0},
        {
            "stateMachineArn": MACHINE,
            "name": execution_name(RUN),
            "input": '{"namespace_id": "ns_1", "job_id": "job_1", "run": 1}',
        },
    )
    assert runner_of(stubbed).start(RUN) == EXECUTION


def test_a_run_that_is_over_is_not_started_again(stubbed: Stubber) -> None:
    stubbed.add_client_error("start_execution", "ExecutionAlreadyExists")
    assert runner_of(stubbed).start(RUN) == EXECUTION


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("RUNNING", "running"),
        ("PENDING_REDRIVE", "running"),
        ("SUCCEEDED", "succeeded"),
        ("FAILED", "failed"),
        ("TIMED_OUT", "failed"),
        ("ABORTED", "stopped"),
    ],
)
def test_every_status_has_its_state(stubbed: Stubber, status: str, state: str) -> None:
    answer: dict[str, Any] = {"executionArn": EXECUTION, "stateMachineArn": MACHINE}
    answer |= {"status": status, "startDate": 0}
    stubbed.add_response("describe_execution", answer, {"executionArn": EXECUTION})
    assert runner_of(stubbed).state(EXECUTION) == state


def test_stopping_one_that_ended_in_the_meantime_is_fine(stubbed: Stubber) -> None:
    stubbed.add_client_error("stop_execution", "ValidationException")
    ended = {"executionArn": EXECUTION, "stateMachineArn": MACHINE}
    stubbed.add_response("describe_execution", {**ended, "status": "SUCCEEDED", "startDate": 0})
    runner_of(stubbed).stop(EXECUTION)


def test_one_that_will_not_stop_is_told(stubbed: Stubber) -> None:
    stubbed.add_client_error("stop_execution", "ValidationException")
    running = {"executionArn": EXECUTION, "stateMachineArn": MACHINE}
    stubbed.add_response("describe_execution", {**running, "status": "RUNNING", "startDate": 0})
    with pytest.raises(TrawlError, match="refused to stop"):
        runner_of(stubbed).stop(EXECUTION)


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("ThrottlingException", 400, UnavailableError),
        ("InternalFailure", 500, UnavailableError),
        ("StateMachineDoesNotExist", 400, TrawlError),
        ("AccessDeniedException", 400, TrawlError),
    ],
)
def test_refusals_become_our_errors(
    stubbed: Stubber, code: str, status: int, expected: type[TrawlError]
) -> None:
    runner = runner_of(stubbed)
    for method, call in (
        ("start_execution", lambda: runner.start(RUN)),
        ("describe_execution", lambda: runner.state(EXECUTION)),
        ("stop_execution", lambda: runner.stop(EXECUTION)),
    ):
        stubbed.add_client_error(method, code, http_status_code=status)
        with pytest.raises(TrawlError, match=code) as caught:
            call()
        assert type(caught.value) is expected


def test_no_answer_at_all_is_worth_another_try() -> None:
    class Unreachable:
        def __getattr__(self, name: str) -> Any:
            raise EndpointConnectionError(endpoint_url="https://states.test")

    runner = StepFunctionsRunner(MACHINE, client=Unreachable())
    with pytest.raises(UnavailableError, match="Step Functions did not answer"):
        runner.start(RUN)


def test_what_is_no_state_machine_is_refused_at_once() -> None:
    for wrong in ("", "trawl-jobs", MACHINE.replace("stateMachine", "execution"), MACHINE + ":1"):
        with pytest.raises(TrawlError, match="not the ARN"):
            StepFunctionsRunner(wrong)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.builds(JobRun, st.text(), st.text(), st.integers(1, 10**9)))
def test_every_run_has_a_name_that_step_functions_takes(run: JobRun) -> None:
    name = execution_name(run)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,80}", name)
    assert execution_name(replace(run)) == name
    assert execution_name(replace(run, run=run.run + 1)) != name
    assert execution_name(replace(run, namespace_id=run.namespace_id + "x")) != name
