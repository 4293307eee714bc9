"""Searches over pinned snapshots: masks from filters, one engine call a part, parts merged.

Everything here blocks and runs in a thread.
"""

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import orjson

from core.arrays import Float32, Mask, UInt8
from core.filtering.conditions import Filter, fields_of, filter_key
from core.filtering.paths import MISSING
from core.hits import Evidence, Hit, SearchAnswer, UnsearchableFile
from core.ports.vectors import TopK, VectorSearch
from core.rows.row import Source
from core.runtime.remote_searching import RemoteHits, Scope, search_remote
from core.search.columns import Column
from core.storage.snapshot import Part, Snapshot
from core.types import JsonValue


@dataclass(frozen=True, slots=True, eq=False)
class PreparedSearch:
    """What searches must share to be merged: one index of the same snapshots, the same rows.

    Two are equal, and hash alike, if they search the same versions under equal filters.
    """

    snapshots: tuple[Snapshot, ...]
    index: str
    filter: Filter | None = None
    within: tuple[Source, ...] | None = None
    key: tuple[object, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        pins = tuple(
            (s.namespace_id, s.collection_id, s.manifest.incarnation, s.version)
            for s in self.snapshots
        )
        key = (pins, self.index, filter_key(self.filter), self.within)
        object.__setattr__(self, "key", key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PreparedSearch) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def search_snapshots(
    engine: VectorSearch,
    prepared: PreparedSearch,
    vectors: "Float32 | UInt8",
    k: int,
    stop: Callable[[], bool],
) -> list[SearchAnswer]:
    """Return an answer for each row of `vectors`: the k best live, passing documents of all."""
    found: list[_PartHits | RemoteHits] = [
        _PartHits(snapshot, number, part, top)
        for snapshot, number, part, top in _search_parts(engine, prepared, vectors, k, stop)
    ]
    found += [
        search_remote(
            engine,
            _scope_of(prepared, snapshot, stop),
            np.asarray(vectors, np.float32),  # these indexes hold no bits
            k,
            stop,
        )
        for snapshot in prepared.snapshots
        if snapshot.remote is not None
    ]
    return [_merge(found, query, k) for query in range(len(vectors))]


def scan_snapshots(
    snapshots: Sequence[Snapshot], filter_: Filter | None, limit: int, stop: Callable[[], bool]
) -> tuple[list[tuple[str, Source]], int]:
    """Return the first `limit` passing documents by id, and how many pass in all."""
    runs: list[list[tuple[str, Source]]] = []
    passing = 0
    for snapshot, number, part in _parts(snapshots):
        mask = snapshot.passing(part, filter_, stop)
        passing += part.segment.count if mask is None else int(np.count_nonzero(mask))
        rows = range(part.segment.count) if mask is None else np.flatnonzero(mask)
        runs.append(
            [
                (part.segment.ids[int(row)], Source(snapshot.collection_id, number, int(row)))
                for row in rows[:limit]
            ]
        )
    merged = heapq.merge(*runs, key=lambda item: (item[0], item[1].collection_id))
    return [item for item, _ in zip(merged, range(limit), strict=False)], passing


def count_values(
    snapshots: Sequence[Snapshot], filter_: Filter | None, path: str, stop: Callable[[], bool]
) -> list[tuple[JsonValue, int]]:
    """Count each distinct scalar of a field among passing documents; an array counts each of its
    elements once. Unordered."""
    totals: dict[tuple[type, JsonValue], int] = {}
    for snapshot, _, part in _parts(snapshots):
        column = snapshot.column(part, path)
        mask = snapshot.passing(part, filter_, stop)
        codes = column.codes if mask is None else column.codes[mask]
        counts = np.bincount(codes, minlength=len(column.values))
        for value, count in zip(column.values, counts.tolist(), strict=True):
            for scalar in _scalars(value) if count else ():
                totals[scalar] = totals.get(scalar, 0) + count
    return [(value, count) for (_, value), count in totals.items()]


def absent_fields(snapshots: Sequence[Snapshot], filter_: Filter) -> list[str]:
    """Return the fields that a filter names and that no document has, none if there are none.

    Such a filter is most likely misspelt, and its empty answer no answer.
    """
    present = list(_parts(snapshots))
    if not present:
        return []
    return [
        path
        for path in sorted(fields_of(filter_))
        if all(_is_absent(snapshot.column(part, path)) for snapshot, _, part in present)
    ]


def _is_absent(column: Column) -> bool:
    """Say whether no row has a value; one may stand in the table that no row has any more."""
    values = column.values
    return all(values[code] is MISSING for code in np.unique(column.codes).tolist())


def find_by_field(
    snapshot: Snapshot, path: str, values: Sequence[JsonValue]
) -> dict[int, tuple[str, Source]]:
    """For each of `values`, by position, the first document (by id) whose field equals it."""
    wanted: dict[tuple[type, JsonValue], list[int]] = {}
    for position, value in enumerate(values):
        for scalar in _scalars(value):
            wanted.setdefault(scalar, []).append(position)
    found: dict[int, tuple[str, Source]] = {}
    for _, number, part in _parts([snapshot]):
        column = snapshot.column(part, path)
        for position, row in _first_rows(part, column, wanted).items():
            candidate = (part.segment.ids[row], Source(snapshot.collection_id, number, row))
            if position not in found or candidate[0] < found[position][0]:
                found[position] = candidate
    return found


def has_vectors(snapshot: Snapshot, index: str) -> bool:
    """Say whether any document of the snapshot has a vector of that name."""
    vectors = (part.segment.vectors.get(index) for part in snapshot.parts)
    return any(stored is not None and len(stored.rows) for stored in vectors)


# Of the documents that nothing can find so many are named.
MOST_NAMED: Final = 5


def vectorless_rows(snapshot: Snapshot) -> list[tuple[Part, Mask]]:
    """Return, of each part that has such, which rows are live documents without any vector."""
    found = []
    for part in snapshot.parts if snapshot.specs else ():
        every = part.segment.vectors.values()
        if any(len(stored.rows) == part.segment.count for stored in every):
            continue
        rows = np.ones(part.segment.count, np.bool_) if part.live is None else part.live.copy()
        for stored in every:
            rows[stored.rows] = False
        if rows.any():
            found.append((part, rows))
    return found


def count_vectorless(
    places: Sequence[tuple[Snapshot, Sequence[tuple[Part, Mask]]]],
    filter_: Filter | None,
    stop: Callable[[], bool],
    named: dict[tuple[str, str], UnsearchableFile],
) -> tuple[int, tuple[UnsearchableFile, ...]]:
    """Count the rows of `vectorless_rows` that pass a filter, and name the first of them.

    `named` holds those of a call that have been read, and takes the new ones: they are mostly the
    same for each of its queries.
    """
    total, first = 0, list[UnsearchableFile]()
    for snapshot, parts in places:
        for part, rows in parts:
            passing = snapshot.passing(part, filter_, stop)
            found = np.flatnonzero(rows if passing is None else rows & passing)
            total += len(found)
            for row in found[: MOST_NAMED - len(first)].tolist():
                key = (snapshot.collection_id, part.segment.ids[row])
                if key not in named:
                    named[key] = _unsearchable(snapshot.collection_id, part, row)
                first.append(named[key])
    return total, tuple(first)


def _unsearchable(collection_id: str, part: Part, row: int) -> UnsearchableFile:
    path = orjson.loads(part.segment.payload_bytes(row)).get("path")
    text = path if isinstance(path, str) else None
    return UnsearchableFile(part.segment.ids[row], collection_id, text)


@dataclass(frozen=True, slots=True)
class _PartHits:
    snapshot: Snapshot
    number: int
    part: Part
    top: TopK  # rows are the segment's

    def hits(self, query: int) -> list[Hit]:
        """Return the hits of one query in this part, best first."""
        rows, scores = self.top.rows[query].tolist(), self.top.scores[query].tolist()
        ids, collection = self.part.segment.ids, self.snapshot.collection_id
        return [
            Hit(ids[row], Source(collection, self.number, row), score)
            for row, score in zip(rows, scores, strict=True)
            if row >= 0
        ]

    def compared(self, query: int) -> int:  # noqa: ARG002  # as for indexes outside, by query
        """Return how many rows were compared with one query."""
        return self.top.compared

    def exact(self, query: int) -> bool:
        """Say whether the hits of one query are proven complete."""
        return bool(self.top.exact[query])

    def floor(self, query: int) -> float | None:  # noqa: ARG002  # as for indexes outside
        """Return None: all that can be found was looked at."""
        return None


def _scope_of(prepared: PreparedSearch, snapshot: Snapshot, stop: Callable[[], bool]) -> Scope:
    """Return what counts of a collection whose vectors lie outside."""
    masks = []
    for number, part in enumerate(snapshot.parts):
        mask = snapshot.passing(part, prepared.filter, stop)
        masks.append(within_mask(mask, prepared.within, snapshot, number, part))
    return Scope(snapshot, prepared.index, prepared.filter, masks, prepared.within is not None)


def _search_parts(
    engine: VectorSearch,
    prepared: PreparedSearch,
    vectors: "Float32 | UInt8",
    k: int,
    stop: Callable[[], bool],
) -> Iterator[tuple[Snapshot, int, Part, TopK]]:
    embedded = [snapshot for snapshot in prepared.snapshots if snapshot.remote is None]
    for snapshot, number, part in _parts(embedded):
        stored = part.segment.vectors.get(prepared.index)
        if stored is None:
            continue
        mask = snapshot.passing(part, prepared.filter, stop)
        mask = within_mask(mask, prepared.within, snapshot, number, part)
        vector_mask = None if mask is None else mask[stored.rows]
        top = engine.search(stored.block, vectors, k, vector_mask, stop=stop)
        # A place without a hit (-1) stays one: it must not wrap around to the last row.
        rows = stored.rows[top.rows].astype(np.int64) if len(stored.rows) else top.rows
        rows[top.rows < 0] = -1
        yield snapshot, number, part, TopK(rows, top.scores, top.exact, top.compared)


def within_mask(
    mask: Mask | None,
    within: tuple[Source, ...] | None,
    snapshot: Snapshot,
    number: int,
    part: Part,
) -> Mask | None:
    """Return which rows of the snapshot's part `number` are in the mask and in `within`."""
    if within is None:
        return mask
    rows = [
        source.row
        for source in within
        if source.collection_id == snapshot.collection_id and source.part == number
    ]
    chosen = np.zeros(part.segment.count, np.bool_)
    chosen[rows] = True
    return chosen if mask is None else chosen & mask


def _merge(found: "Sequence[_PartHits | RemoteHits]", query: int, k: int) -> SearchAnswer:
    runs = [part.hits(query) for part in found]
    hits = merge_hits(runs, k)
    floors = [floor for floor in (part.floor(query) for part in found) if floor is not None]
    return SearchAnswer(
        hits=(tuple(hits),),
        evidence=Evidence(
            compared=sum(part.compared(query) for part in found),
            best_score=hits[0].score if hits else None,
            exact=all(part.exact(query) for part in found),
        ),
        floor=max(floors, default=None),
    )


def merge_hits(runs: Sequence[Sequence[Hit]], k: int) -> Sequence[Hit]:
    """Return the k best of lists that hold the k best each, best first."""
    if len(runs) == 1:
        return runs[0]
    return sorted((hit for run in runs for hit in run), key=_rank)[:k]


def _rank(hit: Hit) -> tuple[float, str, str]:
    return (-hit.score, hit.document_id, hit.source.collection_id)


def _parts(snapshots: Sequence[Snapshot]) -> Iterator[tuple[Snapshot, int, Part]]:
    for snapshot in snapshots:
        for number, part in enumerate(snapshot.parts):
            if part.segment.count:
                yield snapshot, number, part


def _scalars(value: JsonValue) -> set[tuple[type, JsonValue]]:
    """Return a value's scalars, each with a class that keeps True and 1 apart and 1 and 1.0 not."""
    items = value if isinstance(value, list) else [value]
    return {
        (float if isinstance(item, int) and not isinstance(item, bool) else type(item), item)
        for item in items
        if isinstance(item, str | int | float | bool)
    }


def _first_rows(
    part: Part, column: Column, wanted: Mapping[tuple[type, JsonValue], list[int]]
) -> dict[int, int]:
    live = np.ones(part.segment.count, np.bool_) if part.live is None else part.live
    first: dict[int, int] = {}
    for code, value in enumerate(column.values):
        positions = [p for scalar in _scalars(value) for p in wanted.get(scalar, ())]
        if not positions:
            continue
        rows = np.flatnonzero((column.codes == code) & live)
        for position in positions if len(rows) else ():
            first[position] = min(first.get(position, int(rows[0])), int(rows[0]))
    return first
