"""Collections: what is written to them and read from them, one whole version after another.

A write puts one segment into `blobs` and then swaps the manifest in `records`, conditionally: a
reader sees a whole version or the one before, and a crash in between leaves an orphan object.
"""

import logging
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from core.errors import (
    BlobNotFoundError,
    ConflictError,
    NotFoundError,
    TrawlError,
    UnavailableError,
)
from core.ports.blobs import Blobs
from core.ports.records import Records
from core.ports.vector_indexes import VectorIndexes
from core.storage.document_checks import check_documents
from core.storage.engines import Engines, clean_up
from core.storage.manifest import EMBEDDED, Manifest, SegmentEntry
from core.storage.manifest_store import ATTEMPTS, ManifestStore, too_busy
from core.storage.merging import MergePolicy
from core.storage.remote_vectors import Share
from core.storage.segment_cache import CacheCounts, SegmentCache
from core.storage.segment_files import WRITE_WINDOW_S, SegmentFiles, segments_folder
from core.storage.segments import StoredDocument, encode_segment
from core.storage.snapshot import Snapshot, build_snapshot
from core.storage.upkeep import SWEEP_AGE_S, Upkeep
from core.storage.vector_keys import age_s, new_write_id
from core.storage.vector_values import check_specs, specs_by_name
from core.types import VectorSpec

_log = logging.getLogger(__name__)

DEFAULT_MERGE_POLICY: Final = MergePolicy()

Edit = Callable[[Snapshot], tuple[Sequence[StoredDocument], Sequence[str]]]


