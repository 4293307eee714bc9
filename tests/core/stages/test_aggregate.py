"""aggregate: every function, both spellings, grouped and not, and errors that name the document."""

from typing import Any

import pytest

from core.errors import StageError
from core.rows.row import Row
from tests.core.stages.running import ids_of, run_stage

ROWS: list[dict[str, Any]] = [
    {"kind": "a", "n": 4, "score": 0.2, "t": "x", "year": 2023},
    {"kind": "b", "n": 1, "score": 0.9, "t": "y", "year": 2024},
    {"kind": "a", "n": 2.5, "score": 0.5, "t": "x", "year": 2024},
    {"kind": "a", "n": None, "score": 0.1, "year": 2023},
    {"n": 10, "score": 0.05, "t": "x"},
]


def figures(*aggregations: dict[str, Any], rows: Any = None, **parameters: Any) -> Any:
    _, report = run_stage(
        "aggregate",
        {"aggregations": list(aggregations), **parameters},
        ROWS if rows is None else rows,
    )
    return report.metadata["aggregations"]


def figure(function: str, field: str | None = "n", rows: Any = None, **more: Any) -> Any:
    item = {"function": function, "field": field, "alias": "v", **more}
    return figures(item, rows=rows)["v"]


@pytest.mark.parametrize(
    ("function", "field", "expected", "of_nothing"),
    [
        ("count", None, 5, 0),
        ("count", "n", 4, 0),
        ("count_distinct", "kind", 2, 0),
        ("cardinality", "kind", 2, 0),
        ("sum", "n", 17.5, 0),
        ("avg", "n", 4.375, None),
        ("min", "n", 1, None),
        ("max", "n", 10, None),
        ("first", "n", 1, None),
        ("last", "n", 10, None),
        ("collect", "t", ["x", "y", "x", "x"], []),
        ("collect_distinct", "t", ["x", "y"], []),
        ("percentile", "n", 3.25, None),
        ("frequency", "t", [{"value": "x", "count": 3}, {"value": "y", "count": 1}], []),
        (
            "histogram",
            "t",
            {"buckets": [{"key": "x", "count": 3}, {"key": "y", "count": 1}]},
            {"buckets": []},
        ),
    ],
)
def test_functions(function: str, field: str | None, expected: Any, of_nothing: Any) -> None:
    assert figure(function, field) == expected
    assert figure(function, field, rows=[]) == of_nothing


def test_more_functions() -> None:
    assert figure("variance", rows=[{"n": 1}, {"n": 3}]) == 1
    assert figure("stddev", rows=[{"n": 1}, {"n": 3}]) == 1
    assert figure("percentile", percentile_value=100) == 10
    assert figure("percentile", percentiles=[0, 50, 97.5]) == pytest.approx(
        {"0": 1, "50": 3.25, "97.5": 9.55}
    )
    assert figure("frequency", "t", top_k=1) == [{"value": "x", "count": 3}]
    assert figure("correlation", "n", field_b="n") == pytest.approx(1)
    assert figure("correlation", "n", field_b="nowhere") is None
    assert figure("co_occurrence", "kind", field_b="t") == [
        {"value_a": "a", "value_b": "x", "count": 2},
        {"value_a": "b", "value_b": "y", "count": 1},
    ]
    assert figure("histogram", interval=5)["buckets"][0] == {
        "key": "0-5",
        "from": 0,
        "to": 5,
        "count": 3,
    }


def test_results_replace_the_rows_unless_asked() -> None:
    parameters = {"aggregations": [{"type": "count", "name": "total"}]}
    rows, report = run_stage("aggregate", parameters, ROWS)
    assert rows == [Row("aggregate", {"document_id": "aggregate", "total": 5})]
    kept, same = run_stage("aggregate", {**parameters, "include_documents": True}, ROWS)
    assert ids_of(kept) == ["d0", "d1", "d2", "d3", "d4"]
    assert same.metadata == report.metadata == {"aggregations": {"total": 5}}


