"""Decoded segments of this process: bounded by bytes, least recently used out first."""

import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.arrays import Int32
from core.ports.blobs import Blobs
from core.storage.container import ContainerReader
from core.storage.manifest import SegmentEntry
from core.storage.segments import Segment, decode_segment


@dataclass(frozen=True, slots=True)
class CacheCounts:
    """How often a segment was wanted since the process began: held already, or loaded for it."""

    hits: int = 0
    loads: int = 0

    def since(self, before: "CacheCounts") -> "CacheCounts":
        """Return what came after `before`."""
        return CacheCounts(self.hits - before.hits, self.loads - before.loads)


DEFAULT_CACHE_BYTES: Final = 1 << 30
# Row numbers remembered in all: one overlap of two images is as long as they are.
_MAX_OVERLAP_BYTES: Final = 32 << 20
_OVERLAP_OVERHEAD: Final = 400  # of the key and the array, beside its rows


class SegmentCache:
    """Loads segments through a blob store, each once however many threads ask for it.

    A snapshot keeps its own segments alive: one dropped here is freed with its last reader.
    """

    def __init__(self, max_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._segments: OrderedDict[str, Segment] = OrderedDict()
        self._bytes = 0
        self._loading: dict[str, Future[Segment]] = {}
        self._overlaps: OrderedDict[tuple[str, str], Int32] = OrderedDict()
        self._overlap_bytes = 0
        self._hits = self._loads = 0
        self._lock = threading.Lock()

    @property
    def counts(self) -> CacheCounts:
        """What `get` has found so far; a load that another thread had begun counts as held."""
        with self._lock:
            return CacheCounts(self._hits, self._loads)

    @property
    def held_bytes(self) -> int:
        """How many bytes of segments are held now."""
        return self._bytes

    def get(self, blobs: Blobs, entry: SegmentEntry) -> Segment:
        """Return the segment, loaded and checked unless it is held.

        Raises `CorruptBlobError`, `BlobNotFoundError`, `UnavailableError`, to all who wait for
        the same load; a failure is not kept.
        """
        # A digest says what the bytes are; the key says whose, and one never answers for another.
        key = f"{entry.key}#{entry.digest}"
        with self._lock:
            segment = self._segments.get(key)
            if segment is not None:
                self._segments.move_to_end(key)
                self._hits += 1
                return segment
            loading = self._loading.get(key)
            mine = loading is None
            self._loads += mine
            self._hits += not mine
            if loading is None:
                loading = self._loading[key] = Future()
        if mine:
            self._load(blobs, entry, key, loading)
        return loading.result()

    def _load(self, blobs: Blobs, entry: SegmentEntry, key: str, loading: Future[Segment]) -> None:
        try:
            # Checked while it arrives: a large image would have to be read again otherwise.
            reader = ContainerReader(entry.digest)
            data = blobs.load(entry.key, follow=reader.follow)
            segment = decode_segment(data, entry.digest, reader)
        except BaseException as error:
            with self._lock:
                del self._loading[key]
            loading.set_exception(error)
            return
        with self._lock:
            del self._loading[key]
            self._keep(key, segment)
        loading.set_result(segment)

    def _keep(self, key: str, segment: Segment) -> None:
        self._segments[key] = segment
        self._bytes += segment.size
        # One segment larger than the bound stays until the next comes: it is in use.
        while self._bytes > self._max_bytes and len(self._segments) > 1:
            _, dropped = self._segments.popitem(last=False)
            self._bytes -= dropped.size

    def superseded_rows(self, older: Segment, newer: Segment) -> Int32:
        """Return the rows of `older` that `newer` replaces or deletes, in no order."""
        # Equal digests are equal segments, so an answer holds for good.
        key = (older.digest, newer.digest)
        with self._lock:
            rows = self._overlaps.get(key)
            if rows is not None:
                self._overlaps.move_to_end(key)
                return rows
        rows = np.concatenate([older.ids.rows_of(newer.ids), older.ids.rows_of(newer.deletes)])
        with self._lock:
            if key not in self._overlaps:
                self._overlaps[key] = rows
                self._overlap_bytes += rows.nbytes + _OVERLAP_OVERHEAD
            while self._overlap_bytes > _MAX_OVERLAP_BYTES:
                _, dropped = self._overlaps.popitem(last=False)
                self._overlap_bytes -= dropped.nbytes + _OVERLAP_OVERHEAD
        return rows
