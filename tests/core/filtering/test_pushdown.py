"""Filters pushed to an index: whatever passes the filter passes what was pushed of it."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.filtering.conditions import parse_filter
from core.filtering.operators import matches
from core.filtering.pushdown import MAX_PUSHED_OPERANDS, metadata_of, push_down, size_of
from core.storage.remote_vectors import MAX_FILTERABLE
from tests.s3vectors_fake import passes

FIELDS = ("a", "b.c")
LONG = "x" * 200

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, 1.0, -0.0, 0.1, 2**53 + 1, 10**30, -(2**60), 1e308, 5e-324]),
    st.sampled_from(["", "x", "X", "1", "ß", "-", "z", "b1", "2024-05-01", LONG, LONG + "y"]),
    st.sampled_from(["2024-05-01T00:00:00.0004Z", "2024-04-30T23:59:59+00:00", "2024-05-02"]),
)
values = st.one_of(
    scalars,
    st.lists(st.one_of(scalars, st.lists(scalars, max_size=2)), max_size=3),
    st.just({"k": 1}),
    st.just([{"c": 1}, {"c": "x"}, {}]),
)
documents = st.fixed_dictionaries(
    {}, optional={"a": values, "b": st.one_of(values, st.fixed_dictionaries({"c": values}))}
)
names = st.sampled_from(["a", "b.c", "other"])
comparable = scalars.filter(lambda v: v is not None and not isinstance(v, bool))


def condition(name: str, operator: str, value: Any, **more: Any) -> dict[str, Any]:
    """A condition as written."""
    return {"field": name, "operator": operator, "value": value, **more}


conditions = st.one_of(
    st.builds(condition, names, st.sampled_from(["eq", "ne"]), values),
    st.builds(
        lambda *of: condition(*of, case_sensitive=False),
        names,
        st.sampled_from(["eq", "ne"]),
        st.sampled_from(["x", "ß"]),
    ),
    st.builds(condition, names, st.sampled_from(["in", "nin"]), st.lists(scalars, max_size=3)),
    st.builds(condition, names, st.sampled_from(["gt", "gte", "lt", "lte"]), comparable),
    st.builds(condition, names, st.sampled_from(["exists", "is_null"]), st.booleans()),
    st.builds(condition, names, st.just("contains"), st.just("x")),
)
trees = st.recursive(
    conditions,
    lambda inner: st.dictionaries(
        st.sampled_from(["AND", "OR", "NOT"]), st.lists(inner, min_size=1, max_size=3), min_size=1,
        max_size=1,
    ),
    max_leaves=6,
)  # fmt: skip


@settings(derandomize=True, deadline=None, max_examples=1500)
@given(documents, trees)
@example({"a": [None]}, condition("a", "is_null", False))
@example({"a": "2024-05-01T00:00:00.0004Z"}, condition("a", "gte", "2024-05-01"))
@example({"a": 2**53 + 1}, condition("a", "gt", 2**53))
@example({"a": LONG + "y"}, condition("a", "ne", LONG))
def test_nothing_that_passes_is_kept_back(document: dict[str, Any], raw: dict[str, Any]) -> None:
    tree = parse_filter(raw, templates=False)
    assert tree is not None
    if matches(tree, document):
        assert passes(push_down(tree, FIELDS), metadata_of(document, FIELDS))


def test_what_can_be_said_is_said() -> None:
    red, blue = {"a": "red", "b": {"c": 5}}, {"a": ["blue", "red"], "b": {"c": [1, 9]}}
    cases: list[tuple[dict[str, Any], list[bool]]] = [
        (condition("a", "eq", "red"), [True, True]),
        (condition("a", "eq", "blue"), [False, True]),
        (condition("a", "ne", "red"), [False, True]),  # of several values nothing can be said
        (condition("a", "in", ["blue", "x"]), [False, True]),
        (condition("a", "nin", ["red", "x"]), [False, True]),
        (condition("b.c", "gt", 5), [True, True]),  # coarser: 5 itself stays in
        (condition("b.c", "gt", 6), [False, True]),
        (condition("b.c", "lt", 3), [False, True]),
        (condition("a", "exists", False), [False, False]),
        ({"NOT": [condition("a", "eq", "red")]}, [False, True]),
        ({"OR": [condition("a", "eq", "blue"), condition("b.c", "gt", 4)]}, [True, True]),
        ({"AND": [condition("other", "eq", 1), condition("a", "eq", "blue")]}, [False, True]),
    ]
    for raw, wanted in cases:
        pushed = push_down(parse_filter(raw, templates=False), FIELDS)
        assert [passes(pushed, metadata_of(one, FIELDS)) for one in (red, blue)] == wanted, raw


@pytest.mark.parametrize(
    "raw",
    [
        condition("other", "eq", 1),
        condition("a", "regex", "^x"),
        condition("a", "eq", "x", case_sensitive=False),
        condition("a", "gt", "text"),
        condition("a", "in", []),
        condition("a", "in", list(range(MAX_PUSHED_OPERANDS + 1))),
        condition("a", "eq", {"k": 1}),
        condition("a", "ne", LONG),
        {"OR": [condition("a", "eq", 1), condition("other", "eq", 1)]},
        {"NOT": [{"AND": [condition("a", "eq", 1), condition("a", "eq", 2)]}]},
        {"NOT": [condition("a", "gt", 1)]},
    ],
)
def test_what_cannot_be_said_is_left_out(raw: dict[str, Any]) -> None:
    assert push_down(parse_filter(raw, templates=False), FIELDS) is None


def test_no_filter_pushes_nothing() -> None:
    assert push_down(None, FIELDS) is None


def test_long_texts_take_little_of_the_index() -> None:
    assert size_of(metadata_of({"a": "y" * 100_000}, FIELDS)) < 100


def test_the_most_fields_fit_into_what_one_vector_may_carry() -> None:
    names = [f"f{n}" for n in range(MAX_FILTERABLE)]
    assert len(metadata_of(dict.fromkeys(names, [1, 2, "2024-05-01"]), names)) <= 50