COUNT = {"function": "count", "alias": "count"}
MEAN = {"function": "avg", "field": "n", "alias": "mean"}


def test_grouped() -> None:
    rows, report = run_stage("aggregate", {"aggregations": [COUNT, MEAN], "group_by": "kind"}, ROWS)
    assert report.metadata["aggregations"] == {
        "a": {"count": 3, "mean": 3.25},
        "b": {"count": 1, "mean": 1},
        "null": {"count": 1, "mean": 10},
    }
    assert rows[0].fields == {"document_id": 'group:"a"', "kind": "a", "count": 3, "mean": 3.25}
    assert ids_of(rows) == ['group:"a"', 'group:"b"', "group:null"]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"sort_by": "count"}, ["a", "b", "null"]),
        ({"sort_by": "mean"}, ["null", "a", "b"]),
        ({"sort_by": "mean", "sort_order": "asc", "limit": 2}, ["b", "a"]),
        ({"sort_by": "null", "limit": 1}, ["a"]),
    ],
)
def test_groups_are_sorted_and_limited(parameters: dict[str, Any], expected: list[str]) -> None:
    assert list(figures(COUNT, MEAN, group_by=["kind"], **parameters)) == expected


def test_composite_keys_and_their_names() -> None:
    group_by = [{"field": "kind"}, {"field": "year", "alias": "when"}]
    rows, report = run_stage("aggregate", {"aggregations": [COUNT], "group_by": group_by}, ROWS)
    assert report.metadata["aggregations"]['["a",2023]'] == {"count": 2}
    assert rows[0].fields == {
        "document_id": 'group:["a",2023]',
        "kind": "a",
        "when": 2023,
        "count": 2,
    }


def test_groups_that_read_alike_stay_apart() -> None:
    by_value = figures(COUNT, rows=[{"k": 1}, {"k": "1"}, {"k": True}], group_by="k")
    assert by_value == {"1": {"count": 1}, '"1"': {"count": 1}, "true": {"count": 1}}


@pytest.mark.parametrize("function", ["sum", "avg", "min", "max", "stddev", "percentile"])
@pytest.mark.parametrize("value", ["7", True, [1], {"a": 1}])
def test_no_number_is_an_error_that_names_the_document(function: str, value: Any) -> None:
    with pytest.raises(StageError, match="d1") as failure:
        figure(function, rows=[{"n": 1}, {"n": value}])
    assert failure.value.details == {"document_id": "d1", "field": "n"}


@pytest.mark.parametrize("function", ["sum", "variance", "avg"])
def test_overflow_is_an_error(function: str) -> None:
    with pytest.raises(StageError, match="too large"):
        figure(function, rows=[{"n": 1.7e308}, {"n": 1.7e308}, {"n": -1e308}])


def test_sorting_nothing_is_said() -> None:
    _, report = run_stage("aggregate", {"aggregations": [COUNT], "limit": 3}, ROWS)
    assert "no effect" in report.warnings[0]


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"aggregations": []},
        {"aggregations": [{"function": "count"}]},
        {"aggregations": [COUNT, COUNT]},
        {"aggregations": [{"function": "median", "alias": "m", "field": "n"}]},
        {"aggregations": [{"function": "sum", "alias": "m"}]},
        {"aggregations": [{"function": "correlation", "alias": "m", "field": "n"}]},
        {"aggregations": [{"function": "count", "alias": "document_id"}]},
        {"aggregations": [{**MEAN, "percentile_value": 101}]},
        {"aggregations": [{**MEAN, "percentiles": [101]}]},
        {"aggregations": [{**MEAN, "interval": 0}]},
        {"aggregations": [{**MEAN, "surprise": 1}]},
        {"aggregations": [COUNT], "group_by": "x.count"},
        {"aggregations": [COUNT], "sort_by": "mean"},
        {"aggregations": [COUNT], "limit": 0},
    ],
)
def test_bad_parameters(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        run_stage("aggregate", bad, [])
