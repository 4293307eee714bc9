"""The stack: which constructs there are, and what a user needs to know of them afterwards."""

from aws_cdk import CfnOutput, Stack, Tags
from constructs import Construct

from infra.api import Api
from infra.data import Data
from infra.exceptions import acknowledge_exceptions, acknowledge_job_exceptions
from infra.jobs import Jobs
from infra.media import Media
from infra.settings import InfraSettings


class TrawlStack(Stack):
    """One deployment of Trawl. Needs no account or region to synthesize."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: InfraSettings) -> None:
        super().__init__(
            scope, construct_id, description="Trawl: one stored search pipeline, many queries"
        )
        self.data = Data(self, "Data", settings=settings)
        self.media = Media(self, "Media", settings=settings)
        self.api = Api(self, "Api", settings=settings, data=self.data, media=self.media.function)
        self.jobs = Jobs(self, "Jobs", settings=settings, data=self.data, media=self.media.function)
        self.jobs.let_start(self.api.function, self.api.role)
        Tags.of(self).add("app", "trawl")
        Tags.of(self).add("stage", settings.stage)
        self._make_outputs()
        acknowledge_exceptions(self.data, self.api, self.media)
        acknowledge_job_exceptions(self.data, self.api, self.jobs)

    def _make_outputs(self) -> None:
        outputs = {
            "ApiUrl": self.api.url,
            "TableName": self.data.table.table_name,
            "AssetsBucketName": self.data.assets.bucket_name,
            "IndexBucketName": self.data.index.bucket_name,
            "ResultsBucketName": self.data.results.bucket_name,
            "MediaFunctionName": self.media.function.function_name,
            "JobStateMachineArn": self.jobs.machine.state_machine_arn,
        }
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)
