"""Files of several chunks: which stored documents are one file, and which row stands for it.

Chunk n of a file is the document `{id}#{n}`. What makes it one is `_internal.chunk`, which only the
service writes: users may choose ids that look alike.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from core.arrays import Int32, Mask
from core.filtering.paths import MISSING
from core.search.columns import Column
from core.storage.id_table import IdTable
from core.storage.segments import Segment, StoredDocument
from core.storage.snapshot import Part, Ref, Snapshot
from core.types import JsonObject, JsonValue, ReadOnlyObject

_MARK = "#"
_MAX_DIGITS = 9
Stored = tuple[str, Ref]


def chunk_id(root: str, number: int) -> str:
    """Return the id of a file's chunk; they are numbered from 0 in the order of time."""
    return f"{root}{_MARK}{number}"


def mark_file(root: str, documents: Sequence[StoredDocument]) -> list[StoredDocument]:
    """Return what a file became, each document with how many chunks there are, those of several
    marked as its chunks."""
    if [document.document_id for document in documents] == [root]:
        [alone] = documents
        return [_with_internal(alone, {"chunks": 1 if alone.vectors else 0})]
    return [
        _with_internal(document, {"chunk": {"of": root, "index": n}, "chunks": len(documents)})
        for n, document in enumerate(documents)
    ]


def _with_internal(document: StoredDocument, added: JsonObject) -> StoredDocument:
    internal = {**document.fields["_internal"], **added}
    return replace(document, fields={**document.fields, "_internal": internal})


def root_of(document_id: str, fields: ReadOnlyObject) -> str | None:
    """Return the id of the file that a stored document is a chunk of, None if it is none."""
    root = _split(document_id)
    internal = fields.get("_internal")
    if root is None or not isinstance(internal, dict):
        return None
    chunk = internal.get("chunk")
    if isinstance(chunk, dict):
        return root if chunk.get("of") == root else None
    # Chunks were not marked at first; what media was made into without being one has `chunks`.
    if "chunks" in internal or "media" not in internal:
        return None
    lineage = internal.get("lineage")
    named = lineage.get("root_object_id") if isinstance(lineage, dict) else None
    return root if named == root else None


def stored_below(snapshot: Snapshot, root: str) -> Iterator[tuple[str, str | None, Ref]]:
    """Yield what lives under ids that begin as the chunks of `root` do: the id, and the file that
    it is a chunk of, if it is one of any."""
    prefix = root + _MARK
    for index, part in enumerate(snapshot.parts):
        ids = part.segment.ids
        for row in range(ids.after(prefix), len(ids)):
            one = ids[row]
            if not one.startswith(prefix):
                break
            if part.live is None or part.live[row]:
                yield one, _root_at(part.segment, row, one), Ref(index, row)


def chunks_of(snapshot: Snapshot, root: str) -> list[Stored]:
    """Return the chunks of the file `root` by number, none if it is no file of several."""
    found = [(one, ref) for one, of, ref in stored_below(snapshot, root) if of == root]
    return sorted(found, key=lambda chunk: int(chunk[0][len(root) + 1 :]))


def find_file(snapshot: Snapshot, document_id: str) -> list[Stored]:
    """Return the document of this id, else the chunks of the file of this id, else nothing."""
    ref = snapshot.find(document_id)
    return chunks_of(snapshot, document_id) if ref is None else [(document_id, ref)]


def find_first(snapshot: Snapshot, document_id: str) -> Ref | None:
    """Return where the document of this id is, of a file of several chunks where its first is."""
    found = find_file(snapshot, document_id)
    return found[0][1] if found else None


def file_ids(snapshot: Snapshot, document_id: str) -> list[str]:
    """Return the ids of all that is stored for a document or file of this id."""
    own = [document_id] if snapshot.find(document_id) is not None else []
    return own + [one for one, _ in chunks_of(snapshot, document_id)]


def file_fields(fields: JsonObject, count: int) -> JsonObject:
    """Return the fields of a file of `count` chunks from those of its first: no chunk's place."""
    internal = {k: v for k, v in fields["_internal"].items() if k not in ("chunk", "place")}
    return {**fields, "_internal": {**internal, "chunks": count}}


def count_files(snapshot: Snapshot) -> int:
    """Return how many documents there are, a file of several chunks counted once."""
    total = 0
    for index, part in enumerate(snapshot.parts):
        shown = shown_rows(snapshot, index)
        total += part.live_count if shown is None else int((shown & live_rows_of(part)).sum())
    return total


