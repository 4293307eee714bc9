"""Stores in memory for tests of what lies above the ports, and ways to make them fail."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson

from core.errors import BlobNotFoundError, ConflictError
from core.ports.blobs import BlobInfo, Presigned
from core.ports.records import Delete, Put, Record, RecordPage
from core.storage.collections import CollectionStore
from core.storage.merging import MergePolicy
from core.storage.segment_cache import SegmentCache
from core.storage.segments import StoredDocument

# So eager that a few small writes go through every path.
EAGER = MergePolicy(max_segments=3, delta_fraction=0.5, min_delta_bytes=0, min_delta_rows=4)


class MemoryRecords:
    """`Records` for one process. `before` and `after` are called around each put."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str], tuple[bytes, int]] = {}
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None

    def get(self, partition: str, key: str) -> Record | None:
        found = self.stored.get((partition, key))
        return found and Record(partition, key, orjson.loads(found[0]), found[1])

    def put(self, put: Put) -> Record:
        self.before()
        version = self.stored.get((put.partition, put.key), (b"", 0))[1]
        if put.expected not in (None, version):
            raise ConflictError("lost")
        self.stored[put.partition, put.key] = (orjson.dumps(put.value), version + 1)
        self.after()
        return Record(put.partition, put.key, put.value, version + 1)

    def delete(self, delete: Delete) -> None:
        raise NotImplementedError

    def transact(self, writes: Sequence[Put | Delete]) -> None:
        raise NotImplementedError

    def list(
        self, partition: str, *, prefix: str = "", limit: int = 100, after: str | None = None
    ) -> RecordPage:
        raise NotImplementedError

    def purge(self) -> int:
        raise NotImplementedError


class MemoryBlobs:
    """`Blobs` for one process. `before` is called with the operation's name and the key."""

    bucket = "memory"

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}
        self.before: Callable[[str, str], None] = lambda operation, key: None

    def put(self, key: str, data: bytes | memoryview, **_: Any) -> None:
        self.before("put", key)
        self.stored[key] = bytes(data)

    def get(
        self, key: str, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> bytes:
        end = None if length is None else start + length
        return self._find(key)[start:end]

    def load(self, key: str, **_: Any) -> memoryview:
        self.before("load", key)
        return memoryview(self._find(key))

    def head(self, key: str) -> BlobInfo:
        return BlobInfo(key, len(self._find(key)))

    def delete(self, key: str) -> None:
        self.before("delete", key)
        self.stored.pop(key, None)

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        for key in sorted(self.stored):
            if key.startswith(prefix):
                yield BlobInfo(key, len(self.stored[key]))

    def presign(self, key: str, *, expires_s: int) -> Presigned:
        raise NotImplementedError

    def _find(self, key: str) -> bytes:
        if key not in self.stored:
            raise BlobNotFoundError(key)
        return self.stored[key]


class World:
    """A store over memory, its parts at hand. `reopen` is what another process would see."""

    def __init__(self, policy: MergePolicy | None = None) -> None:
        self.records = MemoryRecords()
        self.blobs = MemoryBlobs()
        self.now = 1_700_000_000.0
        self.pauses: list[float] = []
        self.policy = policy
        self.store = self.reopen()

    def reopen(self) -> CollectionStore:
        """Return a store with nothing cached."""
        return CollectionStore(
            self.records,
            self.blobs,
            SegmentCache(),
            merge_policy=self.policy,
            clock=lambda: self.now,
            sleep=self.pauses.append,
        )


def doc(document_id: str, vector: Sequence[float] | None = None, **fields: Any) -> StoredDocument:
    """Return a document; `vector` goes under the name `v`."""
    vectors: dict[str, Any] = {} if vector is None else {"v": list(vector)}
    return StoredDocument(document_id, fields, vectors)


def read_all(store: CollectionStore, namespace_id: str = "ns", collection_id: str = "col") -> Any:
    """Return every document's fields by id, as a listing gives them."""
    snapshot = store.snapshot(namespace_id, collection_id)
    listed = {one: snapshot.payload(ref) for one, ref in snapshot.refs()}
    assert len(listed) == snapshot.count
    return listed
