"""Aggregates against the definitions: Python's statistics module, and numbers that overflow."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.rows import aggregation

numbers = st.lists(st.integers(-1000, 1000) | st.floats(-1e3, 1e3), min_size=1, max_size=20)
several = settings(derandomize=True, deadline=None, max_examples=150)


@given(numbers)
@several
def test_moments(values: list[float]) -> None:
    assert aggregation.average(values) == pytest.approx(statistics.fmean(values), abs=1e-9)
    assert aggregation.variance(values) == pytest.approx(statistics.pvariance(values), abs=1e-6)
    assert aggregation.deviation(values) == pytest.approx(statistics.pstdev(values), abs=1e-4)


@given(numbers, st.floats(0, 100))
@several
def test_percentiles_are_numpys(values: list[float], percent: float) -> None:
    ours = aggregation.percentile(values, percent)
    assert ours == pytest.approx(np.percentile(np.asarray(values, float), percent), abs=1e-9)


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), max_size=12))
@several
def test_correlation_is_pearsons(pairs: list[tuple[float, float]]) -> None:
    ours = aggregation.correlation(pairs)
    left, right = [a for a, _ in pairs], [b for _, b in pairs]
    if len(set(left)) < 2 or len(set(right)) < 2:
        assert ours is None
    else:
        assert ours == pytest.approx(statistics.correlation(left, right), abs=1e-9)


def test_correlation_of_huge_and_tiny_numbers() -> None:
    assert aggregation.correlation([(1e300, 1e-300), (2e300, 2e-300)]) == pytest.approx(1)


def test_of_nothing() -> None:
    assert aggregation.total([]) == 0
    for function in ("avg", "min", "max", "stddev", "variance"):
        assert aggregation.NUMERIC[function]([]) is None
    assert aggregation.percentile([], 50) is None
    assert aggregation.histogram([], 1) == {"buckets": []}


def test_sums_stay_integers_while_they_fit() -> None:
    assert aggregation.total([2**62, 1]) == 2**62 + 1
    assert isinstance(aggregation.total([2**62, 2**62]), float)
    assert aggregation.total([0.1] * 10) == 1.0


@given(numbers, st.sampled_from([0.1, 0.5, 1, 7, 50]))
@several
def test_every_number_is_in_its_bucket(values: list[float], interval: float) -> None:
    buckets = aggregation.histogram(values, interval)["buckets"]
    assert sum(bucket["count"] for bucket in buckets) == len(values)
    assert [b["from"] for b in buckets] == sorted({b["from"] for b in buckets})
    slack = 1e-9
    for bucket in buckets:
        inside = [v for v in values if bucket["from"] - slack <= v < bucket["to"] + slack]
        assert len(inside) >= bucket["count"]


def test_the_guides_bucket_names() -> None:
    buckets = aggregation.histogram([10, 49.9, 50, -1], 50)["buckets"]
    assert [(b["key"], b["count"]) for b in buckets] == [("-50-0", 1), ("0-50", 2), ("50-100", 1)]


def test_ties_in_a_frequency_go_by_value() -> None:
    values = ["b", "a", 1, True, 1.0, "b", "c"]
    assert aggregation.frequency(values, 3) == [
        {"value": "b", "count": 2},
        {"value": 1, "count": 2},
        {"value": "a", "count": 1},
    ]


def test_too_large_is_an_error_not_infinity() -> None:
    with pytest.raises(OverflowError):
        aggregation.total([1e308, 1e308])
    assert aggregation.variance([1e200, -1e200]) == math.inf  # the stage refuses it
