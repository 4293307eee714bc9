"""The default gateway: an HTTP API in front of the function's alias."""

from aws_cdk import CfnOutput, Duration
from aws_cdk import aws_apigatewayv2 as gateway
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.functions import make_log_group
from infra.gateways import (
    ACCESS_LOG,
    ALLOWED_HEADERS,
    EXPOSED_HEADERS,
    METHODS,
    PREFLIGHT_S,
    MetricNames,
    certificate_of,
    make_records,
)
from infra.settings import InfraSettings

_STAGE = "$default"
_NAMES = {
    "requests": "Count",
    "client_errors": "4xx",
    "server_errors": "5xx",
    "latency": "Latency",
}


class HttpGateway(Construct):
    """One catch-all route (the routes stand in `handlers`, once), throttling, logs, CORS, a name.

    Cross-origin requests are answered by the gateway itself: preflights never reach the function,
    and every answer carries the headers, errors and the gateway's own refusals too.
    With a domain the API's own address stays on: deployments are checked by it.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: InfraSettings,
        function: lambda_.IFunction,
    ) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self.api = gateway.HttpApi(
            self,
            "HttpApi",
            api_name=f"trawl-{settings.stage}",
            create_default_stage=False,
            cors_preflight=self._cors(),
            # It waits for 30 s, the most there is.
            default_integration=integrations.HttpLambdaIntegration("Integration", function),
        )
        self._stage = self._make_stage()
        if settings.domain:
            self._make_domain()
        self._metrics = MetricNames(_NAMES, {"ApiId": self.api.api_id})

    @property
    def endpoint(self) -> str:
        """The API's own address."""
        return self.api.api_endpoint

    def metric(self, name: str, statistic: str) -> cloudwatch.Metric:
        """Return a metric: `requests`, `client_errors`, `server_errors` or `latency` (ms)."""
        return self._metrics.metric(name, statistic)

    def _cors(self) -> gateway.CorsPreflightOptions | None:
        if not self._settings.origins:
            return None
        # No credentials: keys go in a header that the page sets, never in cookies.
        return gateway.CorsPreflightOptions(
            allow_origins=list(self._settings.origins),
            allow_methods=[gateway.CorsHttpMethod[method] for method in METHODS],
            allow_headers=list(ALLOWED_HEADERS),
            expose_headers=list(EXPOSED_HEADERS),
            max_age=Duration.seconds(PREFLIGHT_S),
        )

    def _make_stage(self) -> gateway.CfnStage:
        # The L1 construct: the L2 stage wants an implementation of an interface for these logs.
        return gateway.CfnStage(
            self,
            "Stage",
            api_id=self.api.api_id,
            stage_name=_STAGE,
            auto_deploy=True,
            default_route_settings=gateway.CfnStage.RouteSettingsProperty(
                throttling_rate_limit=self._settings.rate,
                throttling_burst_limit=self._settings.burst,
            ),
            access_log_settings=gateway.CfnStage.AccessLogSettingsProperty(
                destination_arn=make_log_group(self, "AccessLogs", self._settings).log_group_arn,
                format=ACCESS_LOG,
            ),
        )

    def _make_domain(self) -> None:
        domain = gateway.DomainName(
            self,
            "Domain",
            domain_name=self._settings.domain,
            certificate=certificate_of(self, self._settings),
            security_policy=gateway.SecurityPolicy.TLS_1_2,
        )
        mapping = gateway.CfnApiMapping(
            self, "Mapping", api_id=self.api.api_id, domain_name=domain.name, stage=_STAGE
        )
        mapping.node.add_dependency(self._stage)
        regional = domain.regional_domain_name
        make_records(self, self._settings, regional, domain.regional_hosted_zone_id)
        CfnOutput(self, "DomainTarget", value=regional).override_logical_id("DomainTarget")
