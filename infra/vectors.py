"""The S3 vector bucket of collections with `"engine": "s3vectors"`, behind the flag `s3vectors`.

The indexes in it are made and dropped by the app, one for each named vector of such a collection.
"""

from aws_cdk import Fn, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3vectors as s3vectors
from constructs import Construct

from core.settings import variable_of
from infra.settings import InfraSettings

# What each function asks of the indexes. A search that filters reads metadata: GetVectors.
SEARCH = ("GetVectors", "QueryVectors")
WRITE = ("DeleteVectors", "PutVectors")
MANAGE = ("CreateIndex", "DeleteIndex")
SWEEP = ("DeleteVectors", "ListVectors")
# The app's own indexes begin with this.
INDEXES = "index/trawl-*"


class Vectors(Construct):
    """The bucket. Retained with the other data when the stack goes, unless `retain` is false."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: InfraSettings) -> None:
        super().__init__(scope, construct_id)
        self.bucket = s3vectors.CfnVectorBucket(
            self,
            "Bucket",
            encryption_configuration=s3vectors.CfnVectorBucket.EncryptionConfigurationProperty(
                sse_type="AES256"
            ),
        )
        policy = RemovalPolicy.RETAIN if settings.retain else RemovalPolicy.DESTROY
        self.bucket.apply_removal_policy(policy)
        self._roles: list[iam.Role] = []

    @property
    def name(self) -> str:
        """The bucket's name, which CloudFormation gives as the end of its ARN only."""
        return Fn.select(1, Fn.split("/", self.bucket.attr_vector_bucket_arn))

    @property
    def roles(self) -> tuple[iam.Role, ...]:
        """The roles that were let in."""
        return tuple(self._roles)

    def statement(self, actions: tuple[str, ...]) -> iam.PolicyStatement:
        """Return the right to call these on our indexes, whose names are made at run time."""
        return iam.PolicyStatement(
            actions=[f"s3vectors:{action}" for action in actions],
            resources=[f"{self.bucket.attr_vector_bucket_arn}/{INDEXES}"],
        )

    def let(self, function: lambda_.Function, role: iam.Role, *actions: str) -> None:
        """Tell a function of the bucket, and let its role do these on the indexes."""
        function.add_environment(variable_of("vector_bucket"), self.name)
        role.add_to_policy(self.statement(actions))
        self._roles.append(role)
