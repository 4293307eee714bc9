"""Chunks of one file by their numbers, read from a pinned snapshot. It blocks."""

from collections.abc import Iterable, Iterator

from core.hits import Hit
from core.rows.row import Row, Source
from core.runtime.environment import Environment
from core.runtime.reading import load_row
from core.storage.files import chunk_id, root_of
from core.storage.snapshot import Ref, Snapshot


def load_chunks(environment: Environment, hit: Hit, numbers: Iterable[int]) -> list[Row]:
    """Return the chunks of these numbers of the file that a hit is a chunk of, with all fields;
    those that there are; of what is no chunk, itself."""
    own = load_row(environment, hit.document_id, hit.source, columns=None)
    root = root_of(hit.document_id, own.fields)
    if root is None:
        return [own]
    snapshot = environment.pinned(hit.source.collection_id)
    rows = []
    for document_id, ref in _places(snapshot, root, numbers, hit.source.part):
        source = Source(hit.source.collection_id, ref.part, ref.row)
        row = load_row(environment, document_id, source, columns=None)
        if root_of(document_id, row.fields) == root:
            rows.append(row)
    return rows


def _places(
    snapshot: Snapshot, root: str, numbers: Iterable[int], part_number: int
) -> Iterator[tuple[str, Ref]]:
    part = snapshot.parts[part_number]
    for number in numbers:
        document_id = chunk_id(root, number)
        # Most chunks of a file lie together: one written later takes the place of this one.
        row = part.segment.ids.find(document_id)
        if row >= 0 and (part.live is None or part.live[row]):
            yield document_id, Ref(part_number, row)
        else:
            ref = snapshot.find(document_id)
            if ref is not None:
                yield document_id, ref
