"""The cdk-nag rules that this stack does not follow, each with its reason."""

from collections.abc import Sequence

from aws_cdk import Acknowledgment, Stack, Validations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct, IConstruct

from infra.api import Api
from infra.data import Data
from infra.ingest import IN_FLIGHT, REFERENCES, Ingest
from infra.jobs import JOB_FILES, Jobs
from infra.media import Media
from infra.models import models_in_any_region
from infra.operations import Operations
from infra.rest_gateway import RestGateway
from infra.settings import InfraSettings
from infra.upkeep import Upkeep
from infra.vectors import INDEXES, Vectors

_BUCKET = {
    "AwsSolutions::AwsSolutions-S1": (
        "Every read and write is a call of our own function, which logs it; presigned reads are "
        "seen by CloudTrail data events, which the account's owner turns on where wanted."
    ),
}

_FUNCTION = {
    "AwsSolutions::AwsSolutions-L1": (
        "The runtime is the newest for which every native library has wheels; context `python` "
        "names another."
    ),
    "Serverless::Serverless-LambdaLatestVersion": (
        "The runtime is the newest for which every native library has wheels; context `python` "
        "names another."
    ),
    "Serverless::Serverless-LambdaDLQ": (
        "Only invoked synchronously: a failure is the caller's answer."
    ),
}

_MEDIA = {
    **_FUNCTION,
    "Serverless::Serverless-LambdaTracing": (
        "Tracing needs rights on X-Ray, and this function has none but to write its logs; the "
        "API's own trace shows how long each call of it took."
    ),
}

_ROUTE = {
    "AwsSolutions::AwsSolutions-APIG4": (
        "The function checks Trawl's own bearer keys on every route but health and the API's "
        "description: they carry namespaces and permissions, which a gateway authorizer cannot."
    ),
}

_REST = {
    "AwsSolutions::AwsSolutions-APIG2": (
        "The function validates: its models are the API's description, and its errors name every "
        "fault of a body at once."
    ),
    "AwsSolutions::AwsSolutions-APIG3": (
        "The firewall is the owner's choice (context `waf`): it costs by the rule and the call."
    ),
    "AwsSolutions::AwsSolutions-APIG6": (
        "Access logs tell of every call. Execution logs would add headers, with the callers' keys, "
        "to a log group that API Gateway makes without an end."
    ),
    "AwsSolutions::AwsSolutions-COG4": _ROUTE["AwsSolutions::AwsSolutions-APIG4"],
    "AwsSolutions::AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/"
    "AmazonAPIGatewayPushToCloudWatchLogs]": (
        "The policy that AWS has made for this: API Gateway writes all access logs of the account "
        "and region by this one role."
    ),
}

_TRACING = {
    "AwsSolutions::AwsSolutions-IAM5[Resource::*]": (
        "X-Ray has no resources: PutTraceSegments and PutTelemetryRecords can only be allowed on *."
    ),
}


def acknowledge_exceptions(data: Data, api: Api, media: Media) -> None:
    """Tell cdk-nag which findings are meant, so that only new ones fail the template tests."""
    buckets = (data.assets, data.index, data.results)
    for bucket in buckets:
        _acknowledge(bucket, _BUCKET)
    _acknowledge(api.function, _FUNCTION)
    for function in media.functions:
        _acknowledge(function, _MEDIA)
    _acknowledge(api.gateway.api, _REST if isinstance(api.gateway, RestGateway) else {})
    _acknowledge(api.gateway.api, _ROUTE)
    readable = dict(_objects_of_name(name) for name in api.read_buckets)
    objects = dict(_objects_of(bucket) for bucket in buckets)
    _acknowledge(api.role, {**_TRACING, **objects, **readable})


_MACHINE = {
    "AwsSolutions::AwsSolutions-SF1": (
        "Errors alone are logged: at ALL, every chunk of a job of a million items would be several "
        "lines, and the function logs each of its calls already."
    ),
}

_MACHINE_ROLE = {
    "AwsSolutions::AwsSolutions-IAM5[Resource::*]": (
        "X-Ray and CloudWatch's deliveries of logs have no resources: the calls that Step "
        "Functions makes of them can only be allowed on *."
    ),
}


def acknowledge_job_exceptions(data: Data, api: Api, jobs: Jobs) -> None:
    """Tell cdk-nag which findings on jobs are meant, those on the API's right to start them too."""
    buckets = (data.assets, data.index, data.results)
    objects = dict(_objects_of(bucket) for bucket in buckets)
    readable = dict(_objects_of_name(name) for name in api.read_buckets)
    _acknowledge(jobs.function, _FUNCTION)
    _acknowledge(jobs.function_role, {**_TRACING, **objects, **readable})
    _acknowledge(jobs.machine, _MACHINE)
    runs, children = (_executions_of(jobs, kind) for kind in ("", "/Chunks"))
    lists = _objects_of(data.results, JOB_FILES)
    _acknowledge(jobs.machine_role, {**_MACHINE_ROLE, **dict([lists, runs, children])})
    _acknowledge(api.role, dict([runs]))


