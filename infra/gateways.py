"""What both kinds of gateway have alike: their access log, their name, their metrics."""

import json
from typing import Protocol

from aws_cdk import Duration
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_route53_targets as targets
from constructs import Construct, IConstruct

from infra.settings import InfraSettings

# What a page in a browser may send and read. HTTP APIs take `*` for the first, but a browser
# does not count Authorization among it.
ALLOWED_HEADERS = ("authorization", "content-type", "idempotency-key", "x-namespace")
EXPOSED_HEADERS = ("retry-after", "x-execution-mode", "x-request-id")
METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
PREFLIGHT_S = 3600

# Who called what, how it ended and how long it took; never a header, a query string or a body.
# Both kinds of gateway know these names.
ACCESS_LOG = json.dumps(
    {
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
)


class Gateway(Protocol):
    """What stands before the function, of either kind."""

    @property
    def endpoint(self) -> str:
        """Its own address, with neither a slash at the end nor `/v1`."""
        ...

    @property
    def api(self) -> IConstruct:
        """The API itself: findings of cdk-nag are about it and what lies in it."""
        ...

    def metric(self, name: str, statistic: str) -> cloudwatch.Metric:
        """Return a metric: `requests`, `client_errors`, `server_errors` or `latency` (ms)."""
        ...


class MetricNames:
    """The names that one kind of gateway gives its metrics, and the dimensions that find it."""

    def __init__(self, names: dict[str, str], dimensions: dict[str, str]) -> None:
        self._names = names
        self._dimensions = dimensions

    def metric(self, name: str, statistic: str) -> cloudwatch.Metric:
        """Return a metric of this gateway, over five minutes."""
        return cloudwatch.Metric(
            namespace="AWS/ApiGateway",
            metric_name=self._names[name],
            dimensions_map=self._dimensions,
            statistic=statistic,
            period=Duration.minutes(5),
        )


def certificate_of(scope: Construct, settings: InfraSettings) -> acm.ICertificate:
    """Return the certificate that the settings name; it is not looked up."""
    return acm.Certificate.from_certificate_arn(scope, "Certificate", settings.certificate_arn)


def make_records(
    scope: Construct, settings: InfraSettings, regional_name: str, regional_zone: str
) -> None:
    """Lead the domain's name to the gateway, where the settings name the zone for it.

    Without a zone the owner makes the record: an alias or CNAME to the output DomainTarget.
    """
    if not settings.hosted_zone_id:
        return
    zone = route53.HostedZone.from_hosted_zone_attributes(
        scope, "Zone", hosted_zone_id=settings.hosted_zone_id, zone_name=settings.hosted_zone_name
    )
    target = route53.RecordTarget.from_alias(
        targets.ApiGatewayv2DomainProperties(regional_name, regional_zone)
    )
    name = f"{settings.domain}."
    route53.ARecord(scope, "Address", zone=zone, record_name=name, target=target)
    route53.AaaaRecord(scope, "AddressV6", zone=zone, record_name=name, target=target)
