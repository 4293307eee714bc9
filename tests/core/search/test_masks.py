"""One meaning, two speeds: a row mask equals `matches` on every document."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import DeadlineError
from core.filtering.conditions import Condition, parse_filter
from core.filtering.operators import matches
from core.filtering.predicates import OPERATORS
from core.search.columns import Column, build_column, encode_values
from core.search.masks import mask_for

SCALARS = st.sampled_from(
    [None, True, False, 0, 1, 1.0, -2.5, "a", "A", "b", "ab", "1", "", "dogs drink", "2024-05-01",
     "2024-05-01T00:30:00+01:00", "2024-04-30T23:00:00Z"]
)  # fmt: skip  # a bag of values
POINTS = st.sampled_from([[13.4, 52.5], {"lat": 48.9, "lon": 2.4}, [180, 0], [0, 95]])
STORED = st.recursive(
    SCALARS | POINTS | st.just([[13.4, 52.5], [2.4, 48.9]]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["x", "y", "x.y"]), inner, max_size=2)
    ),
    max_leaves=5,
)
DOCUMENTS = st.lists(
    st.dictionaries(st.sampled_from(["a", "b", "a.x"]), STORED, max_size=3), max_size=8
)
TEXTS = st.sampled_from(["a", "B", "", "dog", "2024-05-01"])
OPERANDS: dict[str, st.SearchStrategy[Any]] = {
    "eq": STORED,
    "ne": STORED,
    "in": st.lists(STORED, max_size=3),
    "nin": st.lists(STORED, max_size=3),
    "regex": st.sampled_from(["a", "^b?$", "[0-9]+", "(a*)*"]),
    "exists": st.booleans(),
    "is_null": st.booleans(),
    "phrase": st.sampled_from(["dogs", "dogs drink"]),
    "words": st.sampled_from(["drinking", "dog drinks"]),
    "geo_radius": st.just({"center": [13.4, 52.5], "radius": 1e5}),
    "geo_bounding_box": st.just({"top_left": [179, 60], "bottom_right": [10, -10]}),
    "geo_polygon": st.just({"exterior": {"points": [[0, 40], [20, 40], [10, 60]]}}),
} | {
    name: SCALARS.filter(lambda v: v is not None and not isinstance(v, bool))
    for name in ("gt", "gte", "lt", "lte")
}
CASES = {name for name, operator in OPERATORS.items() if operator.case_default is not None}


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    operator = draw(st.sampled_from(list(OPERATORS)))
    raw = {
        "field": draw(st.sampled_from(["a", "b", "a.x", "a.x.y", "a.0", "gone"])),
        "operator": operator,
        "value": draw(OPERANDS.get(operator, TEXTS)),
    }
    if operator in CASES and draw(st.booleans()):
        raw["case_sensitive"] = draw(st.booleans())
    return raw


FILTERS = st.recursive(
    conditions(),
    lambda inner: st.builds(
        lambda key, parts: {key: parts},
        st.sampled_from(["AND", "OR", "NOT"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=5,
)


@settings(derandomize=True, deadline=None, max_examples=1_500)
@given(FILTERS, DOCUMENTS)
def test_a_mask_equals_the_filter_of_single_documents(
    raw: Any, documents: list[dict[str, Any]]
) -> None:
    tree = parse_filter(raw)
    assert tree is not None
    mask = mask_for(tree, lambda path: build_column(documents, path), len(documents))
    assert mask.dtype == np.bool_
    assert mask.tolist() == [matches(tree, document) for document in documents]


def test_every_operator_says_yes_and_no_somewhere() -> None:
    documents = [{"a": v} for v in (None, "dogs drink", "zz", "", 5, True, [13.4, 52.5])]
    operands: dict[str, Any] = {
        "eq": 5, "ne": 5, "in": [5], "nin": [5], "gt": 4, "gte": 5, "lt": 6, "lte": 5, "regex": "z",
        "exists": True, "is_null": True, "phrase": "dogs", "words": "dog",
        "contains": "z", "starts_with": "z", "ends_with": "z", "text": "z",
        "geo_radius": {"center": [13.4, 52.5], "radius": 1},
        "geo_bounding_box": {"top_left": [13, 53], "bottom_right": [14, 52]},
        "geo_polygon": {"exterior": {"points": [[13, 52], [14, 52], [13.5, 53]]}},
    }  # fmt: skip  # a table
    assert operands.keys() == OPERATORS.keys()
    for operator, operand in operands.items():
        tree = parse_filter({"field": "a", "operator": operator, "value": operand})
        assert tree is not None
        rows = [*documents, {}]
        mask = mask_for(tree, partial(build_column, rows), len(rows))
        assert mask.any(), operator
        assert not mask.all(), operator


def test_a_predicate_is_evaluated_once_per_distinct_value() -> None:
    asked: list[str] = []
    documents = [{"a": "x" if i % 2 else "y", "b": i} for i in range(1_000)]

    def columns(path: str) -> Column:
        asked.append(path)
        column = build_column(documents, path)
        assert path != "a" or len(column.values) == 2
        return column

    tree = parse_filter([{"a": "x"}, {"a": "z"}, {"b": 3}])
    assert tree is not None
    assert not mask_for(tree, columns, 1_000).any()
    assert asked == ["a", "a"]  # no row is left: b's column is not even built


def test_no_rows() -> None:
    tree = parse_filter({"OR": [{"a": 1}, {"NOT": {"b": 2}}]})
    assert tree is not None
    assert mask_for(tree, lambda path: build_column([], path), 0).shape == (0,)


def test_a_dear_filter_stops_when_told() -> None:
    column = encode_values(f"value {n}" for n in range(10_000))
    asked: list[bool] = []

    def stop() -> bool:
        asked.append(True)
        return len(asked) > 3

    tree = Condition("f", "regex", "9$")
    with pytest.raises(DeadlineError):
        mask_for(tree, lambda _: column, 10_000, stop)
    assert len(asked) == 4
