"""Every rule against its golden file, and what holds of any rule on any plan."""

from typing import Any

import pytest

from core.optimizer.optimizer import RULES, Rule, optimize
from core.types import JsonObject
from tests.core.optimizer.golden import FOLDER, outcome, plan_of, read_cases, stages_of

CASES = [
    pytest.param(rule, case, id=f"{rule.__name__}: {case['why']}")
    for rule in RULES
    for case in read_cases(rule)
]


def stage(stage_id: str, name: str, **parameters: Any) -> JsonObject:
    return {"stage_name": name, "stage_id": stage_id, "parameters": parameters}


SEARCH = stage("feature_search", "search", searches=[{"feature_uri": "emb", "query": [1.0]}])


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_a_rule_does_what_its_golden_file_says(rule: Rule, case: JsonObject) -> None:
    made = outcome(rule, case["before"])
    assert made == {"after": case["after"], "reason": case["reason"]}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.__name__))
def test_a_golden_file_shows_the_rule_at_work_and_blocked(rule: Rule) -> None:
    cases = read_cases(rule)
    assert any(case["after"] == "as before" for case in cases)
    assert any(case["after"] != "as before" for case in cases)


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {rule.__name__ for rule in RULES}


def test_rules_enable_one_another_until_nothing_changes() -> None:
    join = {"target_collection_id": "c", "source_field": "brand", "output_field": "joined"}
    plan = plan_of(
        [
            SEARCH,
            stage("document_enrich", "join", **join),
            stage("limit", "first ten", limit=10),
            stage("score_threshold", "good ones", min_score=0.5),
            stage("sort_relevance", "by score"),
            stage("limit", "next three", limit=3, offset=1),
        ]
    )
    optimized = optimize(plan)
    # The limits lose the join, which then lets the threshold through, behind which the other is.
    assert [s["stage_name"] for s in stages_of(optimized)] == [
        "search",
        "good ones",
        "next three",
        "join",
    ]
    assert optimized.stages[0].hints == {"limit": 10, "columns": ["brand", "joined"]}
    assert optimized.stages[0].written == (0, 2)
    fired = {d.rule: d for d in optimized.decisions if d.applied}
    assert set(fired) == {
        "remove_redundant_sorts",
        "push_down_limits",
        "order_filters",
        "stop_early",
        "read_needed_fields",
    }
    moves = fired["push_down_limits"].reason
    assert "'first ten' goes before 'join'" in moves
    assert "'next three' goes before 'join'" in moves
    assert [d.rule for d in optimized.decisions] == [rule.__name__ for rule in RULES]


def test_a_decision_counts_the_stages_that_its_rule_took_away() -> None:
    plan = plan_of([SEARCH, stage("limit", "a", limit=7), stage("limit", "b", limit=5)])
    counts = {d.rule: (d.stages_before, d.stages_after) for d in optimize(plan).decisions}
    assert counts["remove_idle_stages"] == (3, 3)
    assert counts["merge_limits"] == (3, 2)
    assert counts["stop_early"] == (2, 1)


@pytest.mark.parametrize("name", ["documents[0].score", "count"])
def test_a_plan_whose_templates_look_between_stages_runs_as_written(name: str) -> None:
    value = "{{STAGE.search." + name + "}}"
    watcher = stage("attribute_filter", "watcher", field="price", operator="lt", value=value)
    plan = plan_of([SEARCH, stage("sort_relevance", "by score"), watcher])
    optimized = optimize(plan)
    assert optimized.stages == plan.stages
    assert all("'watcher' has a template" in d.reason for d in optimized.decisions)


def test_an_alias_that_nobody_reads_holds_its_own_stage_alone() -> None:
    plan = plan_of(
        [
            SEARCH,
            {**stage("limit", "kept", limit=1000), "output_alias": "rows"},
            stage("limit", "gone", limit=1000),
        ]
    )
    assert [s.stage_name for s in optimize(plan).stages] == ["search", "kept"]