_POLLED = {
    **_FUNCTION,
    "Serverless::Serverless-LambdaDLQ": (
        "Called by a queue, which keeps what fails and has a dead-letter queue of its own."
    ),
}

_POLLING = {
    "Serverless::Serverless-LambdaEventSourceMappingDestination": (
        "Lambda takes none for a queue, whose own dead-letter queue is the destination."
    ),
}

_LAST_QUEUE = {
    "Serverless::Serverless-SQSRedrivePolicy": (
        "It is a dead-letter queue: what nobody redrives within 14 days is gone, and an alarm "
        "tells of it before."
    ),
}

_NEXT_ROUND = (
    "Called by the hour, with an event that says nothing: the next round does what failed."
)
_SCHEDULED = {
    **_FUNCTION,
    "Serverless::Serverless-LambdaDLQ": _NEXT_ROUND,
    "Serverless::Serverless-LambdaAsyncFailureDestination": _NEXT_ROUND,
}


def acknowledge_ingest_exceptions(data: Data, ingest: Ingest, upkeep: Upkeep) -> None:
    """Tell cdk-nag which findings on taking files in, and on upkeep, are meant."""
    _acknowledge(ingest.function, _POLLED)
    _acknowledge(ingest.mapping, _POLLING)
    _acknowledge(ingest.dead_letters, _LAST_QUEUE)
    _acknowledge(upkeep.function, _SCHEDULED)
    _acknowledge(upkeep.schedule, {"Serverless::Serverless-EventBusDLQ": _NEXT_ROUND})
    index = _objects_of(data.index)
    read, passing = _objects_of(data.assets, REFERENCES), _objects_of(data.results, IN_FLIGHT)
    _acknowledge(ingest.role, {**_TRACING, **dict([index, read, passing])})
    _acknowledge(upkeep.role, {**_TRACING, **dict([index])})


_TOPIC = {
    "Serverless::Serverless-SNSRedrivePolicy": (
        "Mail that is not taken is tried for days by SNS itself, and the alarm stays on the "
        "dashboard until it has ended."
    ),
}


def acknowledge_operations_exceptions(operations: Operations) -> None:
    """Tell cdk-nag which findings on alarms are meant."""
    _acknowledge(operations.topic, _TOPIC)


def acknowledge_vector_exceptions(vectors: Vectors) -> None:
    """Tell cdk-nag that functions reach every index of ours in the vector bucket."""
    name = Stack.of(vectors).get_logical_id(vectors.bucket)
    finding = f"AwsSolutions::AwsSolutions-IAM5[Resource::<{name}.VectorBucketArn>/{INDEXES}]"
    reason = "The indexes of this one bucket that the app makes, whose names are made at run time."
    for role in vectors.roles:
        _acknowledge(role, {finding: reason})


def acknowledge_model_exceptions(settings: InfraSettings, roles: Sequence[iam.Role]) -> None:
    """Tell cdk-nag that models behind inference profiles may be in any region."""
    reason = "An inference profile answers from regions that AWS chooses: this one model in any."
    arn = "arn:<AWS::Partition>:bedrock:*::foundation-model"
    for model in models_in_any_region(settings):
        finding = f"AwsSolutions::AwsSolutions-IAM5[Resource::{arn}/{model}]"
        for role in roles:
            _acknowledge(role, {finding: reason})


def _executions_of(jobs: Jobs, map_label: str) -> tuple[str, str]:
    """Return the finding on the executions of the state machine, or of its map."""
    arn = "arn:<AWS::Partition>:states:<AWS::Region>:<AWS::AccountId>:execution"
    return (
        f"AwsSolutions::AwsSolutions-IAM5[Resource::{arn}:{jobs.name}{map_label}:*]",
        "The executions of this one state machine, whose names are made at run time.",
    )


def _objects_of(bucket: s3.Bucket, keys: str = "*") -> tuple[str, str]:
    """Return the finding on one bucket's `/*`, or on some of its keys, and why it is meant."""
    resource = bucket.node.default_child
    if not isinstance(resource, s3.CfnBucket):
        raise TypeError(f"{bucket.node.path} has no CloudFormation bucket")
    name = Stack.of(bucket).get_logical_id(resource)
    return (
        f"AwsSolutions::AwsSolutions-IAM5[Resource::<{name}.Arn>/{keys}]",
        "The objects of this one bucket, whose keys are made at run time.",
    )


def _objects_of_name(name: str) -> tuple[str, str]:
    """Return the finding on the `/*` of a bucket that the owner has named, and why it is meant."""
    return (
        f"AwsSolutions::AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:s3:::{name}/*]",
        "The objects of a bucket that context `read_buckets` names, to be read only.",
    )


def _acknowledge(construct: Construct | IConstruct, reasons: dict[str, str]) -> None:
    for rule, reason in reasons.items():
        Validations.of(construct).acknowledge(Acknowledgment(id=rule, reason=reason))
