"""Searches of collections whose vectors lie in an index outside: candidates from there, and what
counts of them from the snapshot.

Two ways. Usually the index is asked for its nearest candidates, and of these the live documents
that pass the filter count. Where the snapshot shows that only few documents can pass, their
vectors are read and compared here: no neighbour can be missed then, whatever the filter.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.arrays import Float32, Mask
from core.filtering.nodes import Filter
from core.hits import Hit
from core.ports.vector_indexes import Candidates
from core.ports.vectors import VectorBlock, VectorSearch
from core.rows.row import Source
from core.storage.snapshot import Snapshot
from core.storage.vector_keys import find_key, keys_of_rows

# So many vectors are read rather than searched for: five requests of the service at once.
MAX_READ: Final = 500

Stop = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class RemoteHits:
    """What a collection gave to each query: hits, best first; how many candidates a score came
    back of, live or not; and, if there may be more, the score that these do not exceed."""

    found: Sequence[Sequence[Hit]]
    counts: Sequence[int]
    floors: Sequence[float | None]

    def hits(self, query: int) -> Sequence[Hit]:
        """Return the hits of one query, best first."""
        return self.found[query]

    def compared(self, query: int) -> int:
        """Return how many candidates were compared with one query."""
        return self.counts[query]

    def exact(self, query: int) -> bool:  # noqa: ARG002  # as for parts of segments, by query
        """Say no: an index outside promises nothing, and may have lost what should be there."""
        return False

    def floor(self, query: int) -> float | None:
        """Return the score that what was not given does not exceed, None if all was given."""
        return self.floors[query]


@dataclass(frozen=True, slots=True)
class Scope:
    """Which vectors of a snapshot count: those of one index, of documents that the filter and the
    masks let through (one for each part, None for all rows).

    `listed` says that earlier stages named the documents one by one.
    """

    snapshot: Snapshot
    index: str
    filter: Filter | None
    masks: Sequence[Mask | None]
    listed: bool

    def holds(self, part: int, row: int) -> bool:
        """Say whether the document of that row counts."""
        mask = self.masks[part]
        return mask is None or bool(mask[row])

    def few_keys(self) -> list[tuple[str, Source]] | None:
        """Return the key of every document that counts, None if they are too many to read."""
        parts = list(zip(self.snapshot.parts, self.masks, strict=True))
        sizes = [part.segment.count if m is None else int(np.count_nonzero(m)) for part, m in parts]
        if sum(sizes) > MAX_READ and not self.listed:
            return None
        collection = self.snapshot.collection_id
        found = []
        for number, (part, mask) in enumerate(parts):
            rows = np.arange(part.segment.count) if mask is None else np.flatnonzero(mask)
            for row, key in keys_of_rows(part, rows, self.index):
                found.append((key, Source(collection, number, row)))
        return found

    def hits(self, candidates: Candidates) -> list[Hit]:
        """Return the candidates that count."""
        hits = []
        for key, score in zip(candidates.keys, candidates.scores, strict=True):
            ref = find_key(self.snapshot, key, self.index)
            if ref is not None and self.holds(ref.part, ref.row):
                source = Source(self.snapshot.collection_id, ref.part, ref.row)
                hits.append(Hit(self.snapshot.document_id(ref), source, score))
        return sorted(hits, key=lambda hit: (-hit.score, hit.document_id))


def search_remote(
    engine: VectorSearch, scope: Scope, vectors: Float32, k: int, stop: Stop
) -> RemoteHits:
    """Return the k best documents of the scope for each of `vectors`, as far as they are found.

    `engine` compares vectors that were read.
    """
    remote = scope.snapshot.remote
    if remote is None or scope.index not in scope.snapshot.specs:
        nothing: list[list[Hit]] = [[] for _ in vectors]
        return RemoteHits(nothing, [0] * len(vectors), [None] * len(vectors))
    if scope.listed or scope.filter is not None:
        few = scope.few_keys()
        if few is not None:
            stored = remote.get(scope.index, [key for key, _ in few], stop)
            read = [(source, stored[key]) for key, source in few if key in stored]
            return _compare(engine, scope, read, vectors, k, stop=stop)
    answers = remote.query(scope.index, vectors, scope.filter, stop)
    return RemoteHits(
        found=[scope.hits(one)[:k] for one in answers],
        counts=[len(one.keys) for one in answers],
        floors=[one.scores[-1] if one.full and one.scores else None for one in answers],
    )


def _compare(
    engine: VectorSearch,
    scope: Scope,
    read: Sequence[tuple[Source, Float32]],
    vectors: Float32,
    k: int,
    *,
    stop: Stop,
) -> RemoteHits:
    """Compare vectors that were read."""
    segments = [part.segment for part in scope.snapshot.parts]
    named = [(segments[source.part].ids[source.row], source, vector) for source, vector in read]
    named.sort(key=lambda item: item[0])  # as blocks are: of equal scores the smaller id is first
    spec = scope.snapshot.specs[scope.index]
    originals = np.empty((len(named), spec.dimension), np.float32)
    for row, (_, _, vector) in enumerate(named):
        originals[row] = vector
    block = VectorBlock(spec.metric, spec.dimension, originals)
    top = engine.search(block, vectors, min(k, max(1, len(named))), stop=stop)
    found = [
        [
            Hit(named[row][0], named[row][1], score)
            for row, score in zip(rows, scores, strict=True)
            if row >= 0
        ]
        for rows, scores in zip(top.rows.tolist(), top.scores.tolist(), strict=True)
    ]
    return RemoteHits(found, [len(named)] * len(vectors), [None] * len(vectors))
