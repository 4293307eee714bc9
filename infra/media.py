"""The media function: parses files that nobody vouches for, and may do nothing else."""

from aws_cdk import Duration
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.bundling import requirements
from infra.functions import ONE_THREAD, make_code, make_log_group, make_role, runtime_of
from infra.settings import InfraSettings

# A file that takes longer is refused: the API, which waits for it, ends at 29 s.
TIMEOUT_S = 20
# A zip of its own: decoders are where hostile bytes do harm, and nothing else belongs beside them.
LIBRARIES = ("numpy", "orjson", "Pillow", "av")


class Media(Construct):
    """The `media` function. Its role writes logs: no table, no bucket, no tracing, no network."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: InfraSettings) -> None:
        super().__init__(scope, construct_id)
        log_group = make_log_group(self, "FunctionLogs", settings)
        role = make_role(
            self, log_group, (), description="Trawl media function: its own log group, only"
        )
        self.function = lambda_.Function(
            self,
            "Function",
            runtime=runtime_of(settings),
            architecture=lambda_.Architecture.X86_64,
            handler="handlers.media.handler",
            code=make_code(settings, requirements(("media",), only=LIBRARIES)),
            memory_size=settings.media_memory_mb,
            timeout=Duration.seconds(TIMEOUT_S),
            # None leaves it the account's: a new account has too little to reserve any.
            reserved_concurrent_executions=settings.media_concurrency or None,
            role=role.without_policy_updates(),
            log_group=log_group,
            environment=ONE_THREAD,
        )
