"""The HTTP API: one function that runs batches, and the gateway in front of it.

An HTTP API, not a REST API: it adds less latency and costs a third, and nothing here needs what
only REST has (usage plans, request models). It does not stream and ends every call at 30 s.
"""

import json

from aws_cdk import Duration
from aws_cdk import aws_apigatewayv2 as gateway
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from constructs import Construct

from core.settings import variables
from infra.bundling import requirements
from infra.data import Data
from infra.functions import ONE_THREAD, make_code, make_log_group, make_role, runtime_of
from infra.settings import InfraSettings

# The gateway gives up at 30 s, so that the function must have answered before.
TIMEOUT_S = 29
# What its zip holds beside the project's own dependencies.
EXTRAS = ("text",)
# The share of the function's memory for index images; the rest is for the interpreter, for the
# vectors of one merged search, and for answers.
CACHE_SHARE = 0.5

# Who called what, how it ended and how long it took; never a header, a query string or a body.
_ACCESS_LOG = {
    "requestId": "$context.requestId",
    "ip": "$context.identity.sourceIp",
    "time": "$context.requestTime",
    "method": "$context.httpMethod",
    "path": "$context.path",
    "status": "$context.status",
    "bytes": "$context.responseLength",
    "latencyMs": "$context.responseLatency",
    "integrationLatencyMs": "$context.integrationLatency",
    "error": "$context.integrationErrorMessage",
}


class Api(Construct):
    """The `api` function with a role of its own, behind an HTTP API with throttling and logs."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: InfraSettings,
        data: Data,
        media: lambda_.IFunction,
    ) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self._data = data
        self._media = media
        self.log_group = make_log_group(self, "FunctionLogs", settings)
        self.role = make_role(
            self,
            self.log_group,
            self._permissions(),
            description="Trawl api function: its own log group, table, buckets and media function",
        )
        self.function = self._make_function()
        self.http_api = self._make_gateway()

    @property
    def url(self) -> str:
        """Where clients send requests: the `base_url` of an SDK."""
        return f"{self.http_api.api_endpoint}/v1"

    @property
    def read_buckets(self) -> tuple[str, ...]:
        """Buckets of the owner's that this function may read."""
        return self._settings.bucket_names

    def _permissions(self) -> list[iam.PolicyStatement]:
        """List each call the adapters make. CDK's `grant_*` give more, by wildcard actions."""
        data = self._data
        buckets: list[s3.IBucket] = [data.assets, data.index, data.results]
        # A namespace may register any bucket's name; S3 answers only for those that the
        # deployment's owner has listed, as both our reads and our presigned URLs use this role.
        readable = [
            s3.Bucket.from_bucket_name(self, f"Read{number}", name)
            for number, name in enumerate(self._settings.bucket_names)
        ]
        return [
            # Lambda's own tracing, without its SDK in the process. X-Ray has no resources: `*`.
            iam.PolicyStatement(
                actions=["xray:PutTelemetryRecords", "xray:PutTraceSegments"], resources=["*"]
            ),
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
            # This one function, unversioned: files go in, features come out.
            iam.PolicyStatement(
                actions=["lambda:InvokeFunction"], resources=[self._media.function_arn]
            ),
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
        ]

    def _make_function(self) -> lambda_.Function:
        settings, data = self._settings, self._data
        return lambda_.Function(
            self,
            "Function",
            runtime=runtime_of(settings),
            architecture=lambda_.Architecture.X86_64,
            handler="handlers.api.handler",
            code=make_code(settings, requirements(EXTRAS)),
            memory_size=settings.memory_mb,
            timeout=Duration.seconds(TIMEOUT_S),
            tracing=lambda_.Tracing.ACTIVE,
            role=self.role.without_policy_updates(),
            log_group=self.log_group,
            environment={
                **variables(
                    table=data.table.table_name,
                    assets_bucket=data.assets.bucket_name,
                    index_bucket=data.index.bucket_name,
                    results_bucket=data.results.bucket_name,
                    media_function=self._media.function_name,
                    cache_mb=max(1, int(settings.memory_mb * CACHE_SHARE)),
                ),
                **ONE_THREAD,
                "POWERTOOLS_SERVICE_NAME": "trawl-api",
                "POWERTOOLS_METRICS_NAMESPACE": "Trawl",
                "POWERTOOLS_LOG_LEVEL": "INFO",
            },
        )

    def _make_gateway(self) -> gateway.HttpApi:
        # One catch-all route: the routes stand in `handlers`, once.
        api = gateway.HttpApi(
            self,
            "HttpApi",
            api_name=f"trawl-{self._settings.stage}",
            create_default_stage=False,
            default_integration=integrations.HttpLambdaIntegration("Integration", self.function),
        )
        # The L1 construct: the L2 stage wants an implementation of an interface for these logs.
        gateway.CfnStage(
            self,
            "Stage",
            api_id=api.api_id,
            stage_name="$default",
            auto_deploy=True,
            default_route_settings=gateway.CfnStage.RouteSettingsProperty(
                throttling_rate_limit=self._settings.rate,
                throttling_burst_limit=self._settings.burst,
            ),
            access_log_settings=gateway.CfnStage.AccessLogSettingsProperty(
                destination_arn=make_log_group(self, "AccessLogs", self._settings).log_group_arn,
                format=json.dumps(_ACCESS_LOG),
            ),
        )
        return api
