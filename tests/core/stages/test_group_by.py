"""group_by: the shape of groups, which rows stay, in which order, and what a key is."""

from typing import Any

import pytest

from core.rows.row import Row
from tests.core.stages.context import Doc, FakeContext
from tests.core.stages.running import ids_of, run_stage

ROWS: list[dict[str, Any]] = [
    {"k": "b", "score": 0.9, "x": 1},
    {"k": "a", "score": 0.8, "x": 2},
    {"k": "a", "score": 0.85, "x": 3},
    {"k": None, "score": 0.7},
    {"k": "a", "score": 0.1, "x": 9},
    {"score": 0.95},
]


def test_all_gives_one_row_per_group() -> None:
    rows, report = run_stage("group_by", {"field": "k", "max_per_group": 2}, ROWS)
    assert ids_of(rows) == ['group:"b"', 'group:"a"', "group:null"]
    assert [row.source for row in rows] == [None] * 3
    group = rows[1].fields
    assert (group["group_key"], group["count"], group["score"]) == ("a", 3, 0.85)
    assert [doc["document_id"] for doc in group["documents"]] == ["d2", "d1"]
    assert group["documents"][0] == {"document_id": "d2", "k": "a", "score": 0.85, "x": 3}
    assert rows[2].fields["group_key"] is None
    assert report.metadata == {"total_groups": 3, "total_documents": 6, "field": "k"}


def test_all_carries_whole_documents() -> None:
    ctx = FakeContext({"col_a": [Doc("x", {"k": 1, "far": "away"})]}, is_first=False)
    rows, _ = run_stage("group_by", {"field": "k"}, ctx.all_rows("k"), context=ctx)
    assert rows[0].fields["documents"][0]["far"] == "away"


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"output_mode": "first"}, "d0 d2 d5"),
        ({"output_mode": "flatten"}, "d0 d2 d1 d4 d5 d3"),
        ({"output_mode": "flatten", "docs_per_group": 1}, "d0 d2 d5"),
        ({"output_mode": "first", "exclude_null": True}, "d0 d2"),
        ({"output_mode": "first", "sort_groups_by": "count"}, "d2 d5 d0"),
        ({"output_mode": "first", "sort_groups_by": "count", "sort_order": "asc"}, "d0 d5 d2"),
        ({"output_mode": "first", "sort_groups_by": "field", "sort_order": "asc"}, "d2 d0 d5"),
        ({"output_mode": "first", "sort_groups_by": "score"}, "d5 d0 d2"),
        ({"output_mode": "first", "max_groups": 1}, "d0"),
        ({"output_mode": "flatten", "sort_docs_by": "x"}, "d0 d4 d2 d1 d5 d3"),
    ],
)
def test_modes_and_orders(parameters: dict[str, Any], expected: str) -> None:
    rows, report = run_stage("group_by", {"group_by_field": "k", **parameters}, ROWS)
    assert ids_of(rows) == expected.split()
    assert all(isinstance(row, Row) and "group_key" not in row.fields for row in rows)
    assert report.metadata["total_groups"] == (2 if "exclude_null" in parameters else 3)


def test_random_order_repeats() -> None:
    parameters = {"field": "k", "output_mode": "flatten", "sort_docs_by": "_random"}
    rows = [{"k": 1, "score": n} for n in range(9)]
    shuffled, _ = run_stage("group_by", parameters, rows)
    assert shuffled == run_stage("group_by", parameters, rows)[0]
    assert sorted(ids_of(shuffled)) == [f"d{n}" for n in range(9)]
    assert ids_of(shuffled) != [f"d{n}" for n in range(8, -1, -1)]


def test_keys_are_json_values() -> None:
    values = [1, "1", True, 1.0, [1], {"a": 1, "b": 2}, {"b": 2, "a": 1}]
    rows, _ = run_stage("group_by", {"field": "v"}, [{"v": value} for value in values])
    assert [row.fields["count"] for row in rows] == [2, 1, 1, 1, 2]
    assert len(set(ids_of(rows))) == 5


@pytest.mark.parametrize(
    "bad",
    [
        {"max_per_group": 0},
        {"max_per_group": 1001},
        {"output_mode": "nested"},
        {"field": "a", "group_by_field": "b"},
    ],
)
def test_bad_parameters(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        run_stage("group_by", bad, [])
