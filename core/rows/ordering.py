"""Orders of JSON values that every sort shares: stable, total, and the same on every run."""

import heapq
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Literal

from core.rows.values import instant_or_none, is_null, number_or_none, text_of
from core.types import JsonValue

Missing = Literal["first", "last", "keep"]


def comparable_column(values: Sequence[JsonValue]) -> list[Any]:
    """Return a key per value such that the keys of one column compare; None for null and NaN.

    Numbers compare as numbers, booleans false < true, strings by code point, or by instant if
    every string is an ISO 8601 date. A column of mixed types, arrays or objects compares as text:
    strings as they are, the rest as compact JSON.
    """
    present = [value for value in values if not is_null(value)]
    if all(isinstance(value, bool) for value in present):
        return [value if isinstance(value, bool) else None for value in values]
    if all(number_or_none(value) is not None for value in present):
        return [number_or_none(value) for value in values]
    if all(isinstance(value, str) for value in present):
        instants = [instant_or_none(value) for value in values]
        if sum(instant is not None for instant in instants) == len(present):
            return instants
        return list(values)
    return [None if is_null(value) else text_of(value) for value in values]


def stable_order(
    keys: Sequence[Any],
    *,
    descending: bool,
    missing: Missing = "last",
    top_k: int | None = None,
) -> list[int]:
    """Return positions in sorted order, the first `top_k` of them; equal keys stay as they came.

    A key of None is missing: such positions stand first or last in either direction, or `keep`
    their place while the others are sorted around them.
    """
    present = [(key, position) for position, key in enumerate(keys) if key is not None]
    absent = [position for position, key in enumerate(keys) if key is None]
    by_key = itemgetter(0)
    if top_k is not None and missing == "last" and top_k < len(present):
        # Both are documented to equal `sorted(...)[:k]`, ties included.
        select = heapq.nlargest if descending else heapq.nsmallest
        return [position for _, position in select(top_k, present, key=by_key)]
    present.sort(key=by_key, reverse=descending)
    order = [position for _, position in present]
    if missing == "last":
        order += absent
    elif missing == "first":
        order = absent + order
    else:
        ranked = iter(order)
        order = [position if key is None else next(ranked) for position, key in enumerate(keys)]
    return order[:top_k]
