"""The composition root: settings in, a working service out. The only importer of adapters."""

import os
import secrets
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path

from core.adapters.fetch_content import ContentFetcher
from core.adapters.fetch_rules import FetchRules
from core.adapters.text_tantivy import TantivyText
from core.adapters.vectors_embedded import EmbeddedVectors
from core.auth.keys import Keys
from core.catalog.collections import CollectionCatalog
from core.catalog.document_media import MediaIndexer
from core.catalog.documents import DocumentCatalog
from core.catalog.namespaces import NamespaceCatalog
from core.catalog.retrievers import RetrieverCatalog
from core.catalog.upkeep import Upkeep
from core.delivery import read_object
from core.engine import Delivery, Engine
from core.ingest.ingest import Ingest
from core.jobs.catalog import JobCatalog
from core.jobs.store import JobStore
from core.jobs.work import JobWork
from core.media.rules import ExtractorRules
from core.plan.cache import PlanCache
from core.plan.version import planner_version
from core.planner import Planner
from core.ports.blobs import Blobs, BlobStores
from core.ports.jobs import JobRunner
from core.ports.media import MediaExtractor
from core.ports.previews import Previewer
from core.ports.queues import IngestQueues
from core.ports.records import Records
from core.ports.vector_indexes import VectorIndexes
from core.registry import find_stage, stage_names
from core.runtime.environment import Services, merged_searches
from core.runtime.texts import TextIndexes
from core.scan.scanner import Scanner
from core.scan.scans import Scans
from core.scan.store import ScanStore
from core.settings import Settings
from core.storage.collections import CollectionStore
from core.storage.segment_cache import SegmentCache

# Threads for what blocks, and others for media: two batches of 20 files in flight.
_POOL_THREADS, _MEDIA_THREADS = 24, 40
# Text indexes may take this part of the cache's size, beside it.
_TEXT_SHARE = 4
_LOCAL_BUCKETS = ("assets", "index", "results")
_SIGNING_KEY_BYTES = 32
_DAY_S = 86_400
# Lambda's own: the memory of the function, which is what a second of it costs.
_MEMORY_VARIABLE = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"
# What the first batch would load on its way, beside stages and adapters: see `prime`.
_LOADED_WHEN_USED = (
    "core.adapters.fetch_https",
    "core.catalog.document_listing",
    "core.filtering.predicates",
    "core.filtering.words",
    "core.search.codes",
    "core.templating.blocks",
    "core.templating.values",
    "numkong",
    "re2",
    "snowballstemmer.english_stemmer",
    "tantivy",
)


@dataclass(frozen=True, slots=True)
class App:
    """One process's service. `close` ends its threads and child processes."""

    settings: Settings
    records: Records
    buckets: BlobStores
    store: CollectionStore
    keys: Keys
    namespaces: NamespaceCatalog
    collections: CollectionCatalog
    documents: DocumentCatalog
    retrievers: RetrieverCatalog
    engine: Engine
    ingest: Ingest
    upkeep: Upkeep
    # None on a laptop, and where the environment does not name them.
    ingest_queues: IngestQueues | None
    jobs: JobCatalog
    scans: Scans
    _close_jobs: Callable[[], None]
    _services: Services

    def close(self) -> None:
        """End what runs beside the caller; the app is of no use afterwards."""
        self._close_jobs()
        self._services.extractor.close()
        for pool in (self._services.media_pool, self._services.pool):
            pool.shutdown(wait=True, cancel_futures=True)


