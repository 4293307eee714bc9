"""attribute_filter: one meaning as a scan, on rows and as a filter that a plan moves."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from core.errors import FilterError
from core.filtering.conditions import fields_of, is_templated, parse_filter
from core.filtering.operators import matches
from core.registry import find_stage
from core.stages.attribute_filter import AttributeFilterParams, conditions_of
from core.traits import ALL
from tests.core.stages.context import Doc, FakeContext
from tests.core.stages.running import ids_of, run_stage

ROWS = [{"brand": "acme", "n": 1}, {"brand": "Acme", "n": 2}, {"brand": None}, {"n": 3}]


def kept(parameters: dict[str, Any], rows: Any = None) -> list[str]:
    return ids_of(run_stage("attribute_filter", parameters, ROWS if rows is None else rows)[0])


@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ({"field": "n", "operator": "gte", "value": 2}, ["d1", "d3"]),
        ({"field": "n", "value": 2}, ["d1"]),
        ({"field": "brand", "value": None}, ["d2"]),
        ({"field": "brand", "operator": "exists", "value": False}, ["d3"]),
        ({"field": "brand", "operator": "ne", "value": "acme"}, ["d1", "d2", "d3"]),
        ({"field": "brand", "value": "acme", "case_insensitive": True}, ["d0", "d1"]),
        ({"field": "brand", "value": "acme", "case_insensitive": False}, ["d0"]),
        ({"conditions": {"AND": [{"field": "n", "operator": "lt", "value": 3}]}}, ["d0", "d1"]),
        ({"conditions": {"field": "n", "value": 3}}, ["d3"]),
        ({"conditions": {"brand": "acme"}, "case_insensitive": True}, ["d0", "d1"]),
        ({"conditions": [{"brand": "acme"}, {"n": 1}], "case_insensitive": True}, ["d0"]),
        ({"AND": [{"field": "n", "operator": "gt", "value": 1}]}, ["d1", "d3"]),
        ({"NOT": {"field": "n", "operator": "exists", "value": True}}, ["d2"]),
        ({"OR": [{"n": 1}, {"n": 3}]}, ["d0", "d3"]),
    ],
)
def test_both_modes_and_the_bare_tree(parameters: dict[str, Any], wanted: list[str]) -> None:
    assert kept(parameters) == wanted


def test_what_the_sdk_s_typed_model_sends_is_understood() -> None:
    tree = {"OR": [{"field": "n", "operator": "eq", "value": 1}]}
    sent = {"field": "metadata.status", "natural_language": "null", "batch_size": 100}
    assert kept({**sent, "conditions": tree, "case_insensitive": False}) == ["d0"]


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({}, "give conditions, or field"),
        ({"operator": "eq", "value": 1}, "give conditions, or field"),
        ({"conditions": {"n": 1}, "field": "n", "value": 1}, "not both"),
        ({"natural_language": "cheap ones"}, "language model"),
        ({"field": "n", "value": 1, "field_hints": ["n"]}, "language model"),
        ({"field": "n", "value": 1, "batch_size": 1001}, "1000"),
        ({"AND": [{"n": 1}], "surprise": 1}, "not permitted"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(parameters: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        AttributeFilterParams.model_validate(parameters)


@pytest.mark.parametrize(
    ("parameters", "place"),
    [
        ({"field": "n", "operator": "nearly", "value": 1}, "operator"),
        ({"field": "n", "operator": "in", "value": 1}, "value"),
        ({"field": "n", "operator": "regex", "value": "("}, "value"),
        ({"conditions": {"AND": [{"n": 1}, {"field": "n", "operator": "?"}]}}, "conditions.AND.1"),
    ],
)
def test_faulty_conditions_are_named(parameters: dict[str, Any], place: str) -> None:
    with pytest.raises(FilterError) as caught:
        AttributeFilterParams.model_validate(parameters)
    assert caught.value.problems[0].path.startswith(place)


def test_the_plan_gets_the_filter_with_its_templates() -> None:
    raw = {"field": "brand", "operator": "in", "value": "{{INPUT.brands}}"}
    params = AttributeFilterParams.model_validate(raw)
    tree = conditions_of(params)
    traits = find_stage("attribute_filter").traits
    assert is_templated(tree) and fields_of(tree) == {"brand"}
    assert traits.as_filter is not None and traits.as_filter(params) == tree
    assert traits.reads(params) == frozenset({"brand"})
    named = AttributeFilterParams.model_validate({**raw, "field": "m.{{INPUT.f}}"})
    assert traits.reads(named) is ALL


def test_braces_that_came_from_data_are_text() -> None:
    assert kept({"field": "brand", "value": "{{x}}"}, [{"brand": "{{x}}"}, {"brand": "x"}]) == [
        "d0"
    ]


values = st.one_of(st.none(), st.integers(0, 2), st.sampled_from(["a", "A", "b"]))
payload = st.fixed_dictionaries({}, optional={"x": values, "y": values})
condition = st.builds(
    lambda field, operator, value: {"field": field, "operator": operator, "value": value},
    st.sampled_from("xy"),
    st.sampled_from(["eq", "ne", "gt", "lte"]),
    st.one_of(st.integers(0, 2), st.sampled_from(["a", "b"])),
)
tree = st.recursive(
    condition,
    lambda inner: st.builds(
        lambda name, parts: {name: parts},
        st.sampled_from(["AND", "OR", "NOT"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=5,
)


@given(payloads=st.lists(payload, max_size=6), conditions=tree)
@settings(derandomize=True, deadline=None, max_examples=80)
def test_a_scan_equals_a_filter_on_rows(payloads: list[Any], conditions: Any) -> None:
    docs = [Doc(f"d{n}", fields) for n, fields in enumerate(payloads)]
    first = FakeContext({"c": docs})
    scanned, _ = run_stage("attribute_filter", {"conditions": conditions}, [], context=first)
    assert ids_of(scanned) == kept({"conditions": conditions}, payloads)
    parsed = parse_filter(conditions)
    assert parsed is not None
    assert ids_of(scanned) == [d.document_id for d in docs if matches(parsed, d.fields)]


def test_first_it_scans_every_collection_in_the_order_of_ids() -> None:
    ctx = FakeContext(
        {"z": [Doc("b", {"n": 1}), Doc("a", {"n": 1})], "y": [Doc("b", {"n": 1}), Doc("c")]},
        filter=parse_filter({"NOT": {"document_id": "a"}}),
    )
    rows, report = run_stage("attribute_filter", {"field": "n", "value": 1}, [], context=ctx)
    assert [(r.document_id, r.fields["collection_id"]) for r in rows] == [("b", "y"), ("b", "z")]
    assert report.incomplete == [] and report.limits == []


def test_a_scan_that_is_cut_says_so_whatever_the_hint() -> None:
    docs = [Doc(f"d{n:04}", {"n": n}) for n in range(1005)]
    stage = {"field": "n", "operator": "gte", "value": 2}
    rows, report = run_stage("attribute_filter", stage, [], context=FakeContext({"c": docs}))
    assert (len(rows), rows[0].document_id) == (1000, "d0002")
    assert [item["code"] for item in report.incomplete] == ["scan_limit"]
    assert report.limits[0]["requested"] == 1003
    hinted = FakeContext({"c": docs}, hints={"limit": 3})
    few, same = run_stage("attribute_filter", stage, [], context=hinted)
    assert few == rows[:3] and same.incomplete == report.incomplete
