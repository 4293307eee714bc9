"""Reading filters: every accepted shape, every fault at once, templates, hostile depth."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import FilterError, Problem, TemplateError
from core.filtering.conditions import (
    And,
    Condition,
    Filter,
    Not,
    Or,
    fields_of,
    filter_key,
    filter_to_json,
    is_templated,
    parse_filter,
    render_filter,
)
from core.filtering.operators import matches
from core.filtering.predicates import OPERATORS


def read(raw: Any, **options: Any) -> Filter:
    tree = parse_filter(raw, **options)
    assert tree is not None
    return tree


def problems_of(raw: Any, **options: Any) -> list[tuple[str, str]]:
    with pytest.raises(FilterError) as caught:
        parse_filter(raw, **options)
    assert caught.value.blame == "caller"
    return [(problem.path, problem.message) for problem in caught.value.problems]


@pytest.mark.parametrize("raw", [None, {}, [], {"AND": []}, {"NOT": []}, {"AND": None, "OR": None}])
def test_an_absent_filter_is_none(raw: Any) -> None:
    assert parse_filter(raw) is None


def test_shapes() -> None:
    bare = {"field": "a", "operator": "eq", "value": 1}
    condition = Condition("a", "eq", 1)
    assert read(bare) == condition
    assert read({"field": "a", "value": 1}) == condition
    assert read({"field": "a", "operator": None, "value": 1}) == condition
    assert read({"a": 1}) == condition
    assert read([bare]) == condition
    assert read({"AND": [bare]}) == condition
    assert read({"OR": [bare]}) == condition
    assert read({"NOT": bare}) == read({"NOT": [bare]}) == Not((condition,))
    assert read({"AND": [bare], "b.c": 2}) == And((condition, Condition("b.c", "eq", 2)))
    assert read({"OR": [bare, {"b": 2}]}) == Or((condition, Condition("b", "eq", 2)))
    assert read({"field": "a", "operator": "exists"}) == Condition("a", "exists", True)
    assert read({"AND": [bare, {"AND": [bare, {"b": 2}]}]}) == read([bare, {"b": 2}])


def test_case_sensitive_of_nodes_reaches_only_text_operators() -> None:
    raw = {
        "AND": [
            {"field": "a", "operator": "contains", "value": "x"},
            {"field": "a", "operator": "contains", "value": "y", "case_sensitive": False},
            {"a": "z"},
        ],
        "case_sensitive": True,
    }
    tree = read(raw)
    assert isinstance(tree, And)
    assert [part.case_sensitive for part in tree.parts if isinstance(part, Condition)] == [
        True,
        False,
        True,
    ]
    # Typed clients always send false on nodes: it must not loosen equality.
    assert read({"AND": [{"a": "z"}], "case_sensitive": False}) == Condition("a", "eq", "z")


def test_every_fault_is_named_at_once() -> None:
    found = problems_of(
        {
            "AND": [
                {"field": "a", "operator": "equals", "value": 1},
                {"field": "a", "operator": "in", "value": "x"},
                {"field": "", "value": 1},
                {"field": "a", "operator": "gt"},
                {"field": "a", "value": 1, "negate": True},
                {"operator": "eq", "value": 1},
                {"field": "a", "operator": "regex", "value": "(?=x)"},
                {"field": "a", "operator": "geo_radius", "value": {"center": [0, 95], "radius": 1}},
                7,
                {},
                None,
            ],
            "OR": [],
            "NOT": 3,
            "and": [],
            "$gt": 1,
            "price": {"gte": 1, "lte": 2},
            "case_sensitive": "no",
        },
        path="queries.3.filters",
    )
    assert [path.removeprefix("queries.3.filters.") for path, _ in found] == [
        "case_sensitive",
        "AND.0.operator",
        "AND.1.value",
        "AND.2.field",
        "AND.3.value",
        "AND.4.negate",
        "AND.5.operator",
        "AND.5.value",
        "AND.6.value",
        "AND.7.value",
        "AND.8",
        "AND.9",
        "AND.10",
        "OR",
        "NOT",
        "and",
        "$gt",
        "price",
    ]


def test_an_unknown_operator_offers_the_known_ones() -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter({"field": "a", "operator": "like", "value": "x"})
    assert caught.value.problems[0].accepted == tuple(OPERATORS)
    assert isinstance(caught.value.problems[0], Problem)


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        ("gt", None), ("gt", True), ("gt", [1]), ("lte", {"a": 1}), ("in", "a"), ("nin", None),
        ("contains", 1), ("starts_with", None), ("ends_with", ["a"]), ("text", 1),
        ("regex", 1), ("regex", "("), ("regex", "(a)\\1"), ("regex", "a" * 1_001),
        ("regex", "((a{100}){100}){100}"), ("regex", "\ud800"), ("exists", "true"),
        ("is_null", 1), ("phrase", "!?"), ("words", ""), ("words", 4), ("eq", float("nan")),
        ("in", [float("inf")]), ("geo_radius", [1, 2]), ("geo_polygon", {"exterior": []}),
    ],
)  # fmt: skip  # one line a few cases
def test_wrong_operands_are_refused(operator: str, value: Any) -> None:
    ((path, message),) = problems_of({"field": "a", "operator": operator, "value": value})
    assert path == "filters.value"
    assert operator in message


@pytest.mark.parametrize("wrap", [
    lambda inner: {"AND": [inner]},
    lambda inner: {"NOT": inner},
    lambda inner: [inner],
    lambda inner: {"a": [inner]},
    lambda inner: {"field": "a", "value": inner},
])  # fmt: skip  # one wrapper a line
@pytest.mark.parametrize("depth", [40, 200, 5_000])
def test_depth_is_an_error_never_a_crash(wrap: Any, depth: int) -> None:
    raw: Any = {"field": "a", "value": 1}
    for _ in range(depth):
        raw = wrap(raw)
    if depth > 40 or wrap({}) in ({"AND": [{}]}, {"NOT": {}}, [{}]):
        assert any("deep" in message for _, message in problems_of(raw))


def test_depth_that_is_allowed() -> None:
    raw: Any = {"field": "a", "value": 1}
    for _ in range(31):
        raw = {"NOT": [raw]}
    assert not matches(read(raw), {"a": 1})


def test_too_many_conditions() -> None:
    assert problems_of({"OR": [{"a": i} for i in range(1_001)]})
    assert read({"OR": [{"a": i} for i in range(1_000)]})


def test_templates_wait_for_rendering() -> None:
    raw = {
        "AND": [
            {"field": "brand", "operator": "in", "value": "{{INPUT.brands}}"},
            {
                "field": "meta.{{INPUT.key}}",
                "value": {"type": "dynamic", "field": "inputs.user.id"},
            },
            {"field": "ok", "value": 1},
        ]
    }
    tree = read(raw)
    assert is_templated(tree)
    assert isinstance(tree, And)
    seen: list[tuple[Any, str]] = []
    answers = {
        "{{INPUT.brands}}": ["a", "b"],
        "meta.{{INPUT.key}}": "meta.k",
        '{{INPUT["user"]["id"]}}': "{{u}}",
    }

    def render(value: Any, path: str) -> Any:
        seen.append((value, path))
        return answers.get(value, value)

    rendered = render_filter(tree, render)
    assert not is_templated(rendered)
    assert ("{{INPUT.brands}}", "filters.AND.0.value") in seen
    assert isinstance(rendered, And)
    assert rendered.parts[2] is tree.parts[2]
    # A value that came from data keeps its braces and is evaluated as it is.
    assert matches(rendered, {"brand": "a", "meta": {"k": "{{u}}"}, "ok": 1})
    assert fields_of(rendered) == {"brand", "meta.k", "ok"}
    assert render_filter(rendered, render) is rendered


def test_rendered_operands_are_checked_again() -> None:
    tree = read({"AND": [{"field": "a", "operator": "in", "value": "{{x}}"}, {"{{y}}": 1}]})
    with pytest.raises(FilterError) as caught:
        render_filter(tree, lambda value, _: {"{{x}}": "text", "{{y}}": 3}.get(value, value))
    assert [p.path for p in caught.value.problems] == [
        "filters.AND.0.value",
        "filters.AND.1.{{y}}",
    ]
    deep: Any = 1
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(FilterError):
        render_filter(read({"a": "{{x}}"}), lambda value, _: deep if value == "{{x}}" else value)


def test_an_input_that_was_not_given_is_an_error() -> None:
    tree = read({"OR": [{"a": "{{INPUT.x}}"}, {"b": "{{INPUT.y}}"}, {"c": 1}]})

    def render(value: Any, path: str) -> Any:
        if "{{" in str(value):
            raise TemplateError("INPUT.x is undefined", [Problem(path, "undefined")])
        return value

    with pytest.raises(TemplateError) as caught:
        render_filter(tree, render)
    assert [p.path for p in caught.value.problems] == ["filters.OR.0.a", "filters.OR.1.b"]


@pytest.mark.parametrize("field", ["user_id", "doc.x", 3, "inputs"])
def test_dynamic_values_come_from_inputs(field: Any) -> None:
    assert problems_of({"field": "a", "value": {"type": "dynamic", "field": field}})


def test_braces_are_text_where_templates_are_not_allowed() -> None:
    tree = read({"a": "{{x}}"}, templates=False)
    assert not is_templated(tree)
    assert matches(tree, {"a": "{{x}}"})


def test_equality_and_keys_tell_types_apart() -> None:
    trees = [read({"a": value}) for value in (1, True, "1", None)]
    assert len({filter_key(tree) for tree in trees}) == len(set(trees)) == 4
    assert read({"a": 1}, path="x") == read({"a": 1}, path="y")
    assert filter_key(read([{"a": 1}, {"b": 2}])) != filter_key(read({"OR": [{"a": 1}, {"b": 2}]}))
    assert filter_key(None) == ""


VALUES = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["a", "B", "{{INPUT.x}}"])
CONDITIONS = st.one_of(
    st.fixed_dictionaries(
        {
            "field": st.sampled_from(["a", "b.c"]),
            "operator": st.sampled_from(["eq", "ne"]),
            "value": VALUES,
        },
        optional={"case_sensitive": st.booleans()},
    ),
    st.fixed_dictionaries(
        {
            "field": st.just("a"),
            "operator": st.sampled_from(["contains", "regex"]),
            "value": st.just("x"),
        },
        optional={"case_sensitive": st.booleans()},
    ),
    st.fixed_dictionaries(
        {"field": st.just("a"), "operator": st.just("in"), "value": st.lists(VALUES)}
    ),
    st.fixed_dictionaries({"d": VALUES}),
)
FILTERS = st.recursive(
    CONDITIONS,
    lambda inner: st.builds(
        lambda key, parts: {key: parts},
        st.sampled_from(["AND", "OR", "NOT"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(FILTERS)
def test_wire_form_round_trips(raw: Any) -> None:
    tree = read(raw)
    again = read(filter_to_json(tree))
    assert again == tree
    assert hash(again) == hash(tree)
    assert filter_key(again) == filter_key(tree)


JUNK = st.recursive(
    VALUES | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "AND",
                    "OR",
                    "NOT",
                    "field",
                    "operator",
                    "value",
                    "case_sensitive",
                    "type",
                    "x",
                    "$a",
                ]
            ),
            inner | st.sampled_from(list(OPERATORS)),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(derandomize=True, deadline=None, max_examples=600)
@given(JUNK)
def test_any_json_is_read_or_refused(raw: Any) -> None:
    try:
        tree = parse_filter(raw, templates=False)
    except FilterError as error:
        assert error.problems
        return
    if tree is not None:
        assert isinstance(matches(tree, {"a": 1, "x": ["a", None]}), bool)
