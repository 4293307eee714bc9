"""Values: equality is JSON's, instants are instants, and no label stands for two values."""

import json
import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.rows.values import (
    canonical,
    finite_or_none,
    instant_or_none,
    labels,
    number_or_none,
    value_at,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=6,
)


def same_json(one: Any, other: Any) -> bool:
    """Equality of JSON, spelled out: numbers by value, booleans apart from them."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(one[k], other[k]) for k in one)
    return bool(one == other)


@given(st.lists(json_values, max_size=6))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_canonical_text_is_equality(values: list[Any]) -> None:
    for one in values:
        for other in values:
            assert (canonical(one) == canonical(other)) == same_json(one, other)


@given(st.lists(json_values | st.sampled_from(["1", '"1"', "null", "true"]), max_size=6))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_labels_tell_values_apart(values: list[Any]) -> None:
    different = list({canonical(value): value for value in values}.values())
    assert len(set(labels(different))) == len(different)


def test_canonical_details() -> None:
    assert canonical({"b": 1.0, "a": [True, -0.0, math.nan]}) == '{"a":[true,0,null],"b":1}'
    assert canonical(["Straße"], case_sensitive=False) == canonical(
        ["STRASSE"], case_sensitive=False
    )
    assert json.loads(canonical("ü\u2028")) == "ü\u2028"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1970-01-02", 86_400),
        ("1970-01-01T00:00:01Z", 1),
        ("1970-01-01 01:00:00+01:00", 0),
        ("1970-01-01T00:00:00.250", 0.25),
        ("19700101", None),
        ("1970-01", None),
        ("1970-02-30", None),
        ("1970-01-01 around noon", None),
        ("１９７０-01-01", None),
        (0, None),
    ],
)
def test_instants(value: Any, seconds: float | None) -> None:
    assert instant_or_none(value) == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize("value", [True, "1", None, [1], math.nan])
def test_what_is_no_number(value: Any) -> None:
    assert number_or_none(value) is None
    assert finite_or_none(value) is None


def test_numbers() -> None:
    assert number_or_none(10**400) == 10**400
    assert finite_or_none(10**400) is None
    assert finite_or_none(math.inf) is None
    assert finite_or_none(3) == 3.0
    assert value_at({"a": {"b": math.nan}}, "a.b") is None
