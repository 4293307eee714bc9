"""Bulk jobs: the function that works on chunks, and the state machine that hands them out."""

import json

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from core.settings import variable_of
from infra.api import EXTRAS
from infra.bundling import Contents, requirements
from infra.data import Data
from infra.functions import make_function, make_log_group, make_role
from infra.job_machine import FUNCTION_TIMEOUT_S, LABEL, job_definition
from infra.media import Media
from infra.permissions import query_environment, query_statements
from infra.settings import InfraSettings

# Step Functions hands its logs to CloudWatch by a delivery of its own, and these calls have no
# resources. https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
_DELIVER_LOGS = (
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
)
_TRACE = (
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
)


# Of every namespace; the lists of chunks are among them.
JOB_FILES = "*/jobs/*"


class Jobs(Construct):
    """The `job` function, from the same zip as the API's, under a Distributed Map over chunks.

    The function is called unversioned: a deploy in the middle of a job serves its next chunks.
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
        self._data = data
        # A name of our own: the machine's role names its executions, and the machine its role.
        self.name = f"trawl-{settings.stage}-jobs"
        self.function = self._make_function(media)
        self.machine_role = self._make_machine_role()
        self.machine = self._make_machine()

    @property
    def executions(self) -> tuple[str, str]:
        """ARNs of all runs, and of all their children."""
        return (
            self._arn("execution", f"{self.name}:*"),
            self._arn("execution", f"{self.name}/{LABEL}:*"),
        )

    def let_start(self, function: lambda_.Function, role: iam.Role) -> None:
        """Tell a function of the state machine, and let its role start, watch and stop runs."""
        function.add_environment(variable_of("job_state_machine"), self.machine.state_machine_arn)
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["states:StartExecution"], resources=[self.machine.state_machine_arn]
            )
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["states:DescribeExecution", "states:StopExecution"],
                resources=[self.executions[0]],
            )
        )

    def _make_function(self, media: Media) -> lambda_.Function:
        settings = self._settings
        log_group = make_log_group(self, "FunctionLogs", settings)
        self.function_role = make_role(
            self,
            log_group,
            query_statements(self, settings, self._data, media),
            description="Trawl job function: its own log group, table, buckets and media function",
        )
        return make_function(
            self,
            settings,
            handler="handlers.job.handler",
            contents=Contents(requirements(EXTRAS)),
            timeout_s=FUNCTION_TIMEOUT_S,
            role=self.function_role,
            log_group=log_group,
            environment=query_environment(settings, self._data, media, service="trawl-job"),
        )

    def _make_machine(self) -> sfn.StateMachine:
        definition = job_definition(
            self.function.function_arn, concurrency=self._settings.job_concurrency
        )
        return sfn.StateMachine(
            self,
            "Machine",
            state_machine_name=self.name,
            # Standard: a run may take days, and is started once however often it is asked for.
            state_machine_type=sfn.StateMachineType.STANDARD,
            # Not `Stack.to_json_string`: it leaves nulls out, which mean something here.
            definition_body=sfn.DefinitionBody.from_string(json.dumps(definition)),
            role=self.machine_role.without_policy_updates(),
            tracing_enabled=True,
            logs=sfn.LogOptions(
                # The prefix keeps CloudWatch's own policy on deliveries short.
                destination=make_log_group(
                    self, "MachineLogs", self._settings, name=f"/aws/vendedlogs/{self.name}"
                ),
                level=sfn.LogLevel.ERROR,
                # Errors may quote what the user has asked.
                include_execution_data=False,
            ),
        )

    def _make_machine_role(self) -> iam.Role:
        """Return a role that may do what the definition says, and no more.

        A Distributed Map starts its children as executions of the machine itself.
        """
        role = iam.Role(
            self,
            "MachineRole",
            assumed_by=iam.ServicePrincipal("states.amazonaws.com"),
            description="Trawl job state machine: the job function, lists of chunks, its children",
        )
        for actions, resources in (
            (("lambda:InvokeFunction",), [self.function.function_arn]),
            (("s3:GetObject",), [self._data.results.arn_for_objects(JOB_FILES)]),
            (("states:StartExecution",), [self._arn("stateMachine", self.name)]),
            (("states:DescribeExecution", "states:StopExecution"), list(self.executions)),
            (_DELIVER_LOGS, ["*"]),
            (_TRACE, ["*"]),
        ):
            role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=resources))
        return role

    def _arn(self, resource: str, name: str) -> str:
        return Stack.of(self).format_arn(
            service="states",
            resource=resource,
            resource_name=name,
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
