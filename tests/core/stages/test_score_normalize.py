"""score_normalize: each method's formula and edges, and numbers that would overflow a naive one."""

import math
from typing import Any

import pytest

from tests.core.stages.running import run_stage


def normalized(scores: list[Any], **parameters: Any) -> list[float]:
    rows, _ = run_stage(
        "score_normalize", parameters, [{} if s == "absent" else {"score": s} for s in scores]
    )
    assert [row.document_id for row in rows] == [f"d{n}" for n in range(len(scores))]
    return [row.fields["score"] for row in rows]


@pytest.mark.parametrize(
    ("method", "scores", "expected"),
    [
        ("min_max", [1, 3, 2], [0, 1, 0.5]),
        ("min_max", [7], [1]),
        ("min_max", [2, 2], [1, 1]),
        ("z_score", [1, 3], [-1, 1]),
        ("z_score", [0.1, 0.1, 0.1], [0, 0, 0]),
        ("z_score", [5], [0]),
        ("softmax", [0, math.log(3)], [0.25, 0.75]),
        ("l2", [3, -4], [0.6, -0.8]),
        ("l2", [0, 0], [0, 0]),
        ("min_max", [1, "absent", 3, None, "2", True], [0, 0, 1, 0, 0, 0]),
        ("softmax", ["absent"], [0]),
    ],
)
def test_methods(method: str, scores: list[Any], expected: list[float]) -> None:
    assert normalized(scores, method=method) == pytest.approx(expected)


@pytest.mark.parametrize("method", ["min_max", "z_score", "softmax", "l2"])
@pytest.mark.parametrize(
    "scores", [[1e308, -1e308, 1e-320], [1000, 999, -1000], [5e-324, 0], [10**400, 1, 2]]
)
def test_extreme_scores_stay_finite(method: str, scores: list[Any]) -> None:
    assert all(math.isfinite(value) for value in normalized(scores, method=method))


def test_softmax_sums_to_one_far_from_zero() -> None:
    values = normalized([1e6, 1e6 + 1, 1e6 + 2], method="softmax")
    assert sum(values) == pytest.approx(1)
    assert values == sorted(values)


def test_own_bounds_clamp() -> None:
    values = normalized([0.3, 0.5, 1.2, -1], min_value=0, max_value=1)
    assert values == pytest.approx([0.3, 0.5, 1, 0])
    assert normalized([4], min_value=5) == [0]


def test_output_field_preserves_the_score() -> None:
    rows, _ = run_stage(
        "score_normalize",
        {"output_field": "scores.norm"},
        [{"score": 2, "scores": {"raw": 2}}, {"score": 1}],
    )
    assert rows[0].fields["score"] == 2
    assert rows[0].fields["scores"] == {"raw": 2, "norm": 1.0}
    assert rows[1].fields["scores"] == {"norm": 0.0}


@pytest.mark.parametrize(
    "bad",
    [
        {"method": "sigmoid"},
        {"method": "l2", "min_value": 0},
        {"min_value": 1, "max_value": 1},
        {"min_value": math.inf},
    ],
)
def test_bad_parameters(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        run_stage("score_normalize", bad, [])
