"""Upkeep: by the hour, small segments are merged and what crashed writers left is removed."""

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.api import EXTRAS
from infra.bundling import Contents, requirements
from infra.data import Data
from infra.functions import make_function, make_log_group, make_role, tracing_statement
from infra.media import Media
from infra.permissions import query_environment
from infra.settings import InfraSettings

TIMEOUT_S = 900
EVERY_H = 1


class Upkeep(Construct):
    """The `upkeep` function, its schedule, and a role that reaches records and segments only."""

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
        log_group = make_log_group(self, "FunctionLogs", settings)
        self.role = make_role(
            self,
            log_group,
            _permissions(data),
            description="Trawl upkeep function: its own log group, table and index bucket",
        )
        self.function = make_function(
            self,
            settings,
            handler="handlers.upkeep.handler",
            contents=Contents(requirements(EXTRAS)),
            timeout_s=TIMEOUT_S,
            role=self.role,
            log_group=log_group,
            environment=query_environment(settings, data, media, service="trawl-upkeep"),
        )
        self.schedule = events.Rule(
            self,
            "Schedule",
            description="Trawl upkeep: merges and sweeps collections",
            schedule=events.Schedule.rate(Duration.hours(EVERY_H)),
        )
        # Not tried again: the next round begins by itself, and does what this one left.
        target = targets.LambdaFunction(
            self.function, retry_attempts=0, max_event_age=Duration.minutes(30)
        )
        self.schedule.add_target(target)
        self.function.configure_async_invoke(retry_attempts=0, max_event_age=Duration.minutes(30))


def _permissions(data: Data) -> list[iam.PolicyStatement]:
    """List each call the adapters make: nothing here reads media or writes documents."""
    return [
        tracing_statement(),
        iam.PolicyStatement(
            actions=["dynamodb:GetItem", "dynamodb:Query", "dynamodb:UpdateItem"],
            resources=[data.table.table_arn],
        ),
        iam.PolicyStatement(actions=["s3:ListBucket"], resources=[data.index.bucket_arn]),
        iam.PolicyStatement(
            actions=["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
            resources=[data.index.arn_for_objects("*")],
        ),
    ]
