"""Collections on the server's table and buckets, through the adapters that are deployed."""

from typing import Any

from core.adapters.aws_clients import make_client
from core.adapters.blobs_s3 import S3Blobs
from core.adapters.records_dynamodb import DynamoRecords
from core.storage.collections import CollectionStore
from core.storage.segment_cache import SegmentCache
from tests.aws_server import BUCKETS, TABLE
from tests.core.storage.doubles import doc

# Small, so that an image of a test has several.
RANGE_BYTES = 1_000
INDEX = BUCKETS[1]


def open_store(client: Any = None, range_bytes: int = RANGE_BYTES) -> CollectionStore:
    """Return a store with nothing cached, as a fresh process has; `client` is S3's."""
    return CollectionStore(DynamoRecords(TABLE), open_blobs(client, range_bytes), SegmentCache())


def open_blobs(client: Any = None, range_bytes: int = RANGE_BYTES) -> S3Blobs:
    """Return the index bucket, read in small ranges."""
    client = client or make_client("s3")
    return S3Blobs(INDEX, lambda: client, range_bytes=range_bytes)


def filled_store() -> CollectionStore:
    """Make a collection whose image takes several ranges; return a store of it."""
    store = open_store()
    store.create("ns", "col", None)
    store.upsert("ns", "col", [doc(f"d{i:03}", [i, 1.0], n=i) for i in range(200)])
    return store


WHOLE = {f"d{i:03}": {"n": i} for i in range(200)}
