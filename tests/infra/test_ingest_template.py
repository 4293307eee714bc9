"""Ingest and upkeep, read off the template: queues, notification, schedule, and who may do what."""

import json
from typing import Any

import pytest

from core.settings import Settings
from infra.settings import ContextError, InfraSettings
from tests.infra.conftest import Resources, function_of, of_type, statements_of

INGEST = "handlers.ingest.handler"
UPKEEP = "handlers.upkeep.handler"
BUCKET_CALLS = {"s3:DeleteObject", "s3:GetObject", "s3:PutObject"}


def as_list(value: Any) -> list[Any]:
    """IAM writes a list of one without its brackets."""
    return value if isinstance(value, list) else [value]


def one_with(resources: Resources, kind: str, prefix: str) -> dict[str, Any]:
    """Return the one resource of a type whose logical id begins so."""
    [found] = [
        resource
        for name, resource in resources.items()
        if resource["Type"] == kind and name.startswith(prefix)
    ]
    return found


def rights_of(resources: Resources, handler: str) -> dict[str, set[str]]:
    """Return what a function's role allows: action -> the resources, as text."""
    allowed: dict[str, set[str]] = {}
    for statement in statements_of(resources, function_of(resources, handler)["Role"]):
        for action in as_list(statement["Action"]):
            for resource in as_list(statement["Resource"]):
                allowed.setdefault(action, set()).add(_name(resource))
    return allowed


def _name(resource: Any) -> str:
    if resource == "*":
        return "*"
    if "Fn::GetAtt" in resource:
        return str(resource["Fn::GetAtt"][0])
    first, *rest = resource["Fn::Join"][1]
    return _name(first) + "".join(rest)


def test_what_fails_again_and_again_is_kept_for_two_weeks(resources: Resources) -> None:
    queue = one_with(resources, "AWS::SQS::Queue", "IngestQueue")["Properties"]
    dead = one_with(resources, "AWS::SQS::Queue", "IngestDeadLetters")["Properties"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 5
    target = queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
    assert resources[target]["Properties"] == dead
    assert dead["MessageRetentionPeriod"] == 14 * 86_400
    # A message keeps the age that it had: it must not be about to end when it gets there.
    assert 7 * 86_400 < queue["MessageRetentionPeriod"] < dead["MessageRetentionPeriod"]
    assert queue["SqsManagedSseEnabled"] is dead["SqsManagedSseEnabled"] is True
    assert queue["VisibilityTimeout"] >= 6 * function_of(resources, INGEST)["Timeout"]


def test_queues_refuse_plain_http_and_strangers(resources: Resources) -> None:
    policies = of_type(resources, "AWS::SQS::QueuePolicy")
    assert len(policies) == len(of_type(resources, "AWS::SQS::Queue"))
    allowed = []
    for policy in policies:
        statements = policy["Properties"]["PolicyDocument"]["Statement"]
        assert {"Bool": {"aws:SecureTransport": "false"}} in [
            one["Condition"] for one in statements if one["Effect"] == "Deny"
        ]
        allowed += [one for one in statements if one["Effect"] == "Allow"]
    [statement] = allowed
    assert statement["Principal"] == {"Service": "s3.amazonaws.com"}
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Condition"]["StringEquals"] == {
        "aws:SourceAccount": {"Ref": "AWS::AccountId"}
    }
    [arn] = statement["Condition"]["ArnLike"].values()
    begin = arn["Fn::Join"][1][-1].removeprefix(":s3:::").removesuffix("*")
    # As CloudFormation names the bucket: the stack, the logical id, and what it draws.
    [bucket] = [
        name for name in resources if name.startswith("DataAssets") and _is_bucket(resources[name])
    ]
    assert begin == f"trawl-test-{bucket.lower()}-"
    assert len(begin) + 13 <= 63


def _is_bucket(resource: dict[str, Any]) -> bool:
    return bool(resource["Type"] == "AWS::S3::Bucket")


def test_the_longest_stage_leaves_the_buckets_name_whole(resources: Resources) -> None:
    """CloudFormation would shorten a longer one, and the policy name another bucket."""
    [bucket] = [
        name for name in resources if name.startswith("DataAssets") and _is_bucket(resources[name])
    ]
    assert len(f"trawl-{'s' * 20}-{bucket}-") + 13 <= 63


def test_the_bucket_tells_of_all_that_comes_and_goes(resources: Resources) -> None:
    told = []
    for name, resource in resources.items():
        if not _is_bucket(resource):
            continue
        configuration = resource["Properties"].get("NotificationConfiguration")
        if configuration is None:
            continue
        assert name.startswith("DataAssets")
        told += configuration["QueueConfigurations"]
        # Else S3 refuses the configuration, for it may not send to the queue yet.
        assert [one for one in resource["DependsOn"] if one.startswith("IngestQueuePolicy")]
    assert {one["Event"] for one in told} == {
        "s3:ObjectCreated:*",
        "s3:ObjectRemoved:*",
        "s3:LifecycleExpiration:*",
    }
    assert {one["Queue"]["Fn::GetAtt"][0][:11] for one in told} == {"IngestQueue"}


