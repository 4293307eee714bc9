"""Which attribute columns a segment stores beside its documents, and how they are written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from core.arrays import Int32
from core.filtering.paths import MISSING
from core.search.columns import Column, encode_values
from core.types import JsonObject, ReadOnlyObject

MAX_FIELDS: Final = 256
MAX_STORED_COLUMNS: Final = 32
# Beyond this a column's values are hardly fewer than its rows: such fields stay in the payloads
# and become a column when a filter first asks.
MAX_STORED_VALUES: Final = 1024
_SYSTEM_FIELD: Final = "_internal"


@dataclass(frozen=True, slots=True)
class StoredColumns:
    """Columns of top-level scalar fields with few distinct values.

    `fields` are the names of all top-level fields that the documents have, None if too many.
    `dotted` says that some of these names hold dots, or may hold them.
    """

    columns: Mapping[str, Column]
    fields: frozenset[str] | None
    dotted: bool = field(init=False)

    def __post_init__(self) -> None:
        dotted = self.fields is None or any("." in name for name in self.fields)
        object.__setattr__(self, "dotted", dotted)

    def find(self, path: str, count: int) -> Column | None:
        """Return the column of `path` over `count` rows if that needs no document to be read."""
        if path in self.columns:
            return self.columns[path]
        # A path with dots can reach into a field, or be a name that itself contains them.
        if self.fields is not None and path not in self.fields and "." not in path:
            return Column((MISSING,), np.zeros(count, np.int32))
        return None


def build_columns(documents: Sequence[ReadOnlyObject]) -> StoredColumns:
    """Return the columns worth storing, rows in the order of `documents`."""
    names = dict.fromkeys(chain.from_iterable(documents))
    chosen: dict[str, Column] = {}
    for name in names:
        if name == _SYSTEM_FIELD or len(chosen) == MAX_STORED_COLUMNS:
            continue
        # Where a document lacks the name "a.b", the path a.b still descends into its "a".
        if "." in name:
            continue
        column = _build_scalar_column(documents, name)
        if column is not None:
            chosen[name] = column
    return StoredColumns(chosen, frozenset(names) if len(names) <= MAX_FIELDS else None)


def _build_scalar_column(documents: Sequence[ReadOnlyObject], name: str) -> Column | None:
    # A sample refuses most fields of many values before the whole of them is read.
    sample = [fields.get(name) for fields in documents[: 2 * MAX_STORED_VALUES]]
    if any(isinstance(value, list | dict) for value in sample):
        return None
    if len(set(sample)) > MAX_STORED_VALUES:
        return None
    column = encode_values(fields.get(name, MISSING) for fields in documents)
    return column if _is_worth_storing(column) else None


def _is_worth_storing(column: Column) -> bool:
    return len(column.values) <= MAX_STORED_VALUES and not any(
        isinstance(value, list | dict) for value in column.values
    )


def merge_columns(parts: Sequence[StoredColumns], places: Sequence[Int32]) -> StoredColumns:
    """Return the columns of a merged segment without reading its documents.

    `places[i][row]` is the new row of row `row` of part i, or -1 if it was dropped. A column that
    one part did not think worth storing is not stored again.
    """
    names: dict[str, None] = {}
    for part in parts:
        names.update(dict.fromkeys(part.columns))
    merged: dict[str, Column] = {}
    for name in names:
        column = _merge_column(name, parts, places)
        if column is not None and len(merged) < MAX_STORED_COLUMNS:
            merged[name] = column
    fields: set[str] = set()
    for part in parts:
        if part.fields is None:
            return StoredColumns(merged, None)
        fields |= part.fields
    return StoredColumns(merged, frozenset(fields) if len(fields) <= MAX_FIELDS else None)


def _merge_column(
    name: str, parts: Sequence[StoredColumns], places: Sequence[Int32]
) -> Column | None:
    found = [part.find(name, len(new)) for part, new in zip(parts, places, strict=True)]
    columns = [column for column in found if column is not None]
    if len(columns) < len(found):
        return None
    union = encode_values(chain.from_iterable(column.values for column in columns))
    codes = np.zeros(sum(int((new >= 0).sum()) for new in places), np.int32)
    start = 0
    for column, new in zip(columns, places, strict=True):
        recoded = union.codes[start : start + len(column.values)]
        kept = new >= 0
        codes[new[kept]] = recoded[column.codes[kept]]
        start += len(column.values)
    # Values that only dropped rows had would otherwise pile up, merge after merge.
    used, compact = np.unique(codes, return_inverse=True)
    merged = Column(tuple(union.values[code] for code in used), compact.astype(np.int32))
    return merged if _is_worth_storing(merged) else None


def columns_to_sections(stored: StoredColumns) -> dict[str, NDArray[Any]]:
    """Return the arrays to store; names and values go as one JSON text."""
    directory: list[JsonObject] = []
    sections: dict[str, NDArray[Any]] = {}
    for index, (name, column) in enumerate(stored.columns.items()):
        missing = next((i for i, value in enumerate(column.values) if value is MISSING), None)
        values = [None if value is MISSING else value for value in column.values]
        directory.append({"path": name, "values": values, "missing": missing})
        sections[f"columns.{index}"] = column.codes
    fields = None if stored.fields is None else sorted(stored.fields)
    text = orjson.dumps({"columns": directory, "fields": fields})
    return {"columns": np.frombuffer(text, np.uint8), **sections}


def columns_from_sections(sections: Mapping[str, NDArray[Any]]) -> StoredColumns:
    """Return the stored columns."""
    directory = orjson.loads(sections["columns"].tobytes())
    columns: dict[str, Column] = {}
    for index, entry in enumerate(directory["columns"]):
        values = entry["values"]
        if entry["missing"] is not None:
            values[entry["missing"]] = MISSING
        columns[entry["path"]] = Column(tuple(values), sections[f"columns.{index}"])
    fields = directory["fields"]
    return StoredColumns(columns, None if fields is None else frozenset(fields))
