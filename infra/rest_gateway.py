"""The other gateway: a regional REST API, for those who want a firewall before it."""

from aws_cdk import CfnOutput, Duration
from aws_cdk import aws_apigateway as gateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.firewall import Firewall
from infra.functions import make_log_group
from infra.gateways import ACCESS_LOG, MetricNames, certificate_of, make_records
from infra.settings import InfraSettings

# The most that a REST API waits without a raised quota.
WAIT_S = 29
# Stands in the address of the API itself, not in that of a domain; the handler passes it over.
STAGE = "api"
_NAMES = {
    "requests": "Count",
    "client_errors": "4XXError",
    "server_errors": "5XXError",
    "latency": "Latency",
}


class RestGateway(Construct):
    """One proxy to the function, throttling, access logs, tracing, and with `waf` a firewall.

    The function answers preflights and adds the headers of cross-origin answers itself, as REST
    APIs leave that to what is behind them; the gateway's own refusals let any page read them,
    since they hold nothing. Access logs need a role that belongs to the whole account and region:
    CDK sets it, and keeps it when the stack goes, as other REST APIs may write by it.
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
        name = f"trawl-{settings.stage}"
        self.api = gateway.LambdaRestApi(
            self,
            "RestApi",
            handler=function,
            proxy=True,
            rest_api_name=name,
            endpoint_types=[gateway.EndpointType.REGIONAL],
            # All of it passes through as bytes: answers that escaping makes too large are base64.
            binary_media_types=["*/*"],
            cloud_watch_role=True,
            integration_options=gateway.LambdaIntegrationOptions(
                timeout=Duration.seconds(WAIT_S), allow_test_invoke=False
            ),
            deploy_options=self._stage_options(),
        )
        if settings.origins:
            self._let_pages_read_refusals()
        if settings.waf:
            Firewall(
                self, "Firewall", settings=settings, stage_arn=self.api.deployment_stage.stage_arn
            )
        if settings.domain:
            self._make_domain()
        self._metrics = MetricNames(_NAMES, {"ApiName": name, "Stage": STAGE})

    @property
    def endpoint(self) -> str:
        """The API's own address, its stage included."""
        # Without the slash at the end of CDK's.
        stack = self.api.stack
        host = f"{self.api.rest_api_id}.execute-api.{stack.region}.{stack.url_suffix}"
        return f"https://{host}/{STAGE}"

    def metric(self, name: str, statistic: str) -> cloudwatch.Metric:
        """Return a metric: `requests`, `client_errors`, `server_errors` or `latency` (ms)."""
        return self._metrics.metric(name, statistic)

    def _stage_options(self) -> gateway.StageOptions:
        return gateway.StageOptions(
            stage_name=STAGE,
            throttling_rate_limit=self._settings.rate,
            throttling_burst_limit=self._settings.burst,
            tracing_enabled=True,
            access_log_destination=gateway.LogGroupLogDestination(
                make_log_group(self, "AccessLogs", self._settings)
            ),
            access_log_format=gateway.AccessLogFormat.custom(ACCESS_LOG),
        )

    def _let_pages_read_refusals(self) -> None:
        # Throttled, refused by the firewall, or given up: the function never saw the request.
        for kind, response in (
            ("Refused", gateway.ResponseType.DEFAULT_4_XX),
            ("Failed", gateway.ResponseType.DEFAULT_5_XX),
        ):
            self.api.add_gateway_response(
                kind, type=response, response_headers={"Access-Control-Allow-Origin": "'*'"}
            )

    def _make_domain(self) -> None:
        domain = gateway.DomainName(
            self,
            "Domain",
            domain_name=self._settings.domain,
            certificate=certificate_of(self, self._settings),
            endpoint_type=gateway.EndpointType.REGIONAL,
            security_policy=gateway.SecurityPolicy.TLS_1_2,
            mapping=self.api,
        )
        regional = domain.domain_name_alias_domain_name
        make_records(self, self._settings, regional, domain.domain_name_alias_hosted_zone_id)
        CfnOutput(self, "DomainTarget", value=regional).override_logical_id("DomainTarget")
