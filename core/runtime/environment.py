"""What all queries of one call share: pinned snapshots, and the services that stages reach."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

from core.arrays import Float32, Mask, UInt8
from core.errors import InvalidRequestError, NotFoundError, Problem
from core.hits import SearchAnswer, UnsearchableFile
from core.media.extractor_info import ExtractorInfo
from core.media.extractors import find_extractor
from core.models.collections import FeatureExtractor
from core.models.namespaces import Namespace
from core.plan.compile import CompiledPlan
from core.ports.media import MediaExtractor, MediaFetcher, ReadObject
from core.ports.vectors import VectorSearch
from core.runtime.coalescer import Coalescer
from core.runtime.features import FeatureFacts, read_feature
from core.runtime.media import CallMedia
from core.runtime.searching import PreparedSearch, search_snapshots, vectorless_rows
from core.runtime.texts import TextIndexes
from core.storage.collections import CollectionStore
from core.storage.snapshot import Part, Snapshot
from core.types import JsonObject


class PinnableCollection(Protocol):
    """The part of a collection that executions look at."""

    @property
    def collection_id(self) -> str:
        """Its id."""
        ...

    @property
    def collection_name(self) -> str:
        """Its name, unique in the namespace."""
        ...

    @property
    def feature_extractor(self) -> FeatureExtractor | None:
        """What turns its documents' media into vectors."""
        ...


class CollectionFinder(Protocol):
    """Finds a namespace's collections, by id or name."""

    def find(self, namespace_id: str, reference: str) -> PinnableCollection:
        """Return the collection; `NotFoundError` if the namespace has none of that id or name."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """What one process has for executions; made once, by the composition root.

    `pool` runs what blocks: plans, reads, searches; `media_pool` fetches and extracts, apart, so
    that slow hosts never hold up a batch that has no media. Everything that runs in either
    keeps its own deadline.
    """

    store: CollectionStore
    collections: CollectionFinder
    vectors: VectorSearch
    extractor: MediaExtractor
    fetcher: MediaFetcher
    read_object: Callable[[Namespace], ReadObject]  # what a namespace's queries may read
    pool: Executor
    media_pool: Executor
    searches: Coalescer[PreparedSearch, SearchAnswer]
    texts: TextIndexes


def merged_searches(
    vectors: VectorSearch, pool: Executor
) -> Coalescer[PreparedSearch, SearchAnswer]:
    """Return the process's coalescer over an engine."""

    def search(
        prepared: PreparedSearch, queries: Float32 | UInt8, k: int, stop: Callable[[], bool]
    ) -> list[SearchAnswer]:
        return search_snapshots(vectors, prepared, queries, k, stop)

    return Coalescer(search, pool)


# Loads the plan of a retriever of the namespace (by id or name), or compiles an inline one.
LoadPlan = Callable[[str | JsonObject], CompiledPlan]


