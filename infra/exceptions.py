"""The cdk-nag rules that this stack does not follow, each with its reason."""

from aws_cdk import Acknowledgment, Stack, Validations
from aws_cdk import aws_s3 as s3
from constructs import Construct, IConstruct

from infra.api import Api
from infra.data import Data
from infra.media import Media

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
    _acknowledge(media.function, _MEDIA)
    _acknowledge(api.http_api, _ROUTE)
    readable = dict(_objects_of_name(name) for name in api.read_buckets)
    objects = dict(_objects_of(bucket) for bucket in buckets)
    _acknowledge(api.role, {**_TRACING, **objects, **readable})


def _objects_of(bucket: s3.Bucket) -> tuple[str, str]:
    """Return the finding on one bucket's `/*`, and why it is meant."""
    resource = bucket.node.default_child
    if not isinstance(resource, s3.CfnBucket):
        raise TypeError(f"{bucket.node.path} has no CloudFormation bucket")
    name = Stack.of(bucket).get_logical_id(resource)
    return (
        f"AwsSolutions::AwsSolutions-IAM5[Resource::<{name}.Arn>/*]",
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