def count_chunks(snapshot: Snapshot, roots: Iterable[JsonValue]) -> dict[JsonValue, int]:
    """Return how many chunks each of these files has."""
    counts = dict.fromkeys(roots, 0)
    if not counts:
        return counts
    for part in snapshot.parts:
        column = chunk_roots(part.segment)
        if not _has_chunks(column):
            continue
        of_code = np.bincount(column.codes[live_rows_of(part)], minlength=len(column.values))
        for root, count in zip(column.values, of_code.tolist(), strict=True):
            if root is not MISSING and root in counts:
                counts[root] += count
    return counts


def shown_rows(snapshot: Snapshot, index: int) -> Mask | None:
    """Return which rows of a part stand for a document or a file, None for all of them.

    A file's row is that of its first chunk; rows that do not live count for nothing.
    """
    part = snapshot.parts[index]
    roots = chunk_roots(part.segment)
    if not _has_chunks(roots):
        return None
    live, first = live_rows_of(part), _is_first(part.segment)
    shown: Mask = (roots.codes == 0) | first
    headless = np.zeros(len(roots.values), np.bool_)
    headless[roots.codes[live]] = True
    headless[roots.codes[live & first]] = False
    headless[0] = False
    # Somebody deleted the first chunk, or it was written again and lies in another part.
    for code in np.flatnonzero(headless).tolist():
        _, ref = chunks_of(snapshot, str(roots.values[code]))[0]
        if ref.part == index:
            shown[ref.row] = True
    return shown


def file_column(segment: Segment) -> Column:
    """Return the ids by which a segment's documents are known: of chunks, their file's."""

    roots = chunk_roots(segment)
    if not _has_chunks(roots):
        return segment.column("document_id")

    def make() -> Column:
        names = [roots.values[code] for code in roots.codes]
        own = (
            one if root is MISSING else root for one, root in zip(segment.ids, names, strict=True)
        )
        codes: dict[JsonValue, int] = {}
        rows = np.array([codes.setdefault(one, len(codes)) for one in own], np.int32)
        return Column(tuple(codes), rows)

    return segment.derived_column("the file's id", make)


def chunk_roots(segment: Segment) -> Column:
    """Return the file that each row is a chunk of; code 0 is MISSING: of none."""

    def make() -> Column:
        codes: dict[str, int] = {}
        rows = np.zeros(segment.count, np.int32)
        for row in _marked_rows(segment.ids).tolist():
            one = segment.ids[row]
            root = _root_at(segment, row, one)
            if root is not None:
                rows[row] = codes.setdefault(root, len(codes) + 1)
        return Column((MISSING, *codes), rows)

    return segment.derived_column("the chunk's file", make)


def live_rows_of(part: Part) -> Mask:
    """Return which rows of a part live."""
    return np.ones(part.segment.count, np.bool_) if part.live is None else part.live


def _is_first(segment: Segment) -> Mask:
    roots = chunk_roots(segment).codes

    def make() -> Column:
        rows = np.zeros(segment.count, np.int32)
        for row in np.flatnonzero(roots).tolist():
            rows[row] = segment.ids.read_bytes(row).endswith(b"#0")
        return Column((False, True), rows)

    first: Mask = segment.derived_column("a file's first chunk", make).codes.astype(np.bool_)
    return first


def _has_chunks(roots: Column) -> bool:
    return len(roots.values) > 1


def _root_at(segment: Segment, row: int, document_id: str) -> str | None:
    # Most ids say that they cannot be a chunk's, without their payload being read.
    return None if _split(document_id) is None else root_of(document_id, segment.payload(row))


def _marked_rows(ids: IdTable) -> Int32:
    """Return the rows whose ids contain the mark: only these can be chunks."""
    (places,) = np.nonzero(ids.text == ord(_MARK))
    rows = np.searchsorted(ids.offsets, places, side="right") - 1
    return np.unique(rows).astype(np.int32)


def _split(document_id: str) -> str | None:
    """Return the file of a chunk's id; None for an id that cannot be a chunk's."""
    root, mark, number = document_id.rpartition(_MARK)
    if not root or not mark or len(number) > _MAX_DIGITS:
        return None
    if not (number.isascii() and number.isdigit()) or str(int(number)) != number:
        return None
    return root
