"""The segment cache: bounded, least recently used out first, one load at a time."""

import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.errors import BlobNotFoundError, CorruptBlobError
from core.storage.manifest import SegmentEntry
from core.storage.segment_cache import CacheCounts, SegmentCache
from core.storage.segments import Segment, decode_segment, encode_segment
from tests.core.storage.doubles import MemoryBlobs, doc


def _stored(blobs: MemoryBlobs, name: str) -> SegmentEntry:
    encoded = encode_segment([doc(name, fill="x" * 1000)], {})
    blobs.stored[name] = encoded.data
    return SegmentEntry(name, name, encoded.digest, len(encoded.data), 1, 0)


def _count_loads(blobs: MemoryBlobs) -> list[str]:
    loads: list[str] = []
    blobs.before = lambda operation, key: loads.append(key)
    return loads


def test_a_segment_is_loaded_once() -> None:
    blobs, cache = MemoryBlobs(), SegmentCache()
    entry = _stored(blobs, "a")
    loads = _count_loads(blobs)
    assert cache.get(blobs, entry) is cache.get(blobs, entry)
    assert loads == ["a"]
    assert cache.held_bytes == entry.size
    assert cache.counts == CacheCounts(hits=1, loads=1)


def test_the_least_recently_used_goes_first() -> None:
    blobs = MemoryBlobs()
    entries = [_stored(blobs, name) for name in "abc"]
    cache = SegmentCache(max_bytes=entries[0].size * 2 + 100)
    loads = _count_loads(blobs)
    for which in (0, 1, 0, 2, 0, 1):
        cache.get(blobs, entries[which])
    assert loads == ["a", "b", "c", "b"]
    assert cache.held_bytes <= entries[0].size * 2 + 100


def test_a_segment_larger_than_the_bound_is_usable_and_alone() -> None:
    blobs = MemoryBlobs()
    first, second = _stored(blobs, "a"), _stored(blobs, "b")
    cache = SegmentCache(max_bytes=10)
    assert cache.get(blobs, first).payload(0)["fill"]
    assert cache.get(blobs, second).payload(0)["fill"]
    assert cache.held_bytes == second.size


def test_overlaps_are_remembered_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = SegmentCache()
    encoded = [encode_segment([doc(f"{n}", v=v) for n in range(500)], {}) for v in range(2)]
    old, new = (decode_segment(memoryview(one.data), one.digest) for one in encoded)
    kept = weakref.ref(cache.superseded_rows(old, new))
    assert kept() is not None
    assert cache.superseded_rows(old, new) is kept()
    monkeypatch.setattr("core.storage.segment_cache._MAX_OVERLAP_BYTES", 2_000)
    assert sorted(cache.superseded_rows(new, old)) == list(range(500))
    assert kept() is None


def test_threads_that_ask_at_once_share_one_load() -> None:
    blobs, cache = MemoryBlobs(), SegmentCache()
    entry = _stored(blobs, "a")
    loads: list[str] = []
    begun, second = threading.Barrier(8), threading.Event()

    def load(operation: str, key: str) -> None:
        loads.append(key)
        if len(loads) > 1:
            second.set()
        # Time for a second load to begin, if there can be one.
        second.wait(0.1)

    def get(n: int) -> Segment:
        begun.wait(10)
        return cache.get(blobs, entry)

    blobs.before = load
    with ThreadPoolExecutor(8) as pool:
        segments = list(pool.map(get, range(8)))
    assert loads == ["a"]
    assert all(segment is segments[0] for segment in segments)
    assert cache.held_bytes == entry.size


def test_a_failed_load_is_told_and_not_kept() -> None:
    blobs, cache = MemoryBlobs(), SegmentCache()
    entry = _stored(blobs, "a")
    good = blobs.stored.pop("a")
    with pytest.raises(BlobNotFoundError):
        cache.get(blobs, entry)
    blobs.stored["a"] = good[:-64]
    with pytest.raises(CorruptBlobError):
        cache.get(blobs, entry)
    blobs.stored["a"] = good
    assert cache.get(blobs, entry).count == 1
    assert cache.held_bytes == entry.size


def test_equal_bytes_under_another_key_are_loaded_for_themselves() -> None:
    blobs, cache = MemoryBlobs(), SegmentCache()
    mine = _stored(blobs, "a")
    theirs = SegmentEntry("b", "theirs", mine.digest, mine.size, 1, 0)
    cache.get(blobs, mine)
    with pytest.raises(BlobNotFoundError):
        cache.get(blobs, theirs)