class Environment:
    """One call's view of a namespace. Each collection is pinned once: every query sees the same
    version, however long the call takes. Thread-safe."""

    def __init__(
        self,
        services: Services,
        namespace: Namespace,
        load_plan: LoadPlan,
        media: CallMedia | None = None,
    ) -> None:
        self.services = services
        self.namespace = namespace
        self.load_plan = load_plan
        self.media = media  # where the call's queries share their files
        self._lock = threading.RLock()
        self._extractors: dict[str, FeatureExtractor] = {}
        self._ids: dict[str, str] = {}  # id or name -> id
        self._snapshots: dict[str, Snapshot] = {}
        self._vectorless: dict[str, Sequence[tuple[Part, Mask]]] = {}
        # Documents that nothing can find, as far as an answer has named them: by collection and id.
        self.unsearchable: dict[tuple[str, str], UnsearchableFile] = {}
        # What all queries of a call ask alike is looked up for the first of them only.
        self._features: dict[tuple[tuple[str, ...], str], FeatureFacts] = {}
        self._extractors_of: dict[str, ExtractorInfo | None] = {}

    def pin(self, references: Sequence[str]) -> tuple[Snapshot, ...]:
        """Return the pinned snapshots of collections, by id or name; blocks at first use.

        Raises `NotFoundError` for a collection that the namespace does not have.
        """
        return tuple(self._pin(reference) for reference in references)

    def pinned(self, collection_id: str) -> Snapshot:
        """Return the snapshot of a collection that is pinned already."""
        return self._snapshots[collection_id]

    def pinned_id(self, reference: str) -> str | None:
        """Return the id of an already pinned collection, by id or name."""
        return self._ids.get(reference)

    def vectorless(
        self, collection_ids: Sequence[str]
    ) -> list[tuple[Snapshot, Sequence[tuple[Part, Mask]]]]:
        """Return where pinned collections hold documents that have no vector, mostly nowhere."""
        places = []
        for snapshot in self.pin(collection_ids):
            known = self._vectorless.get(snapshot.collection_id)
            if known is None:
                known = self._vectorless[snapshot.collection_id] = vectorless_rows(snapshot)
            if known:
                places.append((snapshot, known))
        return places

    @property
    def versions(self) -> dict[str, int]:
        """The version of every collection that was pinned so far."""
        return {name: s.version for name, s in sorted(self._snapshots.items())}

    def feature(self, collection_ids: Sequence[str], feature_uri: str) -> FeatureFacts:
        """Return what pinned collections hold of a feature."""
        key = (tuple(collection_ids), feature_uri)
        known = self._features.get(key)
        if known is None:
            known = self._features[key] = read_feature(self.pin(collection_ids), feature_uri)
        return known

    def extractor_of(self, feature_uri: str) -> ExtractorInfo | None:
        """Return the extractor of a feature, None for vectors that documents bring."""
        if feature_uri not in self._extractors_of:
            try:
                self._extractors_of[feature_uri] = find_extractor(feature_uri)
            except InvalidRequestError:
                self._extractors_of[feature_uri] = None
        return self._extractors_of[feature_uri]

    def extractor_parameters(
        self, collection_ids: Sequence[str], info: ExtractorInfo
    ) -> JsonObject:
        """Return what pinned collections say of an extractor that all of them use.

        Raises `InvalidRequestError` if they say different things: their vectors are of different
        models, and a query can be embedded by one only.
        """
        said = [
            self._extractors[collection_id].parameters
            for collection_id in collection_ids
            if collection_id in self._extractors
            and self._extractors[collection_id].name == info.name
        ]
        common = info.common_parameters(said)
        if common is None:
            message = (
                f"these collections use {info.name} with different parameters: search them one by "
                "one, with collection_identifiers"
            )
            raise InvalidRequestError(message, [Problem("feature_uri", message, "not_comparable")])
        return common

    def _pin(self, reference: str) -> Snapshot:
        # What is pinned is found without the lock: a thread may hold it for as long as storage
        # takes to answer, and the loop must not wait for that.
        known = self._ids.get(reference)
        if known is not None:
            return self._snapshots[known]
        with self._lock:
            if reference not in self._ids:
                found = self.services.collections.find(self.namespace.namespace_id, reference)
                identifier = found.collection_id
                if found.feature_extractor is not None:
                    self._extractors[identifier] = found.feature_extractor
                if identifier not in self._snapshots:
                    snapshot = self.services.store.snapshot(self.namespace.namespace_id, identifier)
                    self._snapshots[identifier] = snapshot
                self._ids |= dict.fromkeys((reference, identifier), identifier)
                self._ids.setdefault(found.collection_name, identifier)
            return self._snapshots[self._ids[reference]]


def require_pinned(environment: Environment, references: Sequence[str]) -> tuple[str, ...]:
    """Return the ids of collections that are pinned already; `NotFoundError` for another."""
    found = []
    for reference in references:
        collection_id = environment.pinned_id(reference)
        if collection_id is None:
            raise NotFoundError("collection of this retriever", reference)
        found.append(collection_id)
    return tuple(found)
