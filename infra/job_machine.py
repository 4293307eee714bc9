"""The state machine of a job, in Amazon States Language: plan, every chunk, finish.

Input: `{namespace_id, job_id, run}`. Written as data, not with CDK's classes for states: this is
what Step Functions runs, and what its documentation and console show.
"""

from typing import Any

Json = dict[str, Any]

# The function is ended by Lambda before Step Functions gives it up.
FUNCTION_TIMEOUT_S = 900
_TASK_TIMEOUT_S = FUNCTION_TIMEOUT_S + 30
# A job that takes longer than this is no longer waited for.
_MACHINE_TIMEOUT_S = 3 * 24 * 3600
# The map's name within ARNs of its children.
LABEL = "Chunks"

# In the order in which they are tried: the first that names the error decides.
RETRY: list[Json] = [
    # Asked for what cannot be done: it will not be any better the second time.
    {"ErrorEquals": ["JobRefusedError"], "MaxAttempts": 0},
    # The account's calls at once are used up, by this job's other chunks maybe, for as long as
    # those take. No chunk is given up for that: this is tried for hours.
    {
        "ErrorEquals": ["Lambda.TooManyRequestsException"],
        "IntervalSeconds": 2,
        "BackoffRate": 2,
        "MaxAttempts": 1000,
        "MaxDelaySeconds": 120,
        "JitterStrategy": "FULL",
    },
    # A moment's fault of Lambda's.
    {
        "ErrorEquals": [
            "Lambda.ServiceException",
            "Lambda.AWSLambdaException",
            "Lambda.SdkClientException",
            "Lambda.ClientExecutionTimeoutException",
        ],
        "IntervalSeconds": 2,
        "BackoffRate": 2,
        "MaxAttempts": 10,
        "MaxDelaySeconds": 120,
        "JitterStrategy": "FULL",
    },
    # A store did not answer, or another writer was faster.
    {
        "ErrorEquals": ["JobPausedError"],
        "IntervalSeconds": 5,
        "BackoffRate": 2,
        "MaxAttempts": 6,
        "MaxDelaySeconds": 120,
        "JitterStrategy": "FULL",
    },
    # Everything else: killed by time, by memory, by a bug. What is done is done, and is not done
    # again; what kills it every time is given up.
    {
        "ErrorEquals": ["States.ALL"],
        "IntervalSeconds": 2,
        "BackoffRate": 2,
        "MaxAttempts": 2,
        "JitterStrategy": "FULL",
    },
]


def job_definition(function_arn: str, *, concurrency: int) -> Json:
    """Return the machine that runs at most `concurrency` chunks of one job at a time."""
    return {
        "Comment": "One run of a job",
        "StartAt": "Plan",
        "TimeoutSeconds": _MACHINE_TIMEOUT_S,
        "States": {
            "Plan": {
                **_step(function_arn, "plan"),
                "ResultSelector": {
                    "bucket.$": "$.Payload.bucket",
                    "key.$": "$.Payload.key",
                    "count.$": "$.Payload.count",
                },
                "ResultPath": "$.plan",
                "Next": "AnyChunks",
            },
            # A map over no items at all would be an error.
            "AnyChunks": {
                "Type": "Choice",
                "Choices": [
                    {"Variable": "$.plan.count", "NumericGreaterThan": 0, "Next": LABEL},
                ],
                "Default": "Finish",
            },
            LABEL: _chunks(function_arn, concurrency),
            "Finish": {**_step(function_arn, "finish"), "ResultPath": None, "End": True},
        },
    }


def _chunks(function_arn: str, concurrency: int) -> Json:
    return {
        "Type": "Map",
        "Label": LABEL,
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSON"},
            "Parameters": {"Bucket.$": "$.plan.bucket", "Key.$": "$.plan.key"},
        },
        "ItemSelector": {**_RUN, "chunk.$": "$$.Map.Item.Value"},
        "MaxConcurrency": concurrency,
        # One chunk never ends the others: `finish` counts what is missing.
        "ToleratedFailurePercentage": 100,
        "ItemProcessor": {
            # Standard: an express child would end after five minutes.
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "Run",
            "States": {
                "Run": {
                    **_step(function_arn, "chunk", {"chunk.$": "$.chunk"}),
                    "ResultSelector": {"done.$": "$.Payload.done"},
                    "ResultPath": "$.outcome",
                    "Catch": [
                        {"ErrorEquals": ["States.ALL"], "ResultPath": "$.failure", "Next": "GiveUp"}
                    ],
                    "Next": "IsDone",
                },
                "IsDone": {
                    "Type": "Choice",
                    "Choices": [
                        {"Variable": "$.outcome.done", "BooleanEquals": True, "Next": "Done"}
                    ],
                    # Out of time, and not out of work.
                    "Default": "Run",
                },
                "GiveUp": {
                    **_step(
                        function_arn,
                        "give_up",
                        {"chunk.$": "$.chunk", "failure.$": "$.failure"},
                    ),
                    "ResultPath": None,
                    "Next": "Done",
                },
                # The map's result is all children's outputs, and a state holds 256 KB: say nothing.
                "Done": {"Type": "Pass", "OutputPath": None, "End": True},
            },
        },
        "ResultPath": None,
        "Next": "Finish",
    }


_RUN: Json = {"namespace_id.$": "$.namespace_id", "job_id.$": "$.job_id", "run.$": "$.run"}


def _step(function_arn: str, step: str, more: Json | None = None) -> Json:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {
            "FunctionName": function_arn,
            "Payload": {"step": step, **_RUN, **(more or {})},
        },
        "TimeoutSeconds": _TASK_TIMEOUT_S,
        "Retry": RETRY,
    }
