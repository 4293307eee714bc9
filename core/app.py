"""The composition root: settings in, a working service out.

`core.backends` chooses among adapters; nothing beside these two imports any.
"""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module

from core.adapters.fetch_content import ContentFetcher
from core.adapters.fetch_rules import FetchRules
from core.adapters.text_tantivy import TantivyText
from core.adapters.vectors_embedded import EmbeddedVectors
from core.auth.keys import Keys
from core.backends import (
    Backends,
    choose_backends,
    extractor_rules,
    ingest_queues,
    job_runner,
    media_extractor,
    vector_indexes,
)
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
from core.media.metering import MediaMeter
from core.media.rules import ExtractorRules
from core.plan.cache import PlanCache
from core.plan.version import planner_version
from core.planner import Planner
from core.ports.blobs import BlobStores
from core.ports.previews import Previewer
from core.ports.queues import IngestQueues
from core.ports.records import Records
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
_DAY_S = 86_400
# Lambda's own: the memory of the function, which is what a second of it costs.
_MEMORY_VARIABLE = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"
# What the first batch would load on its way, beside stages and adapters: see `prime`.
_LOADED_WHEN_USED = (
    "blake3",
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
    backends = choose_backends(settings, base_url)
    records, buckets = backends.records, backends.buckets
    rules = extractor_rules(settings)
    store = _collection_store(settings, backends)
    collections = CollectionCatalog(records, store, rules)
    retrievers = RetrieverCatalog(records, collections)
    meter = MediaMeter(settings.media_memory_mb)
    services = _services(settings, backends, rules, store, collections, meter=meter)
    planner = Planner(retrievers, collections, store, PlanCache(records, backends.index))
    delivery = _delivery(settings, backends)
    scan_store = ScanStore(records, backends.results, settings.results_days * _DAY_S)
    job_store = JobStore(records, backends.results)
    namespaces = NamespaceCatalog(
        records,
        collections,
        own_buckets=backends.own_buckets,
        clear=(job_store.clear, scan_store.clear),
    )
    engine = Engine(_for_jobs(services), planner, delivery)
    work = JobWork(job_store, buckets, namespaces, retrievers, engine, _memory_mb(), meter)
    jobs, close_jobs = _job_catalog(settings, backends, work)
    return App(
        settings=settings,
        records=records,
        buckets=buckets,
        store=store,
        keys=Keys(records),
        namespaces=namespaces,
        collections=collections,
        documents=_documents(services, collections),
        retrievers=retrievers,
        engine=Engine(services, planner, delivery),
        ingest=_ingest(settings, backends, services, namespaces, collections),
        upkeep=Upkeep(namespaces, collections, store, records, buckets),
        ingest_queues=ingest_queues(settings),
        jobs=jobs,
        scans=Scans(services, Scanner(services, planner, retrievers), scan_store, delivery),
        _close_jobs=close_jobs,
        _services=services,
    )


def _collection_store(settings: Settings, backends: Backends) -> CollectionStore:
    cache = SegmentCache(_cache_bytes(settings))
    return CollectionStore(
        backends.records, backends.index, cache, indexes=vector_indexes(settings)
    )


def _services(
    settings: Settings,
    backends: Backends,
    rules: ExtractorRules,
    store: CollectionStore,
    collections: CollectionCatalog,
    *,
    meter: MediaMeter,
) -> Services:
    fetch = FetchRules(
        max_bytes=_largest_file(settings),
        max_seconds=settings.fetch_timeout_s,
        allowed_networks=settings.allowed_networks,
    )
    pool = ThreadPoolExecutor(_POOL_THREADS, thread_name_prefix="trawl")
    vectors = EmbeddedVectors(settings.threads)
    return Services(
        store=store,
        collections=collections,
        vectors=vectors,
        extractor=media_extractor(settings, backends.results, rules, fetch, meter),
        fetcher=ContentFetcher(fetch),
        read_object=partial(read_object, backends.buckets, backends.assets_bucket),
        pool=pool,
        media_pool=ThreadPoolExecutor(_MEDIA_THREADS, thread_name_prefix="trawl-media"),
        searches=merged_searches(vectors, pool),
        texts=TextIndexes(TantivyText(), _cache_bytes(settings) // _TEXT_SHARE),
    )


def _for_jobs(services: Services) -> Services:
    """Return services for jobs: those may run on another event loop than the calls of a server,
    and searches of two loops cannot be merged."""
    return replace(services, searches=merged_searches(services.vectors, services.pool))


def _delivery(settings: Settings, backends: Backends) -> Delivery:
    return Delivery(
        backends.buckets,
        backends.assets_bucket,
        backends.results,
        settings.presign_s,
        settings.spill_bytes,
    )


def _documents(services: Services, collections: CollectionCatalog) -> DocumentCatalog:
    indexer = MediaIndexer(services.fetcher, services.extractor, services.read_object)
    return DocumentCatalog(services.store, collections, indexer)


def _ingest(
    settings: Settings,
    backends: Backends,
    services: Services,
    namespaces: NamespaceCatalog,
    collections: CollectionCatalog,
) -> Ingest:
    return Ingest(
        namespaces,
        collections,
        services.store,
        assets=backends.assets,
        fetcher=services.fetcher,
        extractor=services.extractor,
        max_bytes=_largest_file(settings),
    )


def _job_catalog(
    settings: Settings, backends: Backends, work: JobWork
) -> tuple[JobCatalog, Callable[[], None]]:
    """Return the catalog of jobs, and what ends the ones that run in this process."""
    runner, close = job_runner(settings, work, backends.buckets)
    catalog = JobCatalog(
        work.store,
        backends.buckets,
        backends.assets_bucket,
        work.retrievers,
        runner,
        work,
        settings.presign_s,
    )
    return catalog, close


def _cache_bytes(settings: Settings) -> int:
    return settings.cache_mb * 1024 * 1024


def _largest_file(settings: Settings) -> int:
    return settings.fetch_max_mb * 1_000_000


def _memory_mb() -> int:
    return int(os.environ.get(_MEMORY_VARIABLE, "0"))


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


def build_previewer() -> Previewer:
    """Build what shows files to people, in a child process of its own; `close` it."""
    from core.adapters.media_process import ProcessLimits, ProcessMediaExtractor

    return ProcessMediaExtractor(workers=1, limits=ProcessLimits(wall_seconds=12, cpu_seconds=10))
