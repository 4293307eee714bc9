"""Stores whose collections' vectors lie in the fake of S3 Vectors, and searches of them."""

from collections.abc import Sequence

import numpy as np

from core.adapters.vectors_embedded import EmbeddedVectors
from core.adapters.vectors_s3 import S3VectorIndexes
from core.filtering.conditions import parse_filter
from core.hits import SearchAnswer
from core.runtime.searching import PreparedSearch, search_snapshots
from core.storage.collections import CollectionStore
from core.storage.merging import MergePolicy
from core.storage.segment_cache import SegmentCache
from core.types import JsonObject, Metric, VectorSpec
from tests.core.storage.doubles import World
from tests.s3vectors_fake import BUCKET, FakeS3Vectors

PLACE = ("ns", "col")
ENGINE = EmbeddedVectors(1)


class RemoteWorld(World):
    """A world with one collection of vectors `v` of three numbers on the fake."""

    def __init__(self, policy: MergePolicy | None = None, metric: Metric = "cosine") -> None:
        self.fake = FakeS3Vectors()
        super().__init__(policy)
        specs = [VectorSpec("v", 3, metric)]
        self.store.create(*PLACE, specs, engine="s3vectors", filterable=["brand", "price"])

    def reopen(self) -> CollectionStore:
        """Return a store with nothing cached."""
        indexes = S3VectorIndexes(BUCKET, lambda: self.fake.client, sleep=lambda _: None)
        return CollectionStore(
            self.records,
            self.blobs,
            SegmentCache(),
            merge_policy=self.policy,
            indexes={"s3vectors": indexes},
            clock=lambda: self.now,
            sleep=self.pauses.append,
        )

    def found(self, *vector: float, k: int = 10) -> list[str]:
        """Return the ids nearest to a vector, as another process finds them."""
        return [hit.document_id for hit in search(self.reopen(), vector, k).hits[0]]


def search(
    store: CollectionStore, vector: Sequence[float], k: int = 10, filters: JsonObject | None = None
) -> SearchAnswer:
    """Search the collection's present version."""
    tree = parse_filter(filters, templates=False) if filters else None
    prepared = PreparedSearch((store.snapshot(*PLACE),), "v", tree)
    query = np.array([vector], np.float32)
    return search_snapshots(ENGINE, prepared, query, k, lambda: False)[0]
