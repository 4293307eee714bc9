"""sort_attribute: every type of value in its own order, nulls where asked, mixed types as text."""

import math
from typing import Any

import pytest

from core.registry import find_stage
from tests.core.stages.running import ids_of, run_stage


def sorted_values(values: list[Any], **parameters: Any) -> list[Any]:
    rows, _ = run_stage(
        "sort_attribute",
        {"field": "v", "direction": "asc", **parameters},
        [{"v": value} for value in values],
    )
    return [row.fields["v"] for row in rows]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([10, 9.5, -1, 2**70], [-1, 9.5, 10, 2**70]),
        ([True, False, True], [False, True, True]),
        (["b", "B", "a", "10", "9"], ["10", "9", "B", "a", "b"]),
        ([10, "9", 2], [10, 2, "9"]),
        ([True, 0, 5], [0, 5, True]),  # not one type: "true" as text
        ([[2], [10], {"a": 1}], [[10], [2], {"a": 1}]),
        (
            ["2024-05-02", "2024-05-01T23:30:00-02:00", "2024-05-01T23:30:00Z"],
            ["2024-05-01T23:30:00Z", "2024-05-02", "2024-05-01T23:30:00-02:00"],
        ),
        (["2024-13-45", "2024-05-02T01:00:00+02:00", "2024-05-02T00:00:00Z"], None),
        (["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"], None),
    ],
)
def test_ascending(values: list[Any], expected: list[Any] | None) -> None:
    # None: as text these sort as Python's strings do; one of them is no date.
    assert sorted_values(values) == (sorted(values) if expected is None else expected)


def test_dates_written_alike_only_in_time_are_chronological() -> None:
    early, late = "2024-05-01T12:00:00.5Z", "2024-05-01T14:00:00+01:00"
    assert sorted_values([late, early]) == [early, late]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"direction": "asc"}, "d3 d0 d1 d2 d4"),
        ({"direction": "desc"}, "d0 d3 d1 d2 d4"),
        ({"direction": "asc", "nulls_last": False}, "d1 d2 d4 d3 d0"),
        ({"direction": "desc", "nulls_last": False}, "d0 d3 d1 d2 d4"),
        ({"order": "desc", "null_handling": "first"}, "d1 d2 d4 d0 d3"),
        ({"order": "asc", "null_handling": "last"}, "d3 d0 d1 d2 d4"),
    ],
)
def test_nulls(parameters: dict[str, Any], expected: str) -> None:
    rows, _ = run_stage(
        "sort_attribute",
        {"sort_field": "v", **parameters},
        [{"v": 2}, {}, {"v": None}, {"v": 1}, {"v": math.nan}],
    )
    assert ids_of(rows) == expected.split()


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_equal_values_keep_the_order_of_the_sort_before(direction: str) -> None:
    rows = [{"a": n % 3, "b": n % 2} for n in range(12)]
    first, _ = run_stage("sort_attribute", {"field": "a", "direction": "asc"}, rows)
    both, _ = run_stage("sort_attribute", {"field": "b", "direction": direction}, first)
    head, _ = run_stage(
        "sort_attribute", {"field": "b", "direction": direction}, first, hints={"top_k": 7}
    )
    wanted = sorted(first, key=lambda row: row.fields["b"], reverse=direction == "desc")
    assert both == wanted
    assert head == wanted[:7]


def test_defaults() -> None:
    rows, _ = run_stage(
        "sort_attribute",
        {},
        [{"metadata": {"created_at": f"2024-01-0{n}"}} for n in (2, 3, 1)],
    )
    assert ids_of(rows) == ["d1", "d0", "d2"]


@pytest.mark.parametrize("bad", [{"direction": "up"}, {"field": ""}, {"nulls_last": "maybe"}])
def test_bad_parameters(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        run_stage("sort_attribute", bad, [])


def test_order_is_not_pairwise_and_the_stage_does_not_say_so() -> None:
    # One string among numbers makes all compare as text: a filter may not move before this sort.
    assert sorted_values([2, 10, "9"]) == [10, 2, "9"]
    assert sorted_values([2, 10]) == [2, 10]
    stage = find_stage("sort_attribute")
    assert stage.traits.pairwise(stage.params()) is False
