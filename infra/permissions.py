"""What a function that runs queries may do and must know: one list for all of them."""

from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from core.settings import variables
from infra.data import Data
from infra.functions import ONE_THREAD, tracing_statement
from infra.media import Media
from infra.models import model_environment, model_statements
from infra.settings import InfraSettings

# The share of the function's memory for index images; the rest is for the interpreter, for the
# vectors of one merged search, and for answers.
CACHE_SHARE = 0.5


def query_statements(
    scope: Construct, settings: InfraSettings, data: Data, media: Media
) -> list[iam.PolicyStatement]:
    """List each call the adapters make. CDK's `grant_*` give more, by wildcard actions."""
    buckets: list[s3.IBucket] = [data.assets, data.index, data.results]
    # A namespace may register any bucket's name; S3 answers only for those that the deployment's
    # owner has listed, as both our reads and our presigned URLs use this role.
    readable = [
        s3.Bucket.from_bucket_name(scope, f"Read{number}", name)
        for number, name in enumerate(settings.bucket_names)
    ]
    return [
        tracing_statement(),
        iam.PolicyStatement(
            actions=[
                "dynamodb:DeleteItem",
                "dynamodb:GetItem",
                "dynamodb:Query",
                "dynamodb:UpdateItem",
            ],
            resources=[data.table.table_arn],
        ),
        # Without ListBucket, S3 answers 403 instead of 404 for an object that is not there.
        iam.PolicyStatement(
            actions=["s3:ListBucket"],
            resources=[bucket.bucket_arn for bucket in (*buckets, *readable)],
        ),
        invoke_statement(media),
        # `/*`: the objects of our own buckets, whose keys are made at run time.
        iam.PolicyStatement(
            actions=["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
            resources=[bucket.arn_for_objects("*") for bucket in (data.index, data.results)],
        ),
        # References belong to their owner: read and presigned, never written or deleted.
        iam.PolicyStatement(
            actions=["s3:GetObject"],
            resources=[bucket.arn_for_objects("*") for bucket in (data.assets, *readable)],
        ),
        *model_statements(scope, settings),
    ]


def invoke_statement(media: Media) -> iam.PolicyStatement:
    """Return the right to hand files to the media functions, unversioned: features come out."""
    return iam.PolicyStatement(
        actions=["lambda:InvokeFunction"],
        resources=[function.function_arn for function in media.functions],
    )


def query_environment(
    settings: InfraSettings, data: Data, media: Media, *, service: str
) -> dict[str, str]:
    """Return the environment; `service` is the function's name in logs and metrics, where the
    stage's stands behind it: several deployments live in one account."""
    return {
        **variables(
            table=data.table.table_name,
            assets_bucket=data.assets.bucket_name,
            index_bucket=data.index.bucket_name,
            results_bucket=data.results.bucket_name,
            cache_mb=max(1, int(settings.memory_mb * CACHE_SHARE)),
            results_days=settings.results_days,
        ),
        **media.environment,
        **model_environment(settings),
        **ONE_THREAD,
        "POWERTOOLS_SERVICE_NAME": f"{service}-{settings.stage}",
        "POWERTOOLS_METRICS_NAMESPACE": "Trawl",
        "POWERTOOLS_LOG_LEVEL": "INFO",
    }
