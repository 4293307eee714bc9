"""Ingest: what is uploaded to the assets bucket becomes reference documents by itself.

S3 tells a queue, the queue calls the `ingest` function, and what will never succeed ends in a
dead-letter queue with its reason. S3 could call the function itself; the queue adds batches, a
bound on how many run at once, and retries that are counted.
"""

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from core.settings import variables
from infra.api import EXTRAS
from infra.bundling import Contents, requirements
from infra.data import Data
from infra.functions import make_function, make_log_group, make_role, tracing_statement
from infra.media import Media
from infra.models import model_statements
from infra.permissions import invoke_statement, query_environment
from infra.settings import InfraSettings

TIMEOUT_S = 120
# AWS asks for six times the function's timeout: a batch may wait for a free place meanwhile.
HIDDEN_S = 6 * TIMEOUT_S
ATTEMPTS = 5
BATCH = 10
# A batch fills for this long: one write of a collection takes ten files as it takes one.
WINDOW_S = 1
# SQS keeps a message for 4 days unless told otherwise: a function that cannot start over a long
# weekend would lose files. What is given up on keeps its age, hence fewer than the dead letters.
QUEUE_DAYS = 10
DEAD_LETTER_DAYS = 14

# Lifecycle rules remove objects without an `ObjectRemoved`. The bucket's other notifications are
# of no use here. There is no filter: a namespace's id stands before `ingest/` in its keys.
EVENTS = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*")
# The objects that are taken in, whatever their namespace.
REFERENCES = "*/ingest/*"
# Files too large for an event lie there while the media function reads them.
IN_FLIGHT = "media-in-flight/*"


class Ingest(Construct):
    """The queues, the `ingest` function with a role of its own, and the bucket's notification."""

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
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(DEAD_LETTER_DAYS),
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            visibility_timeout=Duration.seconds(HIDDEN_S),
            retention_period=Duration.days(QUEUE_DAYS),
            dead_letter_queue=sqs.DeadLetterQueue(
                max_receive_count=ATTEMPTS, queue=self.dead_letters
            ),
        )
        self.log_group = make_log_group(self, "FunctionLogs", settings)
        self.role = make_role(
            self,
            self.log_group,
            self._permissions(media),
            description="Trawl ingest function: its own log group, queues, table, references",
        )
        self.function = self._make_function(media)
        self.mapping = self._make_mapping()
        self._notify()

    def _permissions(self, media: Media) -> list[iam.PolicyStatement]:
        """List each call the adapters make, and those of Lambda's own poller."""
        data = self._data
        return [
            tracing_statement(),
            iam.PolicyStatement(
                actions=["dynamodb:GetItem", "dynamodb:UpdateItem"],
                resources=[data.table.table_arn],
            ),
            # Without ListBucket, S3 answers 403 instead of 404: a removed object could not be
            # told from a forbidden one.
            iam.PolicyStatement(
                actions=["s3:ListBucket"],
                resources=[data.assets.bucket_arn, data.index.bucket_arn],
            ),
            iam.PolicyStatement(
                actions=["s3:GetObject"], resources=[data.assets.arn_for_objects(REFERENCES)]
            ),
            iam.PolicyStatement(
                actions=["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
                resources=[
                    data.index.arn_for_objects("*"),
                    data.results.arn_for_objects(IN_FLIGHT),
                ],
            ),
            invoke_statement(media),
            iam.PolicyStatement(
                actions=[
                    "sqs:ChangeMessageVisibility",
                    "sqs:DeleteMessage",
                    "sqs:GetQueueAttributes",
                    "sqs:ReceiveMessage",
                ],
                resources=[self.queue.queue_arn],
            ),
            iam.PolicyStatement(
                actions=["sqs:SendMessage"], resources=[self.dead_letters.queue_arn]
            ),
            *model_statements(self, self._settings),
        ]

    def _make_function(self, media: Media) -> lambda_.Function:
        settings = self._settings
        return make_function(
            self,
            settings,
            handler="handlers.ingest.handler",
            contents=Contents(requirements(EXTRAS)),
            timeout_s=TIMEOUT_S,
            role=self.role,
            log_group=self.log_group,
            environment={
                **query_environment(settings, self._data, media, service="trawl-ingest"),
                **variables(
                    ingest_queue=self.queue.queue_url,
                    ingest_dead_letters=self.dead_letters.queue_url,
                ),
            },
        )

    def _make_mapping(self) -> lambda_.EventSourceMapping:
        mapping = self.function.add_event_source_mapping(
            "Mapping",
            event_source_arn=self.queue.queue_arn,
            batch_size=BATCH,
            max_batching_window=Duration.seconds(WINDOW_S),
            max_concurrency=self._settings.ingest_concurrency,
            report_batch_item_failures=True,
        )
        # Lambda refuses a mapping of a role that may not read the queue yet.
        mapping.node.add_dependency(self.role)
        return mapping

    def _notify(self) -> None:
        """Have the bucket tell the queue of every object that comes or goes.

        By the bucket's own property: CDK's `add_event_notification` sets it through a function
        of its own with rights on every bucket, since the queue's policy must name the bucket and
        the bucket must find the policy when it is made. Here the policy names the bucket by how
        CloudFormation begins its name, and by the account, which a stranger's bucket has not.
        """
        stack = Stack.of(self)
        bucket = self._data.assets.node.default_child
        if not isinstance(bucket, s3.CfnBucket):
            raise TypeError(f"{self._data.assets.node.path} has no CloudFormation bucket")
        # `trawl-dev-dataassets1a2b3c4d-…`, at most 48 characters of the 63 that a name may have.
        begin = f"{stack.stack_name}-{stack.get_logical_id(bucket)}".lower()
        self.queue.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["sqs:SendMessage"],
                principals=[iam.ServicePrincipal("s3.amazonaws.com")],
                resources=[self.queue.queue_arn],
                conditions={
                    "StringEquals": {"aws:SourceAccount": stack.account},
                    "ArnLike": {"aws:SourceArn": f"arn:{stack.partition}:s3:::{begin}-*"},
                },
            )
        )
        bucket.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            queue_configurations=[
                s3.CfnBucket.QueueConfigurationProperty(event=event, queue=self.queue.queue_arn)
                for event in EVENTS
            ]
        )
        # S3 tries the queue as it takes the configuration: the policy must be there by then.
        bucket.node.add_dependency(self.queue.node.find_child("Policy"))
