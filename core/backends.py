"""Which adapters the settings ask for: AWS or a data folder, and what is optional beside them.

Adapters are imported where they are chosen: a cold start pays only for its own.
"""

import os
import secrets
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from core.adapters.fetch_rules import FetchRules
from core.jobs.work import JobWork
from core.media.metering import MediaMeter
from core.media.rules import ExtractorRules
from core.ports.blobs import Blobs, BlobStores
from core.ports.jobs import JobRunner
from core.ports.media import MediaExtractor
from core.ports.queues import IngestQueues
from core.ports.records import Records
from core.ports.vector_indexes import VectorIndexes
from core.settings import Settings, SettingsError

_SIGNING_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Backends:
    """Where a service keeps things: records, and objects in three buckets that it names."""

    records: Records
    buckets: BlobStores
    assets_bucket: str
    index_bucket: str
    results_bucket: str

    @property
    def own_buckets(self) -> frozenset[str]:
        """The names of all three."""
        return frozenset((self.assets_bucket, self.index_bucket, self.results_bucket))

    @property
    def assets(self) -> Blobs:
        """The objects that callers put there."""
        return self.buckets.bucket(self.assets_bucket)

    @property
    def index(self) -> Blobs:
        """Collections, and compiled plans."""
        return self.buckets.bucket(self.index_bucket)

    @property
    def results(self) -> Blobs:
        """What lives for some days: large answers, jobs, scans."""
        return self.buckets.bucket(self.results_bucket)


def choose_backends(settings: Settings, base_url: str) -> Backends:
    """Return those of the data folder if one is set, of AWS otherwise.

    Raises `SettingsError` if the settings name neither.
    """
    if settings.data_dir is not None:
        return _local_backends(settings.data_dir, base_url)
    return _aws_backends(settings)


def _local_backends(data_dir: Path, base_url: str) -> Backends:
    from core.adapters.blobs_directory import DirectoryBlobStores
    from core.adapters.records_sqlite import SqliteRecords

    data_dir.mkdir(parents=True, exist_ok=True)
    records = SqliteRecords(data_dir / "records.sqlite")
    key = _signing_key(data_dir / "signing.key")
    buckets = DirectoryBlobStores(data_dir / "buckets", signing_key=key, base_url=base_url)
    return Backends(records, buckets, "assets", "index", "results")


def _aws_backends(settings: Settings) -> Backends:
    from core.adapters.blobs_s3 import S3BlobStores
    from core.adapters.records_dynamodb import DynamoRecords

    names = (settings.assets_bucket, settings.index_bucket, settings.results_bucket)
    assets, index, results = names
    if settings.table is None or assets is None or index is None or results is None:
        raise SettingsError("set a data folder, or a table and three buckets")
    return Backends(DynamoRecords(settings.table), S3BlobStores(), assets, index, results)


def _signing_key(path: Path) -> bytes:
    """Return the data folder's key, made at first; readable by its owner only.

    It appears whole or not at all: another process may be starting on the same folder.
    """
    if not path.exists():
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_SIGNING_KEY_BYTES))
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_bytes()


def vector_indexes(settings: Settings) -> dict[str, VectorIndexes]:
    """Return the engines beside the embedded one, by the names that collections ask for."""
    if settings.vector_bucket is None:
        return {}
    from core.adapters.vectors_s3 import S3VectorIndexes

    return {"s3vectors": S3VectorIndexes(settings.vector_bucket)}


def extractor_rules(settings: Settings) -> ExtractorRules:
    """Return what collections of this service may ask of extractors."""
    return ExtractorRules(
        bedrock_models=settings.bedrock_models,
        sagemaker_endpoints=settings.sagemaker_endpoints,
        secrets=settings.embedder_secrets,
        onnx_models=tuple(name for name, _ in settings.onnx_models),
        faces=settings.faces,
        decodes_here=settings.media_function is None,
        deployed_extras=tuple(extra for extra, _ in settings.media_extras),
    )


def media_extractor(
    settings: Settings, results: Blobs, rules: ExtractorRules, fetch: FetchRules, meter: MediaMeter
) -> MediaExtractor:
    """Return what turns files into vectors: here, or in functions that the settings name.

    `meter` counts the calls of those.
    """
    from core.adapters.media_choice import choose_extractors

    if settings.media_function is None:
        return choose_extractors(rules, fetch, dict(settings.onnx_models))
    from core.adapters.media_lambda import LambdaMediaExtractor

    return choose_extractors(
        rules,
        fetch,
        decoding=LambdaMediaExtractor(settings.media_function, results, meter=meter),
        deployed={
            extra: partial(LambdaMediaExtractor, function, results, meter=meter)
            for extra, function in settings.media_extras
        },
    )


def job_runner(
    settings: Settings, work: JobWork, buckets: BlobStores
) -> tuple[JobRunner, Callable[[], None]]:
    """Return what runs jobs, and what ends it."""
    if settings.job_state_machine is not None:
        from core.adapters.jobs_stepfunctions import StepFunctionsRunner

        return StepFunctionsRunner(settings.job_state_machine), lambda: None
    from core.adapters.jobs_threads import ThreadRunner

    locks = settings.data_dir or Path(tempfile.gettempdir()) / "trawl"
    runner = ThreadRunner(work, buckets, locks / "jobs")
    return runner, runner.close


def ingest_queues(settings: Settings) -> IngestQueues | None:
    """Return the queues of bucket events; None on a laptop, and where they are not named."""
    if settings.ingest_queue is None or settings.ingest_dead_letters is None:
        return None
    from core.adapters.queues_sqs import SqsQueue

    return IngestQueues(SqsQueue(settings.ingest_queue), SqsQueue(settings.ingest_dead_letters))
