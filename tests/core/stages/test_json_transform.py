"""json_transform: the document becomes what the template renders, or is reported as dropped."""

from typing import Any

import pytest

from core.errors import StageError
from core.registry import find_stage
from core.rows.row import Row, Source
from core.traits import ALL
from tests.core.stages.running import ids_of, run_stage

ROWS: list[dict[str, Any]] = [
    {"content": 'say "hi"', "score": 0.5, "tags": ["a", "b"]},
    {"score": 0.4},
]


def test_the_default_template() -> None:
    rows, report = run_stage("json_transform", {}, ROWS)
    assert [row.fields for row in rows] == [{"id": "d0", "content": 'say "hi"', "score": 0.5}]
    assert report.incomplete[0]["code"] == "documents_dropped"
    assert "1 of 2" in report.warnings[0] and "d1" in report.warnings[0]
    assert report.metadata["failed"] == 1
    assert "content" in report.metadata["failures"][0]["message"]


def test_only_what_the_template_renders_is_left() -> None:
    row = Row("x", {"document_id": "x", "score": 1.0, "v": 3}, Source("col_a", 0, 0))
    rows, _ = run_stage(
        "json_transform",
        {"template": '{"twice": {{ DOC.v * 2 }}, "q": {{ INPUT.q | tojson }}}'},
        [row],
        scope={"INPUT": {"q": "cat"}},
    )
    assert rows == [Row("x", {"twice": 6, "q": "cat"})]


def test_a_template_may_be_one_expression() -> None:
    rows, _ = run_stage("json_transform", {"template": "{{ DOC.m }}"}, [{"m": {"a": [1]}}])
    assert rows[0].fields == {"a": [1]}


@pytest.mark.parametrize(
    "template",
    ["[1]", "7", "null", "no json", '{"a": NaN}', '{"a": "{{ DOC.content }}"}', "{{ DOC.tags }}"],
)
def test_what_is_no_object_is_dropped_or_fails(template: str) -> None:
    rows, report = run_stage("json_transform", {"template": template}, ROWS[:1])
    assert rows == []
    assert len(report.incomplete) == len(report.warnings) == 1
    with pytest.raises(StageError, match="d0") as failure:
        run_stage("json_transform", {"template": template, "fail_on_error": True}, ROWS)
    assert failure.value.details == {"document_id": "d0"}


def test_failures_are_isolated_and_bounded() -> None:
    rows, report = run_stage(
        "json_transform",
        {"template": '{"v": {{ DOC.v }}}'},
        [{"v": n} if n % 2 else {} for n in range(100)],
    )
    assert ids_of(rows) == [f"d{n}" for n in range(1, 100, 2)]
    assert report.metadata["failed"] == 50
    assert len(report.metadata["failures"]) == 20


@pytest.mark.parametrize("bad", ["", "{{ DOC.", "{% for x in %}"])
def test_a_template_that_does_not_parse_is_refused_at_once(bad: str) -> None:
    with pytest.raises(ValueError, match="validation error"):
        run_stage("json_transform", {"template": bad}, [])


def test_it_says_which_fields_it_reads() -> None:
    stage = find_stage("json_transform")
    reads = stage.traits.reads
    narrow = stage.params.model_validate({"template": '{"a": {{ DOC.m.x }}, "b": {{ doc.y }}}'})
    assert reads(narrow) == frozenset({"m", "y"})
    assert reads(stage.params.model_validate({"template": "{{ DOC | tojson }}"})) is ALL
