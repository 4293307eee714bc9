"""deduplicate: what counts as the same, which one stays, and that nothing else is lost."""

from typing import Any

import pytest

from core.deadline import Deadline
from core.errors import DeadlineError
from core.stages import deduplicate
from tests.core.stages.running import ids_of, run_stage

ROWS = [
    {"author": "Ann", "title": "One"},
    {"author": "ann", "title": "One"},
    {"author": "Ann", "title": "Two"},
    {"title": "One"},
    {"author": None, "title": "One"},
    {"author": "Ann", "title": "One"},
]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"fields": ["author"]}, "d0 d1 d3"),
        ({"fields": ["author"], "keep": "last"}, "d1 d4 d5"),
        ({"fields": ["author"], "case_sensitive": False}, "d0 d3"),
        ({"fields": ["author", "title"]}, "d0 d1 d2 d3"),
        ({"fields": ["document_id"]}, "d0 d1 d2 d3 d4 d5"),
    ],
)
def test_by_fields(parameters: dict[str, Any], expected: str) -> None:
    rows, _ = run_stage("deduplicate", parameters, ROWS)
    assert ids_of(rows) == expected.split()


def test_types_are_not_coerced_but_numbers_are_numbers() -> None:
    values = [1, 1.0, True, "1", [1], [1.0], {"a": 1, "b": 2}, {"b": 2, "a": 1}]
    rows, _ = run_stage("deduplicate", {"fields": ["v"]}, [{"v": v} for v in values])
    assert ids_of(rows) == ["d0", "d2", "d3", "d4", "d6"]


def test_rows_without_any_key_collapse_and_that_is_said() -> None:
    rows, report = run_stage("deduplicate", {"fields": ["author"]}, [{}, {}, {}])
    assert ids_of(rows) == ["d0"]
    assert "3 rows have none of author" in report.warnings[0]


STORY = "A man in a red coat walks a small dog along the river at night. "


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, "d0 d2 d3 d4 d5"),
        ({"keep": "last"}, "d1 d2 d3 d4 d5"),
        ({"similarity_threshold": 1}, "d0 d1 d2 d3 d4 d5"),
        ({"similarity_threshold": 1, "case_sensitive": False}, "d0 d1 d2 d3 d4 d5"),
        ({"similarity_threshold": 0}, "d0 d3 d4 d5"),
    ],
)
def test_by_content(parameters: dict[str, Any], expected: str) -> None:
    long = " ".join(STORY.replace("walks", f"walks {n * n}") for n in range(99))
    texts = [long, long.replace("walks 81 ", "runs "), "Something else.", "", None, 7]
    rows, _ = run_stage(
        "deduplicate",
        {"strategy": "content", **parameters},
        [{"content": text} for text in texts],
    )
    assert ids_of(rows) == expected.split()


def test_case_of_content() -> None:
    rows = [{"content": STORY}, {"content": STORY.upper()}]
    assert len(run_stage("deduplicate", {"strategy": "content"}, rows)[0]) == 2
    insensitive = {"strategy": "content", "case_sensitive": False}
    assert len(run_stage("deduplicate", insensitive, rows)[0]) == 1


@pytest.mark.parametrize(
    ("budget", "most"), [("_MOST_CHARACTERS", len(STORY)), ("_MOST_COMPARISONS", 1)]
)
def test_past_its_budget_rows_are_kept_and_that_is_said(
    budget: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deduplicate, budget, most)
    rows, report = run_stage("deduplicate", {"strategy": "content"}, [{"content": STORY}] * 4)
    checked = 1 if budget == "_MOST_CHARACTERS" else 2
    assert ids_of(rows) == ["d0", *[f"d{n}" for n in range(checked, 4)]]
    assert report.limits == [
        {"name": "deduplicate_rows", "requested": 4, "applied": checked, "ceiling": checked}
    ]


def test_it_stops_at_the_deadline() -> None:
    with pytest.raises(DeadlineError):
        run_stage(
            "deduplicate",
            {"strategy": "content"},
            [{"content": STORY}],
            deadline=Deadline.after(-1),
        )


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"fields": []},
        {"strategy": "content", "similarity_threshold": 1.1},
        {"fields": ["a"], "keep": "best"},
    ],
)
def test_bad_parameters(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        run_stage("deduplicate", bad, [])
