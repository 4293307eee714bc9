"""A snapshot: one version of a collection, its segments and which of their rows live."""

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.arrays import Mask
from core.filtering.nodes import Filter
from core.search.columns import Column
from core.search.masks import mask_for
from core.storage.manifest import Manifest
from core.storage.segment_cache import SegmentCache
from core.storage.segments import Segment
from core.types import JsonObject, VectorSpec

if TYPE_CHECKING:
    from core.storage.remote_vectors import RemoteVectors


@dataclass(frozen=True, slots=True)
class Ref:
    """Where a document lies in one snapshot: the part, and the row of its segment."""

    part: int
    row: int


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A segment as one snapshot sees it. `live` (n,) is false in rows that a later segment
    replaced or deleted; None means that all n live."""

    segment: Segment
    live: Mask | None
    live_count: int


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Snapshot:
    """Immutable, and readable for as long as it is held, whatever is written or merged since.

    `parts` are in the order of writing: oldest first. `remote` is where the vectors lie if not in
    the segments.
    """

    namespace_id: str
    collection_id: str
    manifest: Manifest
    parts: tuple[Part, ...]
    remote: "RemoteVectors | None" = None

    @property
    def version(self) -> int:
        """The manifest's version: it grows with every write and every merge."""
        return self.manifest.version

    @property
    def specs(self) -> Mapping[str, VectorSpec]:
        """The collection's named vectors."""
        return self.manifest.specs

    @property
    def declared(self) -> bool:
        """Whether vectors under other names than those of `specs` are refused."""
        return self.manifest.declared

    @property
    def count(self) -> int:
        """How many documents there are."""
        return sum(part.live_count for part in self.parts)

    def column(self, part: Part, path: str) -> Column:
        """Return a field's values in the rows of one of its parts; what names a document, its id
        and its collection's, are fields too."""
        if path == "collection_id":
            return Column((self.collection_id,), np.zeros(part.segment.count, np.int32))
        return part.segment.column(path)

    def passing(
        self, part: Part, tree: Filter | None, stop: Callable[[], bool] = lambda: False
    ) -> Mask | None:
        """Return which rows of a part live and satisfy the filter, None for all of them.

        `stop` is asked now and then; once true, `DeadlineError`.
        """
        if tree is None:
            return part.live
        mask: Mask = mask_for(tree, partial(self.column, part), part.segment.count, stop)
        return mask if part.live is None else mask & part.live

    def find(self, document_id: str) -> Ref | None:
        """Return where the document is, None if there is none of that id."""
        for index in range(len(self.parts) - 1, -1, -1):
            segment = self.parts[index].segment
            row = segment.ids.find(document_id)
            if row >= 0:
                return Ref(index, row)
            if segment.deletes.find(document_id) >= 0:
                return None
        return None

    def document_id(self, ref: Ref) -> str:
        """Return the id of the document at `ref`."""
        return self.parts[ref.part].segment.ids[ref.row]

    def payload(self, ref: Ref) -> JsonObject:
        """Return the fields of the document at `ref` as a fresh dict."""
        return self.parts[ref.part].segment.payload(ref.row)

    def vector(self, ref: Ref, name: str) -> NDArray[Any] | None:
        """Return the document's vector as stored (read-only), None if it has none of that name."""
        if self.remote is not None:
            return self.remote.read(self, [ref], [name], _never)[0].get(name)
        vectors = self.parts[ref.part].segment.vectors.get(name)
        if vectors is None:
            return None
        place = vectors.place_of(ref.row)
        if place is None:
            return None
        found: NDArray[Any] = vectors.block.originals[place]
        return found

    def vectors(self, ref: Ref) -> dict[str, NDArray[Any]]:
        """Return all vectors of the document at `ref` by name (read-only)."""
        if self.remote is not None:
            return self.remote.read(self, [ref], list(self.specs), _never)[0]
        found = {name: self.vector(ref, name) for name in self.parts[ref.part].segment.vectors}
        return {name: vector for name, vector in found.items() if vector is not None}

    def vectors_of(
        self,
        refs: Sequence[Ref],
        names: Sequence[str] | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> list[dict[str, NDArray[Any]]]:
        """Return the vectors of several documents, of all names unless some are given.

        Where vectors lie outside this asks for all of them together, and may raise what
        `VectorIndexes.get` does.
        """
        if self.remote is not None:
            return self.remote.read(self, refs, list(self.specs) if names is None else names, stop)
        if names is None:
            return [self.vectors(ref) for ref in refs]
        found = ({name: self.vector(ref, name) for name in names} for ref in refs)
        return [{name: one for name, one in of.items() if one is not None} for of in found]

    def vector_names(self, ref: Ref) -> set[str]:
        """Return the names of the vectors that the document at `ref` has, wherever these lie."""
        vectors = self.parts[ref.part].segment.vectors
        return {name for name, stored in vectors.items() if stored.place_of(ref.row) is not None}

    def refs(self, after: str | None = None) -> Iterator[tuple[str, Ref]]:
        """Yield every document's id and place in ascending order of ids, those past `after`."""
        runs = [self._part_refs(index, after) for index in range(len(self.parts))]
        # No id is live in two parts, so a tie never comes to comparing refs.
        return heapq.merge(*runs, key=lambda pair: pair[0])

    def page(self, limit: int, after: str | None = None) -> list[tuple[str, Ref]]:
        """Return the first `limit` of `refs(after)`."""
        return list(islice(self.refs(after), limit))

    def _part_refs(self, index: int, after: str | None) -> Iterator[tuple[str, Ref]]:
        part = self.parts[index]
        ids = part.segment.ids
        for row in range(0 if after is None else ids.after(after), len(ids)):
            if part.live is None or part.live[row]:
                yield ids[row], Ref(index, row)


def _never() -> bool:
    return False


def build_snapshot(
    namespace_id: str,
    collection_id: str,
    manifest: Manifest,
    segments: Sequence[Segment],
    cache: SegmentCache,
    *,
    remote: "RemoteVectors | None" = None,
) -> Snapshot:
    """Return the snapshot of a manifest whose segments are loaded."""
    parts = tuple(
        _build_part(segment, segments[index + 1 :], cache) for index, segment in enumerate(segments)
    )
    return Snapshot(namespace_id, collection_id, manifest, parts, remote)


def _build_part(segment: Segment, later: Sequence[Segment], cache: SegmentCache) -> Part:
    live = live_rows(segment, later, cache)
    return Part(segment, live, segment.count if live is None else int(live.sum()))


def live_rows(segment: Segment, later: Sequence[Segment], cache: SegmentCache) -> Mask | None:
    """Return which rows of `segment` none of the later segments replaced, None for all."""
    superseded = [cache.superseded_rows(segment, newer) for newer in later]
    if not any(len(rows) for rows in superseded):
        return None
    live = np.ones(segment.count, np.bool_)
    for rows in superseded:
        live[rows] = False
    live.flags.writeable = False
    return live
