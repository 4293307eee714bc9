"""score_threshold: what passes, what a missing score does, and the flag for an empty answer."""

import math
from typing import Any

import pytest

from tests.core.stages.running import ids_of, run_stage

ROWS = [{"score": 0.5}, {"score": 0.4}, {}, {"score": "0.9"}, {"score": 0.7}, {"score": math.nan}]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"min_score": 0.5}, "d0 d4"),
        ({"min_score": 0.5, "comparison": "gt"}, "d4"),
        ({"min_score": 0.5, "missing_score": "keep"}, "d0 d2 d3 d4 d5"),
        ({"min_score": -1}, "d0 d1 d4"),
    ],
)
def test_what_passes(parameters: dict[str, Any], expected: str) -> None:
    rows, report = run_stage("score_threshold", parameters, ROWS)
    assert ids_of(rows) == expected.split()
    assert report.metadata["all_below_threshold"] is False


def test_nothing_passes() -> None:
    rows, report = run_stage("score_threshold", {"min_score": 0.99}, ROWS)
    assert rows == []
    assert report.metadata["all_below_threshold"] is True


def test_no_rows_are_not_below() -> None:
    _, report = run_stage("score_threshold", {"min_score": 0.99}, [])
    assert report.metadata["all_below_threshold"] is False


@pytest.mark.parametrize("bad", [{}, {"min_score": math.nan}, {"min_score": 1, "comparison": "lt"}])
def test_bad_parameters(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        run_stage("score_threshold", bad, [])
