"""limit: a window by position, and its edges."""

import pytest

from tests.core.stages.running import ids_of, run_stage


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, "d0 d1 d2 d3 d4 d5 d6 d7 d8 d9"),
        ({"limit": 2}, "d0 d1"),
        ({"limit": 2, "offset": 11}, "d11"),
        ({"limit": 2, "offset": 12}, ""),
        ({"limit": 10_000, "offset": 10}, "d10 d11"),
    ],
)
def test_windows(parameters: dict[str, int], expected: str) -> None:
    rows, _ = run_stage("limit", parameters, [{} for _ in range(12)])
    assert ids_of(rows) == expected.split()


@pytest.mark.parametrize(
    "bad", [{"limit": 0}, {"limit": 10_001}, {"offset": -1}, {"offset": 10_001}, {"limit": 1.5}]
)
def test_bad_parameters(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        run_stage("limit", bad, [])