class CollectionStore:
    """All collections of one deployment. Safe for several threads and several processes.

    `merge_policy` None means that only `merge` merges. `clock` gives Unix seconds, `sleep` pauses
    after a lost race. `indexes` are the engines beside the embedded one, by name.
    """

    def __init__(
        self,
        records: Records,
        blobs: Blobs,
        cache: SegmentCache,
        *,
        merge_policy: MergePolicy | None = DEFAULT_MERGE_POLICY,
        indexes: Mapping[str, VectorIndexes] | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._blobs = blobs
        self._cache = cache
        self._policy = merge_policy
        self._engines = Engines(indexes or {})
        self._clock = clock
        self._manifests = ManifestStore(records, sleep)
        self._files = SegmentFiles(blobs, cache, clock)
        self._upkeep = Upkeep(self._manifests, self._files)
        # Weak: a snapshot that nobody holds must not keep its segments past the cache's bound.
        self._snapshots: weakref.WeakValueDictionary[tuple[str, str, str, int], Snapshot] = (
            weakref.WeakValueDictionary()
        )

    @property
    def cache_counts(self) -> CacheCounts:
        """How often this process held a segment that was wanted, and how often it loaded one."""
        return self._cache.counts

    def create(
        self,
        namespace_id: str,
        collection_id: str,
        specs: Sequence[VectorSpec] | None,
        *,
        engine: str = EMBEDDED,
        filterable: Sequence[str] = (),
    ) -> Manifest:
        """Make an empty collection. With `specs` None the first vector of a name declares it.

        `engine` keeps its vectors, and may filter by the fields `filterable`. Raises
        `AlreadyExistsError`, `InvalidRequestError`, and what the engine's service raises.
        """
        check_specs(specs or ())
        self._engines.check(engine, specs, filterable)
        manifest = self._manifests.create(
            namespace_id,
            collection_id,
            specs_by_name(specs or ()),
            declared=specs is not None,
            engine=engine,
            filterable=filterable,
        )
        remote = self._engines.remote(manifest)
        if remote is not None:
            try:
                remote.create()
            except TrawlError:
                self._manifests.drop(namespace_id, collection_id)
                with suppress(TrawlError):  # the first error is the one to tell
                    remote.drop()
                raise
        return manifest

    def describe(self, namespace_id: str, collection_id: str) -> Manifest:
        """Return the manifest: version, specs, sizes. It reads one record and no segment."""
        return self._manifests.read(namespace_id, collection_id)

    def drop(self, namespace_id: str, collection_id: str) -> None:
        """Remove the collection and everything in it; `NotFoundError` if there is none."""
        remote = self._engines.remote(self._manifests.read(namespace_id, collection_id))
        if remote is not None:
            remote.drop()  # first: once the manifest is gone, nothing names what is left there
        manifest = self._manifests.drop(namespace_id, collection_id)
        folder = segments_folder(namespace_id, collection_id, manifest.incarnation)
        for info in list(self._blobs.list(folder)):
            self._blobs.delete(info.key)

    def snapshot(self, namespace_id: str, collection_id: str) -> Snapshot:
        """Return the present version, every write acknowledged before the call included.

        Raises `NotFoundError`, `CorruptBlobError`, `UnavailableError`.
        """
        missed = None
        while True:
            manifest = self._manifests.read(namespace_id, collection_id)
            try:
                return self._open(namespace_id, collection_id, manifest)
            except BlobNotFoundError:
                # Merged away between the two reads: the next manifest names what replaced it.
                if manifest == missed:
                    raise
                missed = manifest

    def _open(self, namespace_id: str, collection_id: str, manifest: Manifest) -> Snapshot:
        key = (namespace_id, collection_id, manifest.incarnation, manifest.version)
        snapshot = self._snapshots.get(key)
        if snapshot is None:
            segments = [self._files.load(entry) for entry in manifest.segments]
            remote = self._engines.remote(manifest)
            snapshot = build_snapshot(
                namespace_id, collection_id, manifest, segments, self._cache, remote=remote
            )
            self._snapshots[key] = snapshot
        return snapshot

    def upsert(
        self, namespace_id: str, collection_id: str, documents: Sequence[StoredDocument]
    ) -> int:
        """Store the documents, each replacing the one of its id; return the new version.

        Raises `InvalidRequestError` with every fault, `NotFoundError`, `ConflictError`,
        `UnavailableError` (then it is unknown whether the write took place, whole or not at all).
        """
        start = self._manifests.read(namespace_id, collection_id)
        if not documents:
            return start.version
        checked, specs = check_documents(documents, start.specs, declared=start.declared)
        entry = self._put_segment(namespace_id, collection_id, start, checked, specs=specs)

        def add(present: Manifest) -> Manifest | None:
            if entry.segment_id in present.recent:
                return None
            self._files.check_window(entry)
            if present.specs == start.specs:
                return present.add(entry, specs)
            # Another writer declared names meanwhile, perhaps these and otherwise.
            _, now = check_documents(checked, present.specs, declared=present.declared)
            return present.add(entry, now)

        stored = self._manifests.swap(namespace_id, collection_id, start, add)
        ids = [document.document_id for document in checked]
        self._forget_replaced(namespace_id, collection_id, stored, ids)
        self._merge_if_due(namespace_id, collection_id, stored)
        return stored.version

    def delete(self, namespace_id: str, collection_id: str, document_ids: Iterable[str]) -> int:
        """Delete the documents of these ids; return how many there were."""
        wanted = dict.fromkeys(document_ids)
        found: list[str] = []

        def edit(snapshot: Snapshot) -> tuple[list[StoredDocument], list[str]]:
            found[:] = [one for one in wanted if snapshot.find(one) is not None]
            return [], found

        self.update(namespace_id, collection_id, edit)
        return len(found)

    def update(self, namespace_id: str, collection_id: str, edit: Edit) -> int:
        """Read, edit and write as one step; return the version that holds the result.

        `edit(snapshot)` gives documents to store and ids to delete. It is called again on the new
        snapshot whenever another write came between, so none is lost; it must have no effects
        beside its answer. Errors as for `upsert`.
        """
        for attempt in range(ATTEMPTS):
            snapshot = self.snapshot(namespace_id, collection_id)
            documents, deletes = edit(snapshot)
            if not documents and not deletes:
                return snapshot.version
            stored = self._try_write(snapshot, documents, deletes)
            if stored is not None:
                ids = [*(document.document_id for document in documents), *deletes]
                self._forget_replaced(namespace_id, collection_id, stored, ids)
                self._merge_if_due(namespace_id, collection_id, stored)
                return stored.version
            self._manifests.pause(attempt)
        raise too_busy(collection_id)

    def _try_write(
        self, snapshot: Snapshot, documents: Sequence[StoredDocument], deletes: Sequence[str]
    ) -> Manifest | None:
        """Write on top of `snapshot`, or return None if another version came between."""
        namespace_id, collection_id = snapshot.namespace_id, snapshot.collection_id
        start = snapshot.manifest
        checked, specs = check_documents(documents, start.specs, declared=start.declared)
        entry = self._put_segment(
            namespace_id, collection_id, start, checked, specs=specs, deletes=deletes
        )
        self._files.check_window(entry)
        try:
            return self._manifests.put(namespace_id, collection_id, start.add(entry, specs))
        except ConflictError:
            present = self._manifests.read(namespace_id, collection_id)
            if entry.segment_id in present.recent:
                # The store had let the write through and refused a repetition of its request.
                return present
            remote = self._engines.remote(start)
            if remote is not None:
                clean_up(entry.segment_id, lambda: remote.discard(self._files.load(entry)))
            self._files.delete(entry.key)
            return None

    def _put_segment(
        self,
        namespace_id: str,
        collection_id: str,
        manifest: Manifest,
        documents: Sequence[StoredDocument],
        *,
        specs: Mapping[str, VectorSpec],
        deletes: Sequence[str] = (),
    ) -> SegmentEntry:
        folder = segments_folder(namespace_id, collection_id, manifest.incarnation)
        remote = self._engines.remote(manifest)
        if remote is not None:
            # The vectors first: what the manifest will name is there by then.
            write_id = new_write_id(self._clock)
            documents, specs = remote.put(documents, write_id)
            if age_s(write_id, self._clock()) > WRITE_WINDOW_S:
                raise UnavailableError("storing vectors took too long; the write was not made")
        encoded = encode_segment(documents, specs, deletes)
        return self._files.put(folder, encoded, count=len(documents), deletes=len(set(deletes)))

    def merge(self, namespace_id: str, collection_id: str) -> bool:
        """Merge everything into one image now; False if there was nothing to do or none could."""
        return self._upkeep.merge(namespace_id, collection_id, None)

    def erase(self, namespace_id: str, collection_id: str) -> bool:
        """Merge everything into one image, so that what was deleted is in no file it is made of;
        False if there was nothing to do. Raises `ConflictError` if others kept it from being done.
        """
        return self._upkeep.erase(namespace_id, collection_id)

    def merge_due(self, namespace_id: str, collection_id: str) -> bool:
        """Merge what the policy chooses, as every write does; False if there was nothing to do.

        Unlike after a write, what goes wrong is raised.
        """
        if self._policy is None:
            return False
        merged = False
        # What one merge makes may be due itself, together with what is older.
        while self._upkeep.merge(namespace_id, collection_id, self._policy):
            merged = True
        return merged

    def places(self) -> set[tuple[str, str]]:
        """Return (namespace id, collection id) of everything that segments are stored of, also of
        collections that are gone: `sweep` removes what those left."""
        return set(self._files.places())

    def sweep(
        self,
        namespace_id: str,
        collection_id: str,
        *,
        older_than_s: float = SWEEP_AGE_S,
        share: Share = (0, 1),
        stop: Callable[[], bool] = lambda: False,
    ) -> int:
        """Remove what crashed writers and dropped collections of this id left behind.

        Of vectors that lie outside, whose list may be long, only one share is looked through, and
        no more of it once `stop` is true.
        """
        removed = self._upkeep.sweep(namespace_id, collection_id, older_than_s)
        try:
            remote = self._engines.remote(self._manifests.read(namespace_id, collection_id))
        except NotFoundError:
            return removed
        if remote is None:
            return removed
        # A write has the window for its vectors, and again until its manifest stands.
        before = self._clock() - older_than_s - WRITE_WINDOW_S
        return removed + remote.sweep(
            lambda: self.snapshot(namespace_id, collection_id), before, share, stop
        )

    def _forget_replaced(
        self, namespace_id: str, collection_id: str, stored: Manifest, document_ids: Iterable[str]
    ) -> None:
        """Remove the vectors that a write replaced where they lie outside."""
        if stored.engine == EMBEDDED:
            return

        def forget() -> None:
            snapshot = self._open(namespace_id, collection_id, stored)
            if snapshot.remote is not None:
                snapshot.remote.forget(snapshot, list(document_ids))

        clean_up(f"{namespace_id}/{collection_id}", forget)

    def _merge_if_due(self, namespace_id: str, collection_id: str, stored: Manifest) -> None:
        if self._policy is None or not self._policy.choose(stored.segments):
            return
        try:
            self._upkeep.merge(namespace_id, collection_id, self._policy)
        except TrawlError as error:
            # The write itself is stored: it must not be answered with an error. The next write
            # tries again, and a damaged segment is reported to whoever reads it.
            _log.warning("merging %s/%s failed: %s", namespace_id, collection_id, error)
