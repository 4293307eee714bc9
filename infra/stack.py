"""The stack: which constructs there are, and what a user needs to know of them afterwards."""

from aws_cdk import CfnOutput, Duration, Stack, Tags
from constructs import Construct

from infra.api import Api
from infra.data import Data
from infra.exceptions import (
    acknowledge_exceptions,
    acknowledge_ingest_exceptions,
    acknowledge_job_exceptions,
    acknowledge_model_exceptions,
    acknowledge_operations_exceptions,
    acknowledge_vector_exceptions,
)
from infra.ingest import ATTEMPTS, HIDDEN_S, Ingest
from infra.jobs import Jobs
from infra.media import Media
from infra.operations import Operations, WatchedCount, WatchedFunction, WatchedQueue
from infra.settings import InfraSettings
from infra.upkeep import EVERY_H, Upkeep
from infra.vectors import MANAGE, SEARCH, SWEEP, WRITE, Vectors


class TrawlStack(Stack):
    """One deployment of Trawl. Needs no account or region to synthesize."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: InfraSettings) -> None:
        super().__init__(
            scope, construct_id, description="Trawl: one stored search pipeline, many queries"
        )
        self.data = Data(self, "Data", settings=settings)
        self.media = Media(self, "Media", settings=settings)
        self.api = Api(self, "Api", settings=settings, data=self.data, media=self.media)
        self.jobs = Jobs(self, "Jobs", settings=settings, data=self.data, media=self.media)
        self.jobs.let_start(self.api.function, self.api.role)
        self.ingest = Ingest(self, "Ingest", settings=settings, data=self.data, media=self.media)
        self.upkeep = Upkeep(self, "Upkeep", settings=settings, data=self.data, media=self.media)
        self.vectors = self._make_vectors(settings) if settings.s3vectors else None
        self.operations = self._make_operations(settings)
        Tags.of(self).add("app", "trawl")
        Tags.of(self).add("stage", settings.stage)
        self._make_outputs()
        acknowledge_exceptions(self.data, self.api, self.media)
        acknowledge_job_exceptions(self.data, self.api, self.jobs)
        acknowledge_ingest_exceptions(self.data, self.ingest, self.upkeep)
        acknowledge_operations_exceptions(self.operations)
        roles = (self.api.role, self.jobs.function_role, self.ingest.role)
        acknowledge_model_exceptions(settings, roles)
        if self.vectors is not None:
            acknowledge_vector_exceptions(self.vectors)

    def _make_vectors(self, settings: InfraSettings) -> Vectors:
        made = Vectors(self, "Vectors", settings=settings)
        made.let(self.api.function, self.api.role, *SEARCH, *WRITE, *MANAGE)
        made.let(self.jobs.function, self.jobs.function_role, *SEARCH)
        made.let(self.ingest.function, self.ingest.role, *WRITE)
        made.let(self.upkeep.function, self.upkeep.role, *SWEEP)
        return made

    def _make_operations(self, settings: InfraSettings) -> Operations:
        functions = (
            # What a handler answers, errors too, is no failure of its function.
            WatchedFunction("Api", self.api.function),
            # Some files are made to kill what reads them: each is answered with its own error.
            WatchedFunction("Media", self.media.function, failures=20),
            *(
                WatchedFunction(f"Media-{extra}", function, failures=20)
                for extra, function in self.media.extras.items()
            ),
            # Both are tried again; what is given up has alarms of its own.
            WatchedFunction("Job", self.jobs.function, failures=5),
            WatchedFunction("Ingest", self.ingest.function, failures=5),
            WatchedFunction("Upkeep", self.upkeep.function),
        )
        uploads = WatchedQueue(
            "Ingest",
            self.ingest.queue,
            self.ingest.dead_letters,
            oldest=Duration.seconds(ATTEMPTS * HIDDEN_S),
        )
        rounds = WatchedCount(
            "UpkeepRounds",
            "upkeep",
            "UpkeepFailures",
            Duration.hours(EVERY_H),
            "Upkeep fails for the same collection, or for all: its log names each and says why. "
            "Searches slow down, and storage grows.",
        )
        return Operations(
            self,
            "Operations",
            settings=settings,
            gateway=self.api.gateway,
            functions=functions,
            queues=(uploads,),
            counts=(rounds,),
            machines=(self.jobs.machine,),
        )

    def _make_outputs(self) -> None:
        outputs = {
            "ApiUrl": self.api.url,
            "TableName": self.data.table.table_name,
            "AssetsBucketName": self.data.assets.bucket_name,
            "IndexBucketName": self.data.index.bucket_name,
            "ResultsBucketName": self.data.results.bucket_name,
            "MediaFunctionName": self.media.function.function_name,
            "JobStateMachineArn": self.jobs.machine.state_machine_arn,
            "IngestQueueUrl": self.ingest.queue.queue_url,
            "IngestDeadLettersUrl": self.ingest.dead_letters.queue_url,
            "AlarmTopicArn": self.operations.topic.topic_arn,
        }
        for extra, function in self.media.extras.items():
            outputs[f"Media{extra.capitalize()}FunctionName"] = function.function_name
        if self.vectors is not None:
            outputs["VectorBucketName"] = self.vectors.name
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)
