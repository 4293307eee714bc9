"""What jobs promise on AWS, read off the template: who may do what, and what is tried again."""

import json
from pathlib import Path
from typing import Any

import pytest

from handlers.job import JobPausedError, JobRefusedError
from infra.job_machine import RETRY, job_definition
from tests.infra.conftest import Resources, function_of, of_type, statements_of

MACHINE = "AWS::StepFunctions::StateMachine"
JOB = "handlers.job.handler"
API = "handlers.api.handler"


def machine_of(resources: Resources) -> dict[str, Any]:
    [machine] = of_type(resources, MACHINE)
    properties: dict[str, Any] = machine["Properties"]
    return properties


@pytest.fixture
def definition(resources: Resources) -> dict[str, Any]:
    """The machine's definition, with the function's reference as its ARN."""
    parts = machine_of(resources)["DefinitionString"]["Fn::Join"][1]
    text = "".join(part if isinstance(part, str) else part["Fn::GetAtt"][0] for part in parts)
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def tasks_of(definition: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every task of the machine, those of its map too, by name."""
    states = definition["States"]
    inner = states["Chunks"]["ItemProcessor"]["States"]
    return {k: v for k, v in (states | inner).items() if v["Type"] == "Task"}


def allowed(statements: list[dict[str, Any]]) -> set[str]:
    """Every action that the statements allow."""
    actions = [s["Action"] for s in statements]
    return {name for one in actions for name in ([one] if isinstance(one, str) else one)}


def test_the_machine_runs_what_is_written(definition: dict[str, Any], resources: Resources) -> None:
    [function] = {task["Parameters"]["FunctionName"] for task in tasks_of(definition).values()}
    assert resources[function]["Properties"]["Handler"] == JOB
    # Nulls included: CDK's own writer of JSON leaves them out, and here they discard results.
    assert definition == job_definition(function, concurrency=20)
    states = definition["States"]
    assert [states[name]["ResultPath"] for name in ("Chunks", "Finish")] == [None, None]
    # A state holds 256 KB: what a thousand children say must be next to nothing.
    assert states["Chunks"]["ItemProcessor"]["States"]["Done"]["OutputPath"] is None


def test_every_step_is_asked_for_by_its_name(definition: dict[str, Any]) -> None:
    payloads = {k: v["Parameters"]["Payload"] for k, v in tasks_of(definition).items()}
    assert {name: payload["step"] for name, payload in payloads.items()} == {
        "Plan": "plan",
        "Run": "chunk",
        "GiveUp": "give_up",
        "Finish": "finish",
    }
    for payload in payloads.values():
        assert {"namespace_id.$", "job_id.$", "run.$"} < set(payload)
    assert "chunk.$" in payloads["Run"]
    assert {"chunk.$", "failure.$"} < set(payloads["GiveUp"])


def test_every_path_leads_to_an_end(definition: dict[str, Any]) -> None:
    states = definition["States"]
    for machine in (definition, states["Chunks"]["ItemProcessor"]):
        names = set(machine["States"])
        reached = {machine["StartAt"]}
        for state in machine["States"].values():
            branches = [*state.get("Choices", ()), *state.get("Catch", ())]
            follow = {b["Next"] for b in branches} | {state.get("Next"), state.get("Default")}
            follow.discard(None)
            assert follow or state.get("End") or state["Type"] == "Succeed"
            reached |= follow
        assert reached == names


def test_one_chunk_never_ends_the_others(definition: dict[str, Any]) -> None:
    chunks = definition["States"]["Chunks"]
    assert chunks["ToleratedFailurePercentage"] == 100
    run = chunks["ItemProcessor"]["States"]["Run"]
    [catch] = run["Catch"]
    assert (catch["ErrorEquals"], catch["Next"]) == (["States.ALL"], "GiveUp")
    # What the step was asked for is still there.
    assert catch["ResultPath"] == "$.failure"


def test_a_map_over_nothing_is_left_out(definition: dict[str, Any]) -> None:
    choice = definition["States"]["AnyChunks"]
    assert choice["Default"] == "Finish"
    assert choice["Choices"] == [
        {"Variable": "$.plan.count", "NumericGreaterThan": 0, "Next": "Chunks"}
    ]


def test_errors_are_retried_by_class(definition: dict[str, Any]) -> None:
    for task in tasks_of(definition).values():
        assert task["Retry"] == RETRY
    by_error = {name: retrier for retrier in RETRY for name in retrier["ErrorEquals"]}
    assert by_error[JobRefusedError.__name__]["MaxAttempts"] == 0
    # Longer than one call of the function takes, on average, however often chance is against it.
    throttled = by_error["Lambda.TooManyRequestsException"]
    assert throttled["MaxAttempts"] * throttled["MaxDelaySeconds"] / 2 > 20 * 900
    assert by_error["Lambda.ServiceException"] is by_error["Lambda.SdkClientException"]
    assert by_error["Lambda.ServiceException"]["MaxAttempts"] >= 8
    assert by_error[JobPausedError.__name__]["MaxAttempts"] >= 3
    # It must stand alone, and last; it is timeouts, `Lambda.Unknown` and whatever kills a process.
    assert RETRY[-1]["ErrorEquals"] == ["States.ALL"]
    for retrier in RETRY[1:]:
        assert retrier["JitterStrategy"] == "FULL"
        assert retrier["BackoffRate"] > 1
        assert retrier.get("MaxDelaySeconds", 9999) > retrier["IntervalSeconds"]


def test_lambda_ends_a_call_before_the_machine_does(
    definition: dict[str, Any], resources: Resources
) -> None:
    function = function_of(resources, JOB)
    assert function["Timeout"] == 900
    for task in tasks_of(definition).values():
        assert task["TimeoutSeconds"] > function["Timeout"]
    assert definition["TimeoutSeconds"] > 24 * 3600


def test_the_machine_may_do_what_its_definition_says(resources: Resources) -> None:
    statements = statements_of(resources, machine_of(resources)["RoleArn"])
    assert allowed([s for s in statements if s["Resource"] != "*"]) == {
        "lambda:InvokeFunction",
        "s3:GetObject",
        "states:StartExecution",
        "states:DescribeExecution",
        "states:StopExecution",
    }
    [invoking] = [s for s in statements if s["Action"] == "lambda:InvokeFunction"]
    invoked = resources[invoking["Resource"]["Fn::GetAtt"][0]]
    assert invoked["Properties"]["Handler"] == JOB
    [reading] = [s for s in statements if s["Action"] == "s3:GetObject"]
    assert "DataResults" in json.dumps(reading["Resource"])
    assert json.dumps(reading["Resource"]).count("/*/jobs/*") == 1
    [starting] = [s for s in statements if s["Action"] == "states:StartExecution"]
    name = machine_of(resources)["StateMachineName"]
    assert starting["Resource"]["Fn::Join"][1][-1] == f":stateMachine:{name}"


def test_the_function_may_do_what_the_api_may_but_start_jobs(resources: Resources) -> None:
    own, api = (
        allowed(statements_of(resources, function_of(resources, handler)["Role"]))
        for handler in (JOB, API)
    )
    assert own <= api
    assert {name for name in api - own if name.startswith("states:")} == {
        "states:StartExecution",
        "states:DescribeExecution",
        "states:StopExecution",
    }
    environment = function_of(resources, JOB)["Environment"]["Variables"]
    assert "TRAWL_JOB_STATE_MACHINE" not in environment
    assert environment["POWERTOOLS_SERVICE_NAME"].startswith("trawl-job")


def test_the_api_starts_this_machine_and_stops_its_runs(resources: Resources) -> None:
    function = function_of(resources, API)
    machine = function["Environment"]["Variables"]["TRAWL_JOB_STATE_MACHINE"]
    assert resources[machine["Ref"]]["Type"] == MACHINE
    statements = [
        s for s in statements_of(resources, function["Role"]) if "states:" in json.dumps(s)
    ]
    starting, watching = sorted(statements, key=lambda s: len(s["Action"]), reverse=True)
    assert starting["Action"] == "states:StartExecution"
    assert starting["Resource"] == machine
    assert watching["Action"] == ["states:DescribeExecution", "states:StopExecution"]
    assert watching["Resource"]["Fn::Join"][1][-1] == ":execution:trawl-test-jobs:*"


def test_the_machine_is_traced_and_logs_errors_without_what_was_asked(
    resources: Resources,
) -> None:
    machine = machine_of(resources)
    assert machine["StateMachineType"] == "STANDARD"
    assert machine["TracingConfiguration"] == {"Enabled": True}
    logging = machine["LoggingConfiguration"]
    assert (logging["Level"], logging["IncludeExecutionData"]) == ("ERROR", False)
    [destination] = logging["Destinations"]
    group = destination["CloudWatchLogsLogGroup"]["LogGroupArn"]["Fn::GetAtt"][0]
    assert resources[group]["Properties"]["RetentionInDays"] == 30


def test_how_many_chunks_run_at_once_is_a_choice(template_file: Path, tmp_path: Path) -> None:
    from infra.app import make_app

    context = {"bundle": "false", "stage": "prod", "job_concurrency": "77"}
    make_app(context, outdir=str(tmp_path)).synth()
    template = json.loads((tmp_path / "trawl-prod.template.json").read_text())
    machine = machine_of(template["Resources"])
    assert machine["StateMachineName"] == "trawl-prod-jobs"
    assert '"MaxConcurrency": 77' in json.dumps(machine["DefinitionString"]).replace("\\", "")
