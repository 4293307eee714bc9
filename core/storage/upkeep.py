"""Upkeep of collections: merging segments into larger ones, and removing what nothing names."""

import threading
from collections.abc import Sequence
from typing import Final

from core.errors import BlobNotFoundError, NotFoundError
from core.storage.manifest import Manifest, SegmentEntry
from core.storage.manifest_store import ManifestStore, too_busy
from core.storage.merging import MergePolicy, merge_segments
from core.storage.segment_files import (
    WRITE_WINDOW_S,
    SegmentFiles,
    collection_folder,
    segments_folder,
)
from core.storage.segments import encode_contents

SWEEP_AGE_S: Final = 2 * WRITE_WINDOW_S
_ERASE_ATTEMPTS: Final = 16  # some seconds


class Upkeep:
    """Merges and sweeps. Nothing it does changes what a collection contains."""

    def __init__(self, manifests: ManifestStore, files: SegmentFiles) -> None:
        self._manifests = manifests
        self._files = files
        self._merging: set[str] = set()
        self._lock = threading.Lock()

    def merge(self, namespace_id: str, collection_id: str, policy: MergePolicy | None) -> bool:
        """Merge what `policy` chooses, everything into one image without; say if it was done.

        It gives way: to a merge of the same collection that runs already, and to one elsewhere
        that was faster.
        """
        folder = collection_folder(namespace_id, collection_id)
        with self._lock:
            if folder in self._merging:
                return False
            self._merging.add(folder)
        try:
            return self._merge(namespace_id, collection_id, policy)
        finally:
            with self._lock:
                self._merging.discard(folder)

    def erase(self, namespace_id: str, collection_id: str) -> bool:
        """Merge everything into one image, whoever else merges; False if there was nothing to do.

        Raises `ConflictError` where others kept it from being done: what was deleted is still in
        files then.
        """
        for attempt in range(_ERASE_ATTEMPTS):
            if self.merge(namespace_id, collection_id, None):
                return True
            if not _all_unless_merged(self._manifests.read(namespace_id, collection_id)):
                return False
            self._manifests.pause(attempt)
        raise too_busy(collection_id)

    def _merge(self, namespace_id: str, collection_id: str, policy: MergePolicy | None) -> bool:
        manifest = self._manifests.read(namespace_id, collection_id)
        run = _all_unless_merged(manifest) if policy is None else policy.choose(manifest.segments)
        if not run:
            return False
        keep_deletes = run[0] is not manifest.segments[0]
        folder = segments_folder(namespace_id, collection_id, manifest.incarnation)
        try:
            result = self._write_merged(folder, run, keep_deletes=keep_deletes)
        except BlobNotFoundError:
            if self._manifests.read(namespace_id, collection_id).version == manifest.version:
                raise
            return False
        return self._swap(namespace_id, collection_id, manifest, run, result)

    def _write_merged(
        self, folder: str, run: Sequence[SegmentEntry], *, keep_deletes: bool
    ) -> SegmentEntry | None:
        segments = [self._files.load(entry) for entry in run]
        contents = merge_segments(segments, self._files.cache, keep_deletes=keep_deletes)
        if not contents.ids and not contents.deletes:
            return None
        return self._files.put(
            folder,
            encode_contents(contents),
            count=len(contents.ids),
            deletes=len(contents.deletes),
        )

    def _swap(
        self,
        namespace_id: str,
        collection_id: str,
        start: Manifest,
        run: Sequence[SegmentEntry],
        result: SegmentEntry | None,
    ) -> bool:
        def replace(present: Manifest) -> Manifest | None:
            if result is not None:
                self._files.check_window(result)
            return present.swap(run, result)

        stored = self._manifests.swap(namespace_id, collection_id, start, replace)
        named = {entry.segment_id for entry in stored.segments}
        if result is not None and result.segment_id not in named:
            self._files.delete(result.key)
            return False
        # Readers of the version before that have not opened these yet will take the new one.
        for entry in run:
            if entry.segment_id not in named:
                self._files.delete(entry.key)
        return True

    def sweep(self, namespace_id: str, collection_id: str, older_than_s: float) -> int:
        """Remove segments that no manifest names and that are old; return how many.

        They are what crashed writers and dropped collections left. An age within the time that a
        write may take is refused with `ValueError`.
        """
        if older_than_s < SWEEP_AGE_S:
            raise ValueError(f"segments younger than {SWEEP_AGE_S} s may be of writes under way")
        prefix = collection_folder(namespace_id, collection_id)
        # Listed before the manifest is read: what is named by then is kept.
        old = list(self._files.list_older(prefix, older_than_s))
        try:
            entries = self._manifests.read(namespace_id, collection_id).segments
        except NotFoundError:
            entries = ()
        orphans = set(old) - {entry.key for entry in entries}
        for key in orphans:
            self._files.delete(key)
        return len(orphans)


def _all_unless_merged(manifest: Manifest) -> tuple[SegmentEntry, ...]:
    segments = manifest.segments
    if len(segments) == 1 and segments[0].segment_id == manifest.image:
        return ()
    return segments
