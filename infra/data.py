"""What Trawl keeps: one table for small records, three buckets for everything large."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.settings import InfraSettings


class Data(Construct):
    """The table and the buckets. Retained when the stack goes, unless `retain` says otherwise."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: InfraSettings) -> None:
        super().__init__(scope, construct_id)
        self._removal = RemovalPolicy.RETAIN if settings.retain else RemovalPolicy.DESTROY
        self.table = self._make_table(protected=settings.retain)
        # References, as their owner uploaded them: never expired by us.
        self.assets = self._make_bucket("Assets")
        # Segments and images: what is unreferenced is removed by merging, never by age, because
        # a reader may still hold an old manifest.
        self.index = self._make_bucket("Index")
        self.results = self._make_bucket(
            "Results", s3.LifecycleRule(expiration=Duration.days(settings.results_days))
        )

    def _make_table(self, *, protected: bool) -> dynamodb.Table:
        # Encrypted at rest with the key that AWS owns: a key of one's own adds a KMS call and
        # its latency to cold reads, and protects nothing that the role does not.
        return dynamodb.Table(
            self,
            "Table",
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            time_to_live_attribute="expires_at",
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=protected,
            removal_policy=self._removal,
        )

    def _make_bucket(self, name: str, *rules: s3.LifecycleRule) -> s3.Bucket:
        lifecycle = [
            s3.LifecycleRule(abort_incomplete_multipart_upload_after=Duration.days(1)),
            *rules,
        ]
        # Not emptied on destroy, even without `retain`: that takes a custom resource with
        # rights to delete everything. `cdk destroy` says so, and the owner empties it.
        bucket = s3.Bucket(
            self,
            name,
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            lifecycle_rules=lifecycle,
            removal_policy=self._removal,
        )
        if bucket.policy is None:
            raise TypeError(f"{bucket.node.path} has no policy that asks for TLS")
        # A bucket that stays keeps refusing plain HTTP.
        bucket.policy.apply_removal_policy(self._removal)
        return bucket
