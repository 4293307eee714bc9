"""What every function of the stack has alike: its runtime, its zip, its log group, its role."""

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.bundling import ROOT, Contents, build_bundle
from infra.settings import LOG_RETENTION, InfraSettings

# Searches and decoders bring their own threads; these are read before we could set anything.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def make_log_group(
    scope: Construct, construct_id: str, settings: InfraSettings, *, name: str | None = None
) -> logs.LogGroup:
    """Return a log group that keeps as many days as the settings say, and goes with the stack."""
    return logs.LogGroup(
        scope,
        construct_id,
        log_group_name=name,
        retention=logs.RetentionDays[LOG_RETENTION[settings.log_days]],
        removal_policy=RemovalPolicy.DESTROY,
    )


def make_role(
    scope: Construct,
    log_group: logs.LogGroup,
    statements: Sequence[iam.PolicyStatement],
    *,
    description: str,
) -> iam.Role:
    """Return a role of one function: it may write its own logs, and what the statements say."""
    role = iam.Role(
        scope,
        "Role",
        assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
        description=description,
    )
    write_logs = iam.PolicyStatement(
        actions=["logs:CreateLogStream", "logs:PutLogEvents"],
        # ARN of the group, then `:*`: its streams, whose names Lambda chooses.
        resources=[log_group.log_group_arn],
    )
    for statement in (write_logs, *statements):
        role.add_to_policy(statement)
    return role


def make_function(
    scope: Construct,
    settings: InfraSettings,
    *,
    handler: str,
    contents: Contents,
    timeout_s: int,
    role: iam.Role,
    log_group: logs.LogGroup,
    environment: Mapping[str, str],
    **others: Any,
) -> lambda_.Function:
    """Return the function `Function`, whose zip holds our sources and these contents.

    `others` are properties that only some functions have, or have otherwise: `tracing`. Functions
    of the same contents share one zip, which is uploaded once.
    """
    return lambda_.Function(
        scope,
        "Function",
        runtime=_runtime_of(settings),
        architecture=lambda_.Architecture.X86_64,
        handler=handler,
        code=_make_code(settings, contents),
        timeout=Duration.seconds(timeout_s),
        role=role.without_policy_updates(),
        log_group=log_group,
        environment={**environment},
        **{"memory_size": settings.memory_mb, "tracing": lambda_.Tracing.ACTIVE, **others},
    )


def tracing_statement() -> iam.PolicyStatement:
    """Return the right to send traces, as Lambda does for us. X-Ray has no resources: `*`."""
    return iam.PolicyStatement(
        actions=["xray:PutTelemetryRecords", "xray:PutTraceSegments"], resources=["*"]
    )


def _runtime_of(settings: InfraSettings) -> lambda_.Runtime:
    # From 3.12 on, which the settings ask for, all of them can.
    return lambda_.Runtime(
        f"python{settings.python}", lambda_.RuntimeFamily.PYTHON, supports_snap_start=True
    )


def _make_code(settings: InfraSettings, contents: Contents) -> lambda_.Code:
    """Return the zip of our sources with their libraries; without these unless `bundle`."""
    if settings.bundle:
        folder = build_bundle(settings.wheels or settings.python, contents)
        return lambda_.Code.from_asset(str(folder))
    return lambda_.Code.from_asset(str(ROOT / "handlers"), exclude=["__pycache__", "**/*.pyc"])