def build_app(settings: Settings, *, base_url: str = "http://127.0.0.1:8080") -> App:
    """Build the service on AWS (a table and buckets) or on a laptop (a data folder).

    `base_url` is where presigned URLs of a data folder are served. Nothing is connected to here:
    clients are made at first use.
    """
    if settings.data_dir is not None:
        records, buckets, names = _local_backends(settings.data_dir, base_url)
    else:
        records, buckets, names = _aws_backends(settings)
    assets, index, results = names
    store = CollectionStore(
        records,
        buckets.bucket(index),
        SegmentCache(settings.cache_mb * 1024 * 1024),
        indexes=_vector_indexes(settings),
    )
    extractor_rules = _extractor_rules(settings)
    collections = CollectionCatalog(records, store, extractor_rules)
    retrievers = RetrieverCatalog(records, collections)
    rules = FetchRules(
        max_bytes=settings.fetch_max_mb * 1_000_000,
        max_seconds=settings.fetch_timeout_s,
        allowed_networks=settings.allowed_networks,
    )
    fetcher = ContentFetcher(rules)
    extractor = _extractor(settings, buckets.bucket(results), extractor_rules, rules)
    reader = partial(read_object, buckets, assets)
    pool = ThreadPoolExecutor(_POOL_THREADS, thread_name_prefix="trawl")
    media_pool = ThreadPoolExecutor(_MEDIA_THREADS, thread_name_prefix="trawl-media")
    vectors = EmbeddedVectors(settings.threads)
    services = Services(
        store=store,
        collections=collections,
        vectors=vectors,
        extractor=extractor,
        fetcher=fetcher,
        read_object=reader,
        pool=pool,
        media_pool=media_pool,
        searches=merged_searches(vectors, pool),
        texts=TextIndexes(TantivyText(), settings.cache_mb * 1024 * 1024 // _TEXT_SHARE),
    )
    planner = Planner(retrievers, collections, store, PlanCache(records, buckets.bucket(index)))
    delivery = Delivery(
        buckets, assets, buckets.bucket(results), settings.presign_s, settings.spill_bytes
    )
    job_store = JobStore(records, buckets.bucket(results))
    scan_store = ScanStore(records, buckets.bucket(results), settings.results_days * _DAY_S)
    namespaces = NamespaceCatalog(
        records,
        collections,
        own_buckets=frozenset(names),
        clear=(job_store.clear, scan_store.clear),
    )
    work = JobWork(
        job_store,
        buckets,
        namespaces,
        retrievers,
        # An engine of its own: jobs may run on another event loop than the calls of a server.
        Engine(replace(services, searches=merged_searches(vectors, pool)), planner, delivery),
        int(os.environ.get(_MEMORY_VARIABLE, "0")),
    )
    runner, close_jobs = _job_runner(settings, work, buckets)
    return App(
        settings=settings,
        records=records,
        buckets=buckets,
        store=store,
        keys=Keys(records),
        namespaces=namespaces,
        collections=collections,
        documents=DocumentCatalog(store, collections, MediaIndexer(fetcher, extractor, reader)),
        retrievers=retrievers,
        engine=Engine(services, planner, delivery),
        ingest=Ingest(
            namespaces,
            collections,
            store,
            assets=buckets.bucket(assets),
            fetcher=fetcher,
            extractor=extractor,
            max_bytes=rules.max_bytes,
        ),
        upkeep=Upkeep(namespaces, collections, store, records, buckets),
        ingest_queues=_ingest_queues(settings),
        jobs=JobCatalog(job_store, buckets, assets, retrievers, runner, work, settings.presign_s),
        scans=Scans(
            services,
            Scanner(services, planner, retrievers),
            scan_store,
            delivery,
        ),
        _close_jobs=close_jobs,
        _services=services,
    )


def prime(settings: Settings) -> None:
    """Load all that a batch needs, as before a snapshot of the process is taken.

    No connection is made, no thread or child is left, and nothing is kept that may not be copied:
    an app is built for what building it imports, and closed.
    """
    for name in stage_names():
        find_stage(name)
    planner_version()
    for module in _LOADED_WHEN_USED:
        import_module(module)
    build_app(settings).close()
    if settings.data_dir is None:
        from core.adapters.aws_clients import prime_clients

        wanted = {
            "dynamodb": settings.table,
            "s3": settings.index_bucket,
            "lambda": settings.media_function,
            "s3vectors": settings.vector_bucket,
            "stepfunctions": settings.job_state_machine,
            "bedrock-runtime": settings.bedrock_models or None,
        }
        prime_clients(service for service, name in wanted.items() if name is not None)


def settings_from(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings of this process."""
    return Settings.from_environment(environment)


Backends = tuple[Records, BlobStores, tuple[str, str, str]]


def _local_backends(data_dir: Path, base_url: str) -> Backends:
    from core.adapters.blobs_directory import DirectoryBlobStores
    from core.adapters.records_sqlite import SqliteRecords

    data_dir.mkdir(parents=True, exist_ok=True)
    records = SqliteRecords(data_dir / "records.sqlite")
    key = _signing_key(data_dir / "signing.key")
    buckets = DirectoryBlobStores(data_dir / "buckets", signing_key=key, base_url=base_url)
    return records, buckets, _LOCAL_BUCKETS


def _aws_backends(settings: Settings) -> Backends:
    from core.adapters.blobs_s3 import S3BlobStores
    from core.adapters.records_dynamodb import DynamoRecords
    from core.settings import SettingsError

    names = (settings.assets_bucket, settings.index_bucket, settings.results_bucket)
    assets, index, results = names
    if settings.table is None or assets is None or index is None or results is None:
        raise SettingsError("set a data folder, or a table and three buckets")
    return DynamoRecords(settings.table), S3BlobStores(), (assets, index, results)


def _vector_indexes(settings: Settings) -> dict[str, VectorIndexes]:
    """Return the engines beside the embedded one, by the names that collections ask for."""
    if settings.vector_bucket is None:
        return {}
    from core.adapters.vectors_s3 import S3VectorIndexes

    return {"s3vectors": S3VectorIndexes(settings.vector_bucket)}


def _job_runner(
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


def _extractor_rules(settings: Settings) -> ExtractorRules:
    return ExtractorRules(
        bedrock_models=settings.bedrock_models,
        sagemaker_endpoints=settings.sagemaker_endpoints,
        secrets=settings.embedder_secrets,
        onnx_models=tuple(name for name, _ in settings.onnx_models),
        decodes_here=settings.media_function is None,
    )


def _extractor(
    settings: Settings, results: Blobs, rules: ExtractorRules, fetch: FetchRules
) -> MediaExtractor:
    from core.adapters.media_choice import choose_extractors

    if settings.media_function is None:
        return choose_extractors(rules, fetch, dict(settings.onnx_models))
    from core.adapters.media_lambda import LambdaMediaExtractor

    return choose_extractors(
        rules, fetch, decoding=LambdaMediaExtractor(settings.media_function, results)
    )


def build_previewer() -> Previewer:
    """Build what shows files to people, in a child process of its own; `close` it."""
    from core.adapters.media_process import ProcessLimits, ProcessMediaExtractor

    return ProcessMediaExtractor(workers=1, limits=ProcessLimits(wall_seconds=12, cpu_seconds=10))


def _ingest_queues(settings: Settings) -> IngestQueues | None:
    if settings.ingest_queue is None or settings.ingest_dead_letters is None:
        return None
    from core.adapters.queues_sqs import SqsQueue

    return IngestQueues(SqsQueue(settings.ingest_queue), SqsQueue(settings.ingest_dead_letters))


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