def test_no_function_of_cdks_own_is_deployed(resources: Resources) -> None:
    handlers = {f["Properties"]["Handler"] for f in of_type(resources, "AWS::Lambda::Function")}
    assert all(handler.startswith("handlers.") for handler in handlers)
    assert not [r for r in resources.values() if r["Type"].startswith("Custom::")]


def test_batches_fail_message_by_message_and_a_few_at_once(resources: Resources) -> None:
    [mapping] = of_type(resources, "AWS::Lambda::EventSourceMapping")
    properties = mapping["Properties"]
    assert properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert properties["BatchSize"] == 10
    assert properties["ScalingConfig"] == {"MaximumConcurrency": 5}
    # Lambda tries whether the role may read the queue.
    assert [one for one in mapping["DependsOn"] if one.startswith("IngestRoleDefaultPolicy")]


def test_the_functions_read_what_the_stack_sets(resources: Resources) -> None:
    for handler in (INGEST, UPKEEP):
        environment = function_of(resources, handler)["Environment"]["Variables"]
        read = {k: v if isinstance(v, str) else json.dumps(v) for k, v in environment.items()}
        settings = Settings.from_environment(read)
        assert "Table" in str(settings.table)
        if handler == INGEST:
            assert "IngestQueue" in str(settings.ingest_queue)
            assert "IngestDeadLetters" in str(settings.ingest_dead_letters)


def test_ingest_may_do_what_it_does_and_no_more(resources: Resources) -> None:
    allowed = rights_of(resources, INGEST)
    kinds = {
        action: {_kind(one) for one in its}
        for action, its in allowed.items()
        if not action.startswith(("logs:", "xray:"))
    }
    assert kinds == {
        "dynamodb:GetItem": {"DataTable"},
        "dynamodb:UpdateItem": {"DataTable"},
        "lambda:InvokeFunction": {"MediaFunction"},
        "s3:DeleteObject": {"DataIndex/*", "DataResults/media-in-flight/*"},
        "s3:GetObject": {
            "DataAssets/*/ingest/*",
            "DataIndex/*",
            "DataResults/media-in-flight/*",
        },
        "s3:ListBucket": {"DataAssets", "DataIndex"},
        "s3:PutObject": {"DataIndex/*", "DataResults/media-in-flight/*"},
        "sqs:ChangeMessageVisibility": {"IngestQueue"},
        "sqs:DeleteMessage": {"IngestQueue"},
        "sqs:GetQueueAttributes": {"IngestQueue"},
        "sqs:ReceiveMessage": {"IngestQueue"},
        "sqs:SendMessage": {"IngestDeadLetters"},
    }


def test_upkeep_reaches_records_and_segments_alone(resources: Resources) -> None:
    allowed = rights_of(resources, UPKEEP)
    reached = {
        _kind(one)
        for action, its in allowed.items()
        if not action.startswith(("logs:", "xray:"))
        for one in its
    }
    assert reached == {"DataTable", "DataIndex", "DataIndex/*"}
    assert {action for action in allowed if action.startswith("s3:")} == {
        *BUCKET_CALLS,
        "s3:ListBucket",
    }


def _kind(name: str) -> str:
    """Return a logical id without the digits that CDK adds."""
    head, slash, keys = name.partition("/")
    return head[:-8] + slash + keys


def test_upkeep_runs_by_the_hour_and_is_not_tried_again(resources: Resources) -> None:
    rule = one_with(resources, "AWS::Events::Rule", "UpkeepSchedule")["Properties"]
    assert rule["ScheduleExpression"] == "rate(1 hour)"
    [target] = rule["Targets"]
    assert target["RetryPolicy"]["MaximumRetryAttempts"] == 0
    name = target["Arn"]["Fn::GetAtt"][0]
    assert resources[name]["Properties"]["Handler"] == UPKEEP
    assert function_of(resources, UPKEEP)["Timeout"] == 900
    [invoke] = [
        r["Properties"]
        for r in of_type(resources, "AWS::Lambda::EventInvokeConfig")
        if r["Properties"]["FunctionName"] == {"Ref": name}
    ]
    assert invoke["MaximumRetryAttempts"] == 0


def test_the_outputs_name_the_queues(template: dict[str, Any]) -> None:
    assert {"IngestQueueUrl", "IngestDeadLettersUrl"} <= set(template["Outputs"])


class _Context:
    def __init__(self, value: int) -> None:
        self._value = value

    def try_get_context(self, key: str) -> Any:
        return self._value if key == "ingest_concurrency" else None


def test_how_many_batches_run_at_once_is_a_setting() -> None:
    assert InfraSettings.from_context(_Context(20)).ingest_concurrency == 20
    # Lambda takes no fewer than two.
    with pytest.raises(ContextError, match="ingest_concurrency"):
        InfraSettings.from_context(_Context(1))
