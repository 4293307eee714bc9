"""Rows and vectors of documents, read from pinned snapshots. All of it blocks."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from core.arrays import Float32, UInt8
from core.filtering.paths import MISSING, assign
from core.rows.row import Row, Rows, Source
from core.runtime.environment import Environment
from core.storage.snapshot import Ref
from core.types import JsonObject, JsonValue


def load_row(
    environment: Environment, document_id: str, source: Source, *, columns: JsonValue
) -> Row:
    """Read a document's row: all of its fields, or only `columns` (top-level names) if they are
    named and stand in columns already.

    Where names themselves hold dots, the path a.b may not lie in the field a: then all are read.
    """
    identity = {"document_id": document_id, "collection_id": source.collection_id}
    segment = environment.pinned(source.collection_id).parts[source.part].segment
    if columns is not None and not segment.stored_columns.dotted:
        held = [(path, segment.held_column(path)) for path in columns]
        ready = [(path, column) for path, column in held if column is not None]
        if len(ready) == len(held):
            partial: JsonObject = {}
            for path, column in ready:
                value = column.values[column.codes[source.row]]
                if value is not MISSING:
                    partial = assign(partial, path, value)
            return Row(document_id, {**partial, **identity}, source, partial=True)
    return Row(document_id, {**segment.payload(source.row), **identity}, source)


def hydrate_row(environment: Environment, row: Row) -> Row:
    """Return the row with every stored field under what stages wrote."""
    if not row.partial or row.source is None:
        return row
    return Row(row.document_id, whole_fields(environment, row), row.source)


def whole_fields(environment: Environment, row: Row) -> JsonObject:
    """Return a row's fields with every stored one under what stages wrote, in an object that is
    the caller's own."""
    if not row.partial or row.source is None:
        return dict(row.fields)
    segment = environment.pinned(row.source.collection_id).parts[row.source.part].segment
    return {**segment.payload(row.source.row), **row.fields}


def read_vectors(
    environment: Environment,
    rows: Sequence[Row],
    names: Sequence[str] | None,
    stop: Callable[[], bool] = lambda: False,
) -> "Iterator[tuple[list[int], list[dict[str, Float32 | UInt8]]]]":
    """Yield, for each collection, the positions of its rows and those rows' vectors by name."""
    by_collection: dict[str, list[int]] = {}
    for position, row in enumerate(rows):
        if row.source is not None:
            by_collection.setdefault(row.source.collection_id, []).append(position)
    for collection_id, positions in by_collection.items():
        sources = (rows[position].source for position in positions)
        refs = [Ref(source.part, source.row) for source in sources if source is not None]
        yield positions, environment.pinned(collection_id).vectors_of(refs, names, stop)


def vectors_outside(
    environment: Environment, rows: Rows, name: str, stop: Callable[[], bool]
) -> list[Float32 | UInt8 | None]:
    """Return each row's vector, those of one collection read together."""
    vectors: list[Float32 | UInt8 | None] = [None] * len(rows)
    for positions, found in read_vectors(environment, rows, [name], stop):
        for position, of_row in zip(positions, found, strict=True):
            vectors[position] = of_row.get(name)
    return vectors


def find_ids(
    collection_id: str, find: "Callable[[str], Ref | None]", values: Iterable[JsonValue]
) -> dict[int, tuple[str, Source]]:
    """Return the documents of these ids, by the position of the id, those there are."""
    found: dict[int, tuple[str, Source]] = {}
    for position, value in enumerate(values):
        ref = find(value) if isinstance(value, str) else None
        if ref is not None and isinstance(value, str):
            found[position] = (value, Source(collection_id, ref.part, ref.row))
    return found
