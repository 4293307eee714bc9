"""Where segments lie in `blobs`: their keys, which tell their age, and how they come and go."""

import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Final

from core.errors import UnavailableError
from core.ports.blobs import Blobs
from core.storage.container import Encoded
from core.storage.manifest import SegmentEntry
from core.storage.segment_cache import SegmentCache
from core.storage.segments import Segment

# A writer that slept for longer between storing a segment and naming it in the manifest gives up,
# because by then the segment may have been swept away.
WRITE_WINDOW_S: Final = 900.0
_TIME_DIGITS: Final = 12


class SegmentFiles:
    """The segments of all collections. `clock` gives Unix seconds."""

    def __init__(
        self, blobs: Blobs, cache: SegmentCache, clock: Callable[[], float] = time.time
    ) -> None:
        self._blobs = blobs
        self._clock = clock
        self.cache: Final = cache

    def put(self, folder: str, encoded: Encoded, *, count: int, deletes: int) -> SegmentEntry:
        """Store a segment of so many documents and deletes; nobody sees it yet."""
        made = int(self._clock() * 1000)
        segment_id = f"{made:0{_TIME_DIGITS}x}{secrets.token_hex(8)}"
        key = f"{folder}{segment_id}.seg"
        self._blobs.put(key, encoded.data)
        return SegmentEntry(segment_id, key, encoded.digest, len(encoded.data), count, deletes)

    def load(self, entry: SegmentEntry) -> Segment:
        """Return the segment, checked against its digest."""
        return self.cache.get(self._blobs, entry)

    def delete(self, key: str) -> None:
        """Remove a segment; readers that have it keep it."""
        self._blobs.delete(key)

    def check_window(self, entry: SegmentEntry) -> None:
        """Raise `UnavailableError` if `entry` is too old to be named in a manifest now."""
        if self._age_s(entry.segment_id) > WRITE_WINDOW_S:
            raise UnavailableError("the write was interrupted for too long and was not made")

    def list_older(self, prefix: str, age_s: float) -> Iterator[str]:
        """Yield the keys under `prefix` of the segments made at least `age_s` seconds ago."""
        for info in self._blobs.list(prefix):
            name = PurePosixPath(info.key)
            if name.suffix == ".seg" and self._age_s(name.stem) >= age_s:
                yield info.key

    def places(self) -> Iterator[tuple[str, str]]:
        """Yield the namespace's and the collection's id of every stored segment."""
        for info in self._blobs.list(""):
            match info.key.split("/"):
                case [namespace_id, "collections", collection_id, _, _]:
                    yield namespace_id, collection_id

    def _age_s(self, segment_id: str) -> float:
        try:
            made = int(segment_id[:_TIME_DIGITS], 16) / 1000
        except ValueError:
            return 0.0
        return self._clock() - made


def collection_folder(namespace_id: str, collection_id: str) -> str:
    """Return the key prefix of everything that was ever stored for a collection of this id."""
    return f"{namespace_id}/collections/{collection_id}/"


def segments_folder(namespace_id: str, collection_id: str, incarnation: str) -> str:
    """Return the key prefix of the segments of one collection."""
    return f"{collection_folder(namespace_id, collection_id)}{incarnation}/"
