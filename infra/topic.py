"""The topic that alarms go to: encrypted, TLS only, and open to this account's alarms alone."""

from aws_cdk import ArnFormat, Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.settings import InfraSettings

_KEY_DAYS = 7


def make_alarm_topic(scope: Construct, settings: InfraSettings) -> sns.Topic:
    """Return the topic; the address in the settings, if any, is asked by AWS to confirm.

    A key of our own, since CloudWatch may not use the one that AWS keeps for SNS: alarms on such
    a topic are lost without a word.
    """
    key = kms.Key(
        scope,
        "TopicKey",
        description=f"Trawl {settings.stage}: alarms on their way",
        enable_key_rotation=True,
        removal_policy=RemovalPolicy.DESTROY,
        pending_window=Duration.days(_KEY_DAYS),
    )
    topic = sns.Topic(scope, "Topic", master_key=key, enforce_ssl=True)
    alarms = Stack.of(scope).format_arn(
        service="cloudwatch",
        resource="alarm",
        resource_name="*",  # all of this account's: their names are CloudFormation's
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )
    condition = {
        "StringEquals": {"aws:SourceAccount": Stack.of(scope).account},
        "ArnLike": {"aws:SourceArn": alarms},
    }
    cloudwatch = iam.ServicePrincipal("cloudwatch.amazonaws.com")
    key.add_to_resource_policy(
        iam.PolicyStatement(
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            principals=[cloudwatch],
            # In a key's own policy this is the key.
            resources=["*"],
            conditions=condition,
        )
    )
    topic.add_to_resource_policy(
        iam.PolicyStatement(
            actions=["sns:Publish"],
            principals=[cloudwatch],
            resources=[topic.topic_arn],
            conditions=condition,
        )
    )
    if settings.alarm_email:
        topic.add_subscription(subscriptions.EmailSubscription(settings.alarm_email))
    return topic
