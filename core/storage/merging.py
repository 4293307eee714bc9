"""Merging: which segments to make one of, and what that one contains.

Sizes grow geometrically from the newest segment to the oldest, so a document is rewritten a
number of times that grows with the logarithm of the collection, and there are few segments.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.arrays import Int32
from core.ports.vectors import Codes, VectorBlock
from core.storage.manifest import SegmentEntry
from core.storage.segment_cache import SegmentCache
from core.storage.segment_columns import merge_columns
from core.storage.segments import (
    MIN_CODED_ROWS,
    Segment,
    SegmentContents,
    SegmentVectors,
    make_codes,
)
from core.storage.snapshot import live_rows

_COPY_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class MergePolicy:
    """When to merge: more than `max_segments`, or changes that outweigh `delta_fraction` of the
    oldest segment, once they are worth it at all (`min_delta_bytes`, `min_delta_rows`)."""

    max_segments: int = 8
    delta_fraction: float = 0.5
    min_delta_bytes: int = 16 << 20
    min_delta_rows: int = 10_000

    def choose(self, entries: Sequence[SegmentEntry]) -> tuple[SegmentEntry, ...]:
        """Return the newest segments to merge, oldest first; none if it is not yet worth it."""
        if len(entries) < 2 or not self._is_due(entries):
            return ()
        size = rows = 0
        start = len(entries)
        for entry in reversed(entries):
            # Going on to an older segment pays only while it is no larger than what comes with
            # it by 1 / fraction: each merge then grows what it rewrites by a constant factor.
            outweighs = (
                entry.size * self.delta_fraction > size and entry.count * self.delta_fraction > rows
            )
            if len(entries) - start >= 2 and outweighs:
                break
            size += entry.size
            rows += entry.count + entry.deletes
            start -= 1
        return tuple(entries[start:])

    def _is_due(self, entries: Sequence[SegmentEntry]) -> bool:
        size = sum(entry.size for entry in entries[1:])
        rows = sum(entry.count + entry.deletes for entry in entries[1:])
        oldest = entries[0]
        return (
            len(entries) > self.max_segments
            or size > max(self.min_delta_bytes, self.delta_fraction * oldest.size)
            or rows > max(self.min_delta_rows, self.delta_fraction * oldest.count)
        )


def merge_segments(
    segments: Sequence[Segment], cache: SegmentCache, *, keep_deletes: bool
) -> SegmentContents:
    """Return what lives in `segments` (neighbours, oldest first) as one.

    Deletes are kept if older segments remain that they apply to.
    """
    rows = [_live_row_numbers(segments, index, cache) for index in range(len(segments))]
    ids = [
        segment.ids.read_bytes(row)
        for segment, live in zip(segments, rows, strict=True)
        for row in live.tolist()
    ]
    payloads = [
        segment.payload_bytes(row)
        for segment, live in zip(segments, rows, strict=True)
        for row in live.tolist()
    ]
    order = sorted(range(len(ids)), key=ids.__getitem__)
    places = _place_rows(segments, rows, order)
    deletes: set[bytes] = set()
    if keep_deletes:
        for segment in segments:
            deletes.update(map(segment.deletes.read_bytes, range(len(segment.deletes))))
        deletes.difference_update(ids)
    return SegmentContents(
        ids=[ids[one] for one in order],
        payloads=[payloads[one] for one in order],
        columns=merge_columns([segment.stored_columns for segment in segments], places),
        vectors=_merge_vectors(segments, places),
        deletes=sorted(deletes),
    )


def _live_row_numbers(segments: Sequence[Segment], index: int, cache: SegmentCache) -> Int32:
    segment = segments[index]
    live = live_rows(segment, segments[index + 1 :], cache)
    if live is None:
        return np.arange(segment.count, dtype=np.int32)
    return np.flatnonzero(live).astype(np.int32)


def _place_rows(
    segments: Sequence[Segment], rows: Sequence[Int32], order: Sequence[int]
) -> list[Int32]:
    """Return for every segment the new row of each of its rows, -1 for dropped ones."""
    new_rows = np.empty(len(order), np.int32)
    new_rows[np.array(order, np.int64)] = np.arange(len(order), dtype=np.int32)
    places = []
    start = 0
    for segment, live in zip(segments, rows, strict=True):
        place = np.full(segment.count, -1, np.int32)
        place[live] = new_rows[start : start + len(live)]
        places.append(place)
        start += len(live)
    return places


def _merge_vectors(
    segments: Sequence[Segment], places: Sequence[Int32]
) -> dict[str, SegmentVectors]:
    names = dict.fromkeys(name for segment in segments for name in segment.vectors)
    merged = {}
    for name in names:
        sources = [
            (segment.vectors[name], place[segment.vectors[name].rows])
            for segment, place in zip(segments, places, strict=True)
            if name in segment.vectors
        ]
        vectors = _merge_blocks(sources)
        if len(vectors.rows):
            merged[name] = vectors
    return merged


def _merge_blocks(sources: Sequence[tuple[SegmentVectors, Int32]]) -> SegmentVectors:
    """Merge blocks given with the new row of each vector, -1 for dropped ones."""
    blocks = [vectors.block for vectors, _ in sources]
    news = [new for _, new in sources]
    rows = np.sort(np.concatenate([new[new >= 0] for new in news]))
    originals = _gather([block.originals for block in blocks], news, rows)
    codes = _merge_codes(blocks, news, rows)
    block = VectorBlock(blocks[0].metric, blocks[0].dimension, originals, codes)
    return SegmentVectors(block, rows)


def _merge_codes(blocks: Sequence[VectorBlock], news: Sequence[Int32], rows: Int32) -> Codes | None:
    """Return the codes of the merged block. Each row's are its own, so they are only moved."""
    if len(rows) < MIN_CODED_ROWS:
        return None
    parts: list[Codes] = []
    for block in blocks:
        codes = block.codes or make_codes(block.originals, block.metric)
        if codes is None:
            return None
        parts.append(codes)
    return Codes(
        values=_gather([part.values for part in parts], news, rows),
        scales=_gather([part.scales for part in parts], news, rows),
        residuals=_gather([part.residuals for part in parts], news, rows),
        norms=_gather([part.norms for part in parts], news, rows),
    )


def _gather(arrays: Sequence[NDArray[Any]], news: Sequence[Int32], rows: Int32) -> NDArray[Any]:
    """Return the array whose row i is the source row that `news` sends to `rows[i]`."""
    merged = np.empty((len(rows), *arrays[0].shape[1:]), arrays[0].dtype)
    for array, new in zip(arrays, news, strict=True):
        # In pieces: a gather of a whole image would hold it a second time.
        for start in range(0, len(new), _COPY_ROWS):
            piece = new[start : start + _COPY_ROWS]
            kept = np.flatnonzero(piece >= 0)
            merged[np.searchsorted(rows, piece[kept])] = array[start + kept]
    return merged
