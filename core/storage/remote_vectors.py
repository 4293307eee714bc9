"""Vectors of a collection that lie in indexes outside, while its documents lie in segments."""

from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, Final

from numpy.typing import NDArray

from core.arrays import Float32
from core.errors import InvalidRequestError, Problem
from core.filtering.nodes import Filter
from core.filtering.pushdown import metadata_of, push_down
from core.ports.vector_indexes import Candidates, IndexEntry, IndexRef, VectorIndexes
from core.storage.manifest import Manifest
from core.storage.segments import Segment, StoredDocument
from core.storage.snapshot import Ref, Snapshot
from core.storage.vector_keys import (
    age_s,
    find_key,
    key_of,
    keys_at,
    placeholder,
    placeholder_spec,
    split_key,
)
from core.types import VectorSpec

MAX_FILTERABLE: Final = 8
# Fields that no stored document has in its payload.
_IDENTITY: Final = frozenset({"document_id", "collection_id"})

Stop = Callable[[], bool]
# The n-th of so many parts of about one size: (n, of).
Share = tuple[int, int]


def check_remote(
    indexes: VectorIndexes, specs: Sequence[VectorSpec] | None, filterable: Sequence[str]
) -> None:
    """Raise `InvalidRequestError` with everything that keeps a collection's vectors from lying in
    such indexes."""
    problems: list[Problem] = []
    if not specs:
        message = "this engine needs its vectors declared, in vector_configs: none are learnt"
        problems.append(Problem("vector_configs", message))
    for n, spec in enumerate(specs or ()):
        fault = indexes.spec_fault(spec)
        if fault is not None:
            problems.append(Problem(f"vector_configs.{n}", f"vector {spec.name!r}: {fault}"))
    if len(filterable) > MAX_FILTERABLE:
        problems.append(Problem("filterable_fields", f"at most {MAX_FILTERABLE} fields"))
    for n, path in enumerate(filterable):
        if not path or path in _IDENTITY or path in filterable[:n]:
            message = f"empty, repeated, or no field of a payload: {path!r}"
            problems.append(Problem(f"filterable_fields.{n}", message))
    if problems:
        raise InvalidRequestError(f"{problems[0].path}: {problems[0].message}", problems)


