"""Aggregates of one group's values: each function maps values to one JSON value.

`values` are a field's values in the rows' order, without missing, null and NaN. Variance and
standard deviation are the population's (divided by n): the rows are all there is, no sample.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.rows.grouping import gather
from core.rows.values import canonical
from core.types import JsonObject, JsonValue

Numbers = Sequence[int | float]


def total(numbers: Numbers) -> int | float:
    """Return the sum, 0 of none: an integer while all are integers and it fits in 64 bits."""
    if all(isinstance(number, int) for number in numbers):
        exact = sum(numbers)
        return exact if -(2**63) <= exact < 2**63 else float(exact)
    return math.fsum(numbers)


def average(numbers: Numbers) -> float | None:
    """Return the mean, None of none."""
    return total(numbers) / len(numbers) if numbers else None


def smallest(numbers: Numbers) -> int | float | None:
    """Return the least number, None of none."""
    return min(numbers, default=None)


def largest(numbers: Numbers) -> int | float | None:
    """Return the greatest number, None of none."""
    return max(numbers, default=None)


def variance(numbers: Numbers) -> float | None:
    """Return the population variance, 0 of one number, None of none."""
    if not numbers:
        return None
    mean = total(numbers) / len(numbers)
    deviations = [number - mean for number in numbers]
    return math.fsum(d * d for d in deviations) / len(numbers)


def deviation(numbers: Numbers) -> float | None:
    """Return the population standard deviation, 0 of one number, None of none."""
    squared = variance(numbers)
    return None if squared is None else math.sqrt(squared)


def percentile(numbers: Numbers, percent: float) -> float | int | None:
    """Return a percentile (0-100), linear between the two nearest ranks (R type 7, as numpy)."""
    if not numbers:
        return None
    ranked = sorted(numbers)
    rank = (len(ranked) - 1) * percent / 100
    below = math.floor(rank)
    above = min(below + 1, len(ranked) - 1)
    low, high = ranked[below], ranked[above]
    return low if low == high or rank == below else low + (high - low) * (rank - below)


def correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Return Pearson's r of pairs; None of fewer than two, or where one side is constant."""
    if len(pairs) < 2:
        return None
    left, right = (_centered(side) for side in zip(*pairs, strict=True))
    length = math.hypot(*left) * math.hypot(*right)
    if length == 0:
        return None
    r = math.fsum(a * b for a, b in zip(left, right, strict=True)) / length
    return max(-1.0, min(1.0, r))


def _centered(side: Sequence[float]) -> list[float]:
    """Return deviations from the mean, scaled to 1 at most: r is the same and nothing overflows."""
    if min(side) == max(side):
        return [0.0] * len(side)
    mean = math.fsum(side) / len(side)
    reach = max(abs(value - mean) for value in side)
    return [(value - mean) / reach for value in side]


def distinct(values: Sequence[JsonValue]) -> list[JsonValue]:
    """Return each different value once, by first appearance."""
    return [alike[0] for alike in gather(values, canonical).values()]


def frequency(values: Sequence[JsonValue], top_k: int) -> list[JsonObject]:
    """Return `{value, count}` of the most common values; ties by the value's JSON text."""
    return [{"value": value, "count": count} for value, count in _common(values, top_k)]


def co_occurrence(pairs: Sequence[tuple[JsonValue, JsonValue]], top_k: int) -> list[JsonObject]:
    """Return `{value_a, value_b, count}` of the most common pairs; ties by their JSON text."""
    return [
        {"value_a": pair[0], "value_b": pair[1], "count": count}
        for pair, count in _common(pairs, top_k)
    ]


def _common(values: Sequence[Any], top_k: int | None) -> list[tuple[Any, int]]:
    counted = [(-len(alike), key, alike[0]) for key, alike in gather(values, canonical).items()]
    ranked = sorted(counted, key=lambda entry: entry[:2])[:top_k]
    return [(value, -count) for count, _, value in ranked]


def histogram(values: Sequence[JsonValue], interval: float | None = None) -> JsonObject:
    """Return `{buckets: [{key: "0-50", from, to, count}]}` of numbers, ascending.

    A bucket holds what is at least `from` and less than `to`; empty ones are left out. Without
    an interval: `{buckets: [{key, count}]}`, one per different value, most common first.
    """
    if interval is None:
        return {"buckets": [{"key": v, "count": n} for v, n in _common(values, None)]}
    width = interval
    buckets = gather(values, lambda number: math.floor(number / width))
    return {
        "buckets": [
            _bucket(number * width, (number + 1) * width, len(inside))
            for number, inside in sorted(buckets.items())
        ]
    }


def _bucket(low: float, high: float, count: int) -> JsonObject:
    return {"key": f"{low:.12g}-{high:.12g}", "from": low, "to": high, "count": count}


NUMERIC: Mapping[str, Callable[[Numbers], JsonValue]] = {
    "sum": total,
    "avg": average,
    "min": smallest,
    "max": largest,
    "stddev": deviation,
    "variance": variance,
}
SIMPLE: Mapping[str, Callable[[Sequence[JsonValue]], JsonValue]] = {
    **NUMERIC,
    "count": len,
    "count_distinct": lambda values: len(distinct(values)),
    "first": lambda values: values[0] if values else None,
    "last": lambda values: values[-1] if values else None,
    "collect": list,
    "collect_distinct": distinct,
}
