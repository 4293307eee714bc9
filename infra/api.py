"""The API: one function that runs batches, published as versions, and a gateway in front of it.

Which gateway. An HTTP API unless the settings say otherwise: it costs $1.00 for a million calls
where a REST API costs $3.50, adds less latency, waits 30 s instead of 29, and answers preflights
itself. Both throttle, write access logs, take a domain, and let 10 MB through (Lambda: 6 MB). What
only REST has and a deployment may need is a firewall: AWS attaches none to an HTTP API, so that
`waf` needs `api: rest`. Private endpoints, usage plans and request models are not used.

What does not stream. Both gateways hand over whole answers here: `stream: true` is answered with
the same events, all at once at the end. HTTP APIs never stream; a REST API can, but only what a
function streams, and Lambda's own Python runtime does not. The ways around it, a runtime of one's
own or the Lambda Web Adapter, take away what this function needs from the runtime: the time that
is left of each call, and the hooks of SnapStart. `trawl serve` streams. A batch that takes longer
than a call is a job, whose progress is asked for.
"""

from aws_cdk import Annotations, RemovalPolicy
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from core.settings import variables
from infra.bundling import Contents, requirements
from infra.data import Data
from infra.functions import make_function, make_log_group, make_role
from infra.gateways import Gateway
from infra.http_gateway import HttpGateway
from infra.media import Media
from infra.permissions import query_environment, query_statements
from infra.rest_gateway import RestGateway
from infra.settings import InfraSettings

# One second less than the gateway waits, which counts a cold start too: the function must have
# answered before.
TIMEOUT_S = {"http": 29, "rest": 28}
# What its zip holds beside the project's own dependencies.
EXTRAS = ("text",)
ALIAS = "live"


class Api(Construct):
    """The `api` function with a role of its own, and its gateway.

    The gateway calls the alias `live`, which a deploy moves to the new version once that can
    start: no call meets half a deploy. The version before is removed when the deploy has ended
    (its snapshot costs as long as it stays), and kept until then: a deploy that fails goes back.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: InfraSettings,
        data: Data,
        media: Media,
    ) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self.log_group = make_log_group(self, "FunctionLogs", settings)
        self.role = make_role(
            self,
            self.log_group,
            query_statements(self, settings, data, media),
            description="Trawl api function: its own log group, table, buckets and media function",
        )
        self.function = self._make_function(data, media)
        self.alias = lambda_.Alias(
            self, "Alias", alias_name=ALIAS, version=self.function.current_version
        )
        # `Default` stands in no logical id: the gateway of either kind keeps its own.
        make = RestGateway if settings.api == "rest" else HttpGateway
        self.gateway: Gateway = make(self, "Default", settings=settings, function=self.alias)

    @property
    def url(self) -> str:
        """Where clients send requests: the `base_url` of an SDK."""
        domain = self._settings.domain
        return f"https://{domain}/v1" if domain else f"{self.gateway.endpoint}/v1"

    @property
    def read_buckets(self) -> tuple[str, ...]:
        """Buckets of the owner's that this function may read."""
        return self._settings.bucket_names

    def _make_function(self, data: Data, media: Media) -> lambda_.Function:
        settings = self._settings
        environment = query_environment(settings, data, media, service="trawl-api")
        if settings.api == "rest" and settings.origins:
            environment |= variables(cors_origins=",".join(settings.origins))
        snap_start = lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if settings.snap_start else None
        function = make_function(
            self,
            settings,
            handler="handlers.api.handler",
            contents=Contents(requirements(EXTRAS)),
            timeout_s=TIMEOUT_S[settings.api],
            role=self.role,
            log_group=self.log_group,
            environment=environment,
            snap_start=snap_start,
            current_version_options=lambda_.VersionOptions(removal_policy=RemovalPolicy.DESTROY),
        )
        # Said of every function with SnapStart. This one is called by its alias, which names a
        # published version.
        Annotations.of(function).acknowledge_warning("@aws-cdk/aws-lambda:snapStartRequirePublish")
        return function
