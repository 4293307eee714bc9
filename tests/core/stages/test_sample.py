"""sample: every strategy keeps to its count, repeats itself, and says what it took from where."""

from typing import Any

import pytest

from tests.core.stages.running import ids_of, run_stage

ROWS = [{"score": n / 100, "kind": "abc"[n % 3] if n % 10 else None} for n in range(100)]


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"size": 10, "method": "systematic"},
        {"limit": 10},
        {"count": 10, "strategy": "reservoir"},
        {"count": 10, "strategy": "stratified", "group_field": "kind"},
        {"count": 10, "preserve_top_k": 4},
        {"count": 10, "preserve_top_k": 99},
    ],
)
def test_count_and_order(parameters: dict[str, Any]) -> None:
    rows, report = run_stage("sample", parameters, ROWS)
    numbers = [int(name[1:]) for name in ids_of(rows)]
    assert len(rows) == 10
    assert numbers == sorted(numbers)
    assert (report.metadata["total_input"], report.metadata["sample_size"]) == (100, 10)
    assert run_stage("sample", parameters, ROWS)[0] == rows


def test_seeds_differ_and_repeat() -> None:
    one, again, other, none = (
        ids_of(run_stage("sample", {"seed": seed}, ROWS)[0]) for seed in (1, 1, 2, None)
    )
    assert one == again
    assert len({tuple(one), tuple(other), tuple(none)}) == 3


def test_fewer_rows_than_count() -> None:
    assert ids_of(run_stage("sample", {"count": 1000}, ROWS[:3])[0]) == ["d0", "d1", "d2"]


def test_preserved_rows_are_the_best() -> None:
    rows, _ = run_stage("sample", {"count": 6, "preserve_top_k": 3}, ROWS)
    assert {"d99", "d98", "d97"} < set(ids_of(rows))


def test_strata_are_proportional_and_named() -> None:
    rows = [{"kind": kind} for kind in ["a"] * 45 + ["b"] * 35 + [1] * 18 + [None] * 2]
    _, report = run_stage(
        "sample", {"count": 20, "strategy": "stratified", "stratify_by": "kind"}, rows
    )
    assert report.metadata["strata"] == {
        "a": {"input": 45, "sampled": 9},
        "b": {"input": 35, "sampled": 7},
        "1": {"input": 18, "sampled": 3},
        "null": {"input": 2, "sampled": 1},
    }


def test_samples_per_group_ignores_count() -> None:
    rows, report = run_stage(
        "sample",
        {"method": "stratified", "group_field": "kind", "samples_per_group": 7},
        ROWS,
    )
    assert len(rows) == 28
    assert {s["sampled"] for s in report.metadata["strata"].values()} == {7}


def test_samples_per_group_has_a_ceiling_and_says_so() -> None:
    rows, report = run_stage(
        "sample",
        {"strategy": "stratified", "stratify_by": "document_id", "samples_per_group": 1},
        [{} for _ in range(1005)],
    )
    assert len(rows) == 1000
    assert report.limits == [
        {"name": "sample_rows", "requested": 1005, "applied": 1000, "ceiling": 1000}
    ]


def test_an_unknown_field_falls_back_to_random() -> None:
    parameters = {"strategy": "stratified", "stratify_by": "nowhere", "count": 5}
    rows, report = run_stage("sample", parameters, ROWS)
    assert rows == run_stage("sample", {"count": 5}, ROWS)[0]
    assert "nowhere" in report.warnings[0]


@pytest.mark.parametrize(
    "bad",
    [
        {"count": 0},
        {"count": 1001},
        {"strategy": "stratified"},
        {"strategy": "stratified", "stratify_by": "null"},
        {"samples_per_group": 2},
        {"preserve_top_k": -1},
        {"strategy": "best"},
    ],
)
def test_bad_parameters(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        run_stage("sample", bad, [])
