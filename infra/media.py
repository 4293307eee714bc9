"""The media function: parses files that nobody vouches for, and may do nothing else."""

from constructs import Construct

from infra.bundling import requirements
from infra.functions import ONE_THREAD, make_function, make_log_group, make_role
from infra.settings import InfraSettings

# A file that takes longer is refused: the API, which waits for it, ends at 29 s.
TIMEOUT_S = 20
# A zip of its own: decoders are where hostile bytes do harm, and nothing else belongs beside them.
LIBRARIES = ("numpy", "orjson", "Pillow", "av")


class Media(Construct):
    """The `media` function. Its role writes logs: no table, no bucket, no tracing.

    Lambda's own network is open to it, as it is to every function outside a VPC: it reads one
    presigned address that way. All that it could give away is the file that it was handed.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: InfraSettings) -> None:
        super().__init__(scope, construct_id)
        log_group = make_log_group(self, "FunctionLogs", settings)
        role = make_role(
            self, log_group, (), description="Trawl media function: its own log group, only"
        )
        self.function = make_function(
            self,
            settings,
            handler="handlers.media.handler",
            wanted=requirements(("media",), only=LIBRARIES),
            timeout_s=TIMEOUT_S,
            role=role,
            log_group=log_group,
            environment=ONE_THREAD,
            memory_size=settings.media_memory_mb,
            tracing=None,
            # None leaves it the account's: a new account has too little to reserve any.
            reserved_concurrent_executions=settings.media_concurrency or None,
        )
