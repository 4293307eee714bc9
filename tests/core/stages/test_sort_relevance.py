"""sort_relevance: stable by score, missing scores where asked, top-k the same as a full sort."""

import math
from typing import Any

import pytest

from tests.core.stages.running import ids_of, run_stage

SCORED = [{"score": 0.2}, {}, {"score": 0.9}, {"score": 0.2}, {"score": "0.95"}, {"score": 0.5}]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, "d2 d5 d0 d3 d1 d4"),
        ({"direction": "asc"}, "d0 d3 d5 d2 d1 d4"),
        ({"order": "asc"}, "d0 d3 d5 d2 d1 d4"),
        ({"missing_score": "top"}, "d1 d4 d2 d5 d0 d3"),
        ({"missing_score": "preserve"}, "d2 d1 d5 d0 d4 d3"),
    ],
)
def test_order(parameters: dict[str, Any], expected: str) -> None:
    rows, _ = run_stage("sort_relevance", parameters, SCORED)
    assert ids_of(rows) == expected.split()


@pytest.mark.parametrize("missing", ["bottom", "top", "preserve"])
@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("top_k", [1, 2, 4, 6, 99])
def test_top_k_is_the_head_of_the_full_sort(missing: str, direction: str, top_k: int) -> None:
    parameters = {"missing_score": missing, "direction": direction}
    full, _ = run_stage("sort_relevance", parameters, SCORED)
    head, _ = run_stage("sort_relevance", parameters, SCORED, hints={"top_k": top_k})
    assert head == full[:top_k]


def test_booleans_and_nan_are_no_scores() -> None:
    rows, _ = run_stage(
        "sort_relevance", {}, [{"score": True}, {"score": math.nan}, {"score": -5}, {"score": 1}]
    )
    assert ids_of(rows) == ["d3", "d2", "d0", "d1"]


def test_nested_score_field() -> None:
    rows, _ = run_stage(
        "sort_relevance",
        {"score_field": "scores.mmr"},
        [{"scores": {"mmr": 1}}, {"scores": {"mmr": 2}}],
    )
    assert ids_of(rows) == ["d1", "d0"]


def test_normalize_annotates_and_leaves_the_score() -> None:
    rows, _ = run_stage("sort_relevance", {"normalize": True}, [{"score": 2}, {}, {"score": 4}])
    assert [row.fields.get("score") for row in rows] == [4, 2, None]
    assert [row.fields["sort_relevance"] for row in rows] == [
        {"original_position": 3, "new_position": 1, "normalized_score": 1.0},
        {"original_position": 1, "new_position": 2, "normalized_score": 0.0},
        {"original_position": 2, "new_position": 3, "normalized_score": None},
    ]


def test_the_deprecated_parameter_is_said_to_do_nothing() -> None:
    _, report = run_stage("sort_relevance", {"feature_address": "mixpeek://a@v1/b"}, SCORED)
    assert "feature_address" in report.warnings[0]
    for unset in (None, "null"):
        assert run_stage("sort_relevance", {"feature_address": unset}, [])[1].warnings == []