class RemoteVectors:
    """The vectors of one collection in a service's indexes, one index for each name."""

    def __init__(self, indexes: VectorIndexes, manifest: Manifest) -> None:
        self._indexes = indexes
        self._fields = manifest.filterable
        self._refs = {
            name: IndexRef(_index_name(manifest.incarnation, name), spec)
            for name, spec in manifest.specs.items()
        }

    @property
    def most_candidates(self) -> int:
        """How many candidates one vector gets, at most."""
        return self._indexes.most_candidates

    def create(self) -> None:
        """Make the collection's indexes."""
        for ref in self._refs.values():
            self._indexes.create(ref)

    def drop(self) -> None:
        """Remove the collection's indexes."""
        for ref in self._refs.values():
            self._indexes.drop(ref)

    def put(
        self, documents: Sequence[StoredDocument], write_id: bytes
    ) -> tuple[list[StoredDocument], dict[str, VectorSpec]]:
        """Store the documents' vectors; return the documents with the write id in their place,
        and the specs under which a segment keeps it.

        Raises `InvalidRequestError` with everything that cannot be stored, before anything is.
        """
        entries = self._entries(documents, write_id)
        for name, of_name in entries.items():
            if of_name:
                self._indexes.put(self._refs[name], of_name)
        stand_in = placeholder(write_id)
        placed = [
            StoredDocument(one.document_id, one.fields, dict.fromkeys(one.vectors, stand_in))
            for one in documents
        ]
        return placed, {name: placeholder_spec(name) for name in self._refs}

    def _entries(
        self, documents: Sequence[StoredDocument], write_id: bytes
    ) -> dict[str, list[IndexEntry]]:
        entries: dict[str, list[IndexEntry]] = {name: [] for name in self._refs}
        problems: list[Problem] = []
        for n, document in enumerate(documents):
            metadata = metadata_of(document.fields, self._fields) if document.vectors else {}
            for name, vector in document.vectors.items():
                entry = IndexEntry(key_of(write_id, document.document_id), vector, metadata)
                fault = self._indexes.entry_fault(self._refs[name], entry)
                if fault is not None:
                    problems.append(Problem(f"documents.{n}.vectors.{name}", fault, "vector_error"))
                entries[name].append(entry)
        if problems:
            raise InvalidRequestError(f"{problems[0].path}: {problems[0].message}", problems)
        return entries

    def query(
        self, name: str, vectors: Float32, tree: Filter | None, stop: Stop
    ) -> list[Candidates]:
        """Return the most candidates for each vector, of documents that may pass the filter and
        perhaps of others: whoever asks must look at the snapshot."""
        pushed = push_down(tree, self._fields)
        index = self._refs[name]
        return self._indexes.query(index, vectors, self.most_candidates, pushed, stop=stop)

    def get(self, name: str, keys: Sequence[str], stop: Stop) -> dict[str, Float32]:
        """Return the vectors of those keys that are there."""
        return self._indexes.get(self._refs[name], keys, stop=stop) if keys else {}

    def read(
        self, snapshot: Snapshot, refs: Sequence[Ref], names: Sequence[str], stop: Stop
    ) -> list[dict[str, NDArray[Any]]]:
        """Return each document's vectors of these names, those that it has.

        One may be missing that a later write has replaced since the snapshot was taken.
        """
        found: list[dict[str, NDArray[Any]]] = [{} for _ in refs]
        for name in names:
            if name not in self._refs:
                continue
            keys = keys_at(snapshot, refs, name)
            wanted = list(dict.fromkeys(key for key in keys if key is not None))
            vectors = self.get(name, wanted, stop)
            for vectors_of_one, key in zip(found, keys, strict=True):
                if key is not None and key in vectors:
                    vectors_of_one[name] = vectors[key]
        return found

    def forget(self, snapshot: Snapshot, document_ids: Sequence[str]) -> None:
        """Remove what earlier writes of these documents left: every vector that a segment still
        names and the snapshot does not. A busy service is not waited for: a sweep finds the rest.
        """
        for name, ref in self._refs.items():
            stale = [key for one in document_ids for key in _stale_keys(snapshot, one, name)]
            if stale:
                self._indexes.delete(ref, stale, once=True)

    def discard(self, segment: Segment) -> None:
        """Remove the vectors of a segment that no manifest names or will name."""
        for name, stored in segment.vectors.items():
            rows = zip(stored.rows.tolist(), stored.block.originals, strict=True)
            keys = [key_of(write_id.tobytes(), segment.ids[row]) for row, write_id in rows]
            self._indexes.delete(self._refs[name], keys, once=True)

    def sweep(
        self, open_snapshot: Callable[[], Snapshot], before: float, share: Share, stop: Stop
    ) -> int:
        """Remove the vectors of writes that began before `before` (Unix seconds) and that no
        document of the present version has, as far as `stop` allows; return how many.

        Each page of keys is listed before the snapshot is opened: what that names is kept.
        """
        removed = 0
        for name, ref in self._refs.items():
            for page in self._indexes.pages(ref, share):
                if stop():
                    return removed
                old = [key for key in page if _is_older(key, before)]
                if not old:
                    continue
                snapshot = open_snapshot()
                orphans = [key for key in old if find_key(snapshot, key, name) is None]
                if orphans:
                    self._indexes.delete(ref, orphans)
                removed += len(orphans)
        return removed


def _stale_keys(snapshot: Snapshot, document_id: str, name: str) -> Iterator[str]:
    rows = ((n, part.segment.ids.find(document_id)) for n, part in enumerate(snapshot.parts))
    refs = [Ref(n, row) for n, row in rows if row >= 0]
    live = snapshot.find(document_id)
    current = None if live is None else keys_at(snapshot, [live], name)[0]
    for key in keys_at(snapshot, refs, name):
        if key is not None and key != current:
            yield key


def _is_older(key: str, before: float) -> bool:
    parts = split_key(key)
    # What is no key of ours was put there by somebody else: it is not ours to remove.
    return parts is not None and age_s(parts[0], before) >= 0


def _index_name(incarnation: str, name: str) -> str:
    """Return an index's name: lowercase letters, digits and hyphens, 63 characters at most."""
    return f"trawl-{incarnation}-{blake2b(name.encode(), digest_size=8).hexdigest()}"
