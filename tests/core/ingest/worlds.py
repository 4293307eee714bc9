"""A bucket, a collection and an ingest over memory, with ways to make each of them fail."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from core.adapters.fetch_content import ContentFetcher
from core.deadline import NEVER, Deadline
from core.errors import ConflictError, MediaError, NotFoundError
from core.ingest.ingest import Ingest
from core.ingest.outcomes import Outcome
from core.media.extractors import IMAGE_PDQ
from core.models.collections import Collection, FeatureExtractor
from core.models.namespaces import Namespace
from core.ports.blobs import BlobInfo
from core.ports.media import Chunk, Extraction, MediaInfo, MediaWarning
from tests.core.storage.doubles import MemoryBlobs, World

NAMESPACE = Namespace("ns_1", "space", "standalone", "col_d", "t", "t")
LOGOS = Collection(
    "col_1", "ns_1", "logos", "t", "t", FeatureExtractor(IMAGE_PDQ.name, IMAGE_PDQ.version)
)
BARE = Collection("col_2", "ns_1", "bare", "t", "t")
BUCKET = "assets-bucket"
MOST = 1_000


def key_of(path: str, collection: str = "logos") -> str:
    """Return the key under which a file is a reference of the collection."""
    return f"ns_1/ingest/{collection}/{path}"


def document_id_of(key: str) -> str:
    """Return the id that a file's document is promised to have."""
    return f"file_{hashlib.sha256(key.encode()).hexdigest()[:32]}"


class Assets(MemoryBlobs):
    """The assets bucket. As in S3, equal bytes have equal etags: an object may be what it was."""

    bucket = BUCKET

    def put(self, key: str, data: bytes | memoryview, **_: Any) -> None:
        self.stored[key] = bytes(data)

    def remove(self, key: str) -> None:
        """Remove an object as its owner does."""
        self.stored.pop(key, None)

    def head(self, key: str) -> BlobInfo:
        self.before("head", key)
        data = self._find(key)
        return BlobInfo(key, len(data), _etag(data))

    def get(
        self, key: str, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> bytes:
        self.before("get", key)
        data = super().get(key, start=start, length=length)
        if if_match not in (None, _etag(self._find(key))):
            raise ConflictError("changed")
        return data


class Extractor:
    """Makes of `text*3` three chunks. `faults` raises for what a file holds."""

    def __init__(self) -> None:
        self.calls: list[bytes] = []
        self.faults: dict[bytes, Exception] = {}
        self.bits = 256

    def extract(
        self,
        extractor: str,
        data: bytes,
        *,
        deadline: Deadline,
        params: Mapping[str, Any] | None = None,
        max_chunks: int | None = None,
        as_query: bool = False,
        declared_type: str | None = None,
    ) -> Extraction:
        self.calls.append(data)
        deadline.check("reading")
        if data in self.faults:
            raise self.faults[data]
        if data.startswith(b"broken"):
            raise MediaError("it is broken")
        digest = hashlib.sha256(data)
        count = int(data.rpartition(b"*")[2]) if b"*" in data else 1
        size = 16 if data.startswith(b"odd") else 32
        vector = np.frombuffer(digest.digest()[:size], np.uint8)
        warnings = () if count else (MediaWarning("low_quality", "too little detail"),)
        media = MediaInfo("image/png", len(data), digest.hexdigest(), 8, 8)
        return Extraction((Chunk(vector),) * count, media, warnings)

    def close(self) -> None:
        """Nothing runs."""


class _Catalog:
    def __init__(self, find: Callable[..., Any]) -> None:
        self.find = find


class IngestWorld:
    """One namespace with a collection that has an extractor, and one that has none."""

    def __init__(self) -> None:
        self.index = World()
        self.assets = Assets()
        self.extractor = Extractor()
        self.index.store.create("ns_1", "col_1", IMAGE_PDQ.vectors)
        self.index.store.create("ns_1", "col_2", None)
        namespaces: Any = _Catalog(_find_namespace)
        collections: Any = _Catalog(_find_collection)
        self.ingest = Ingest(
            namespaces,
            collections,
            self.index.store,
            assets=self.assets,
            fetcher=ContentFetcher(),
            extractor=self.extractor,
            max_bytes=MOST,
        )

    def run(self, *keys: str, deadline: Deadline = NEVER) -> dict[str, Outcome]:
        """Look at the keys, as messages have it done."""
        return self.ingest.run(keys, deadline=deadline)

    def statuses(self, *keys: str, deadline: Deadline = NEVER) -> list[str]:
        """Look at the keys; return how each ended."""
        outcomes = self.run(*keys, deadline=deadline)
        return [outcomes[key].status for key in keys]

    def documents(self) -> dict[str, dict[str, Any]]:
        """Return the collection's documents, as another process would read them."""
        snapshot = self.index.reopen().snapshot("ns_1", "col_1")
        return {one: snapshot.payload(ref) for one, ref in snapshot.refs()}

    def hashes(self) -> dict[str, str]:
        """Return which content each document stands for, by its key."""
        found: dict[str, str] = {}
        for document in self.documents().values():
            found[document["_internal"]["ingest"]["key"]] = document["sha256"]
        return found


def sha256(data: bytes) -> str:
    """Return the digest that a file's document carries."""
    return hashlib.sha256(data).hexdigest()


def _etag(data: bytes) -> str:
    return f'"{sha256(data)[:32]}"'


def _find_namespace(name: str) -> Namespace:
    if name not in ("ns_1", "space"):
        raise NotFoundError("namespace", name)
    return NAMESPACE


def _find_collection(namespace_id: str, name: str) -> Collection:
    for one in (LOGOS, BARE):
        if namespace_id == "ns_1" and name in (one.collection_id, one.collection_name):
            return one
    raise NotFoundError("collection", name)
