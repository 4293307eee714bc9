"""unwind: one row per element, in order, with the document's identity; nothing lost unsaid."""

from typing import Any

import pytest

from core.rows.row import Row, Source
from core.stages import unwind
from tests.core.stages.running import ids_of, run_stage

ROWS: list[dict[str, Any]] = [
    {"m": {"tags": ["a", None, "b"], "k": 1}},
    {"m": {"tags": []}},
    {"m": {"tags": None}},
    {},
    {"m": {"tags": "solo"}},
]


def test_elements_replace_the_array() -> None:
    rows, _ = run_stage("unwind", {"field": "m.tags", "include_array_index": "i"}, ROWS)
    assert [(r.document_id, r.fields["m"]["tags"], r.fields.get("i")) for r in rows] == [
        ("d0", "a", 0),
        ("d0", None, 1),
        ("d0", "b", 2),
        ("d4", "solo", None),
    ]
    assert rows[0].fields["m"]["k"] == 1
    assert "i" not in rows[3].fields


def test_preserved_rows_carry_null() -> None:
    parameters = {"field": "m.tags", "preserve_null_and_empty": True, "include_array_index": "i"}
    rows, _ = run_stage("unwind", parameters, ROWS)
    assert ids_of(rows) == ["d0", "d0", "d0", "d1", "d2", "d3", "d4"]
    assert [r.fields["m"]["tags"] for r in rows[3:6]] == [None, None, None]
    assert [r.fields["i"] for r in rows[3:6]] == [None, None, None]


def test_output_field_keeps_the_array() -> None:
    rows, _ = run_stage("unwind", {"field": "m.tags", "output_field": "tag"}, ROWS[:1])
    assert [r.fields["tag"] for r in rows] == ["a", None, "b"]
    assert all(r.fields["m"] == ROWS[0]["m"] for r in rows)


def test_rows_still_stand_for_their_document() -> None:
    source = Source("col_a", 0, 3)
    rows, _ = run_stage("unwind", {"field": "v"}, [Row("x", {"v": [1, 2]}, source)])
    assert [r.source for r in rows] == [source, source]


def test_a_ceiling_cuts_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unwind, "_MOST", 3)
    rows, report = run_stage("unwind", {"field": "v"}, [{"v": [1, 2]}, {"v": [3, 4, 5]}, {"v": 6}])
    assert [r.fields["v"] for r in rows] == [1, 2, 3]
    assert report.incomplete[0]["code"] == "unwind_capped"
    exact, report = run_stage("unwind", {"field": "v"}, [{"v": [1, 2, 3]}])
    assert len(exact) == 3
    assert report.incomplete == []


@pytest.mark.parametrize("bad", [{}, {"field": ""}, {"field": "a", "output_field": ""}])
def test_bad_parameters(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        run_stage("unwind", bad, [])
