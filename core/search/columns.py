"""Attribute columns: one field of many documents, each distinct value once, so that a predicate
is evaluated per distinct value and gathered per row."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from core.arrays import Int32
from core.filtering.paths import MISSING, resolve
from core.types import JsonValue

_SCALARS = (str, int, float, bool, type(None))


@dataclass(frozen=True, slots=True)
class Column:
    """`values[codes[row]]` is the field's value in `row`, or MISSING where it has none.

    Values are distinct as JSON text: 1, 1.0, true and "1" are four. Arrays and objects are whole
    values. A value may stand here without a row that has it.
    """

    values: tuple[JsonValue, ...]
    codes: Int32  # (n,)

    @property
    def nbytes(self) -> int:
        """Roughly what the column keeps in memory."""
        return int(self.codes.nbytes) + sum(map(_weight, self.values))


def build_column(documents: Iterable[Mapping[str, Any]], path: str) -> Column:
    """Return the column of `path` (dots descend, as in filters) over documents in row order."""
    return encode_values(resolve(document, path) for document in documents)


def encode_values(values: Iterable[JsonValue]) -> Column:
    """Return the column of values given row by row, MISSING included."""
    codes_by_key: dict[Any, int] = {}
    distinct: list[JsonValue] = []
    codes: list[int] = []
    for value in values:
        key = _key(value)
        code = codes_by_key.get(key)
        if code is None:
            code = codes_by_key[key] = len(distinct)
            distinct.append(value)
        codes.append(code)
    return Column(tuple(distinct), np.array(codes, np.int32))


def _weight(value: JsonValue) -> int:
    """Return roughly the bytes of one value: long texts are what makes columns large."""
    if isinstance(value, str):
        return 64 + len(value)
    # As JSON an element takes a few bytes, as an object several times that.
    return 64 + 8 * len(_key(value)) if isinstance(value, list | dict) else 64


def _key(value: JsonValue) -> Any:
    if value is MISSING:
        return MISSING
    # The class keeps True, 1 and 1.0 apart, which Python holds to be equal.
    if isinstance(value, _SCALARS):
        return value.__class__, value
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
