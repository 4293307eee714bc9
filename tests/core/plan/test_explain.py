"""Explain: both plans, what every rule did or why it did not, and words that a user understands."""

from pathlib import Path
from typing import Any

import orjson

from core.models.base import parse_model
from core.models.retriever import Retriever, StageSpec
from core.optimizer.optimizer import RULES, optimize
from core.plan.build import build_plan
from core.plan.explain import explain_plans
from core.types import JsonObject
from tests.core.service import make_namespace, make_retriever, running_app, search_stage, stage

KEYS = {
    *("retriever_id", "retriever_name", "estimated_cost", "execution_plan"),
    *("optimization_suggestions", "total_estimated_stages", "bottleneck_stages"),
    *("optimization_level", "optimization_applied", "optimization_details"),
    *("plan_before", "plan_after"),
}
ITEM_KEYS = {
    *("stage_index", "stage_name", "stage_type", "estimated_input", "estimated_output"),
    *("estimated_efficiency", "estimated_cost_credits", "estimated_duration_ms", "cache_likely"),
    *("optimization_notes", "warnings"),
}
JOIN = {"target_collection_id": "c", "source_field": "brand", "output_field": "joined"}


def named(name: str, stage_id: str, **parameters: Any) -> JsonObject:
    return {**stage(stage_id, **parameters), "stage_name": name}


def explain(*stages: JsonObject) -> JsonObject:
    specs = tuple(parse_model(StageSpec, spec) for spec in stages)
    retriever = Retriever(
        retriever_id="ret_1", namespace_id="ns_1", retriever_name="shop", stages=specs
    )
    written = build_plan(retriever)
    return explain_plans(written, optimize(written), 1.25)


def decision(answer: JsonObject, rule: str) -> JsonObject:
    found: list[JsonObject] = answer["optimization_details"]["decisions"]
    return next(item for item in found if item["rule_type"] == rule)


def notes(answer: JsonObject, name: str) -> list[str]:
    items: list[JsonObject] = answer["execution_plan"]
    return next(item["optimization_notes"] for item in items if item["stage_name"] == name)


def test_it_has_the_contracts_shape_and_is_json() -> None:
    answer = explain(search_stage(final_top_k=50), stage("limit", limit=5))
    assert set(answer) == KEYS
    assert all(set(item) == ITEM_KEYS for item in answer["execution_plan"])
    assert orjson.loads(orjson.dumps(answer)) == answer
    assert answer["optimization_applied"] is True
    assert answer["optimization_details"]["original_stage_count"] == 2
    assert answer["optimization_details"]["optimized_stage_count"] == 1
    assert answer["optimization_details"]["stage_reduction_pct"] == 50.0
    assert answer["optimization_details"]["optimization_time_ms"] == 1.25
    assert answer["total_estimated_stages"] == 1
    assert [d["rule_type"] for d in answer["optimization_details"]["decisions"]] == [
        rule.__name__ for rule in RULES
    ]


def test_both_plans_are_shown_as_they_are() -> None:
    answer = explain(search_stage(final_top_k=50), named("join", "document_enrich", **JOIN))
    assert [s["stage_name"] for s in answer["plan_before"]] == ["feature_search", "join"]
    assert "hints" not in answer["plan_before"][0]
    assert answer["plan_after"][0]["hints"] == {"columns": ["brand", "joined"]}
    assert answer["plan_after"][1]["parameters"] == JOIN


def test_every_rule_says_what_it_did_or_why_it_did_not() -> None:
    answer = explain(
        search_stage(final_top_k=50),
        {**named("join", "document_enrich", **JOIN), "on_error": "skip"},
        named("good", "score_threshold", min_score=0.5),
        named("top", "limit", limit=5),
    )
    filters = decision(answer, "order_filters")
    assert filters["applied"] is False
    assert filters["reason"] == "'good' stays behind 'join': 'join' may be skipped on an error"
    assert decision(answer, "stop_early")["reason"].startswith("no limit stands behind")
    assert decision(answer, "merge_filters")["reason"]
    assert all(d["reason"] for d in answer["optimization_details"]["decisions"])


def test_a_filter_that_constrains_the_search_is_told_from_one_that_does_not() -> None:
    answer = explain(
        search_stage(final_top_k=50),
        named("brand", "attribute_filter", field="brand", value="acme"),
        named("top", "limit", limit=20, offset=1),
        named("late", "attribute_filter", field="brand", value="acme"),
    )
    told = notes(answer, "feature_search")
    assert told[0] == "constrained by 'brand', which filters stored fields"
    assert answer["plan_after"][0]["filters_moved_from"] == ["brand"]
    assert "does not constrain the search" in notes(answer, "late")[0]


def test_hints_are_told_in_words() -> None:
    answer = explain(
        search_stage(final_top_k=50),
        named("groups", "group_by", group_by_field="brand", output_mode="first"),
        named("top", "limit", limit=3),
    )
    assert notes(answer, "feature_search") == [
        "stops at 3 rows, which is all that a later limit lets pass",
        "groups what it found by brand before it loads documents",
        "loads brand; the rest is read of documents that are shown",
    ]
    assert answer["execution_plan"][0]["estimated_output"] == 3


def test_estimates_follow_the_bounds_and_name_the_dearest_stage() -> None:
    answer = explain(
        search_stage(final_top_k=40),
        named("join", "document_enrich", **{**JOIN, "allow_missing": False}),
        named("sample", "sample", count=10),
    )
    rows = [(i["estimated_input"], i["estimated_output"]) for i in answer["execution_plan"]]
    assert rows == [(0, 40), (40, 40), (40, 10)]
    assert answer["bottleneck_stages"] == ["feature_search"]
    total = sum(item["estimated_duration_ms"] for item in answer["execution_plan"])
    assert abs(answer["estimated_cost"]["total_duration_ms"] - total) < 0.001


def test_a_stored_retriever_is_explained_without_running_it(tmp_path: Path) -> None:
    with running_app(tmp_path) as app:
        namespace = make_namespace(app)
        make_retriever(app, namespace, [search_stage(), stage("limit", limit=500)])
        answer = app.engine.explain(namespace, "nearest")
    assert answer["retriever_name"] == "nearest"
    reason = decision(answer, "remove_idle_stages")["reason"]
    assert reason == "'limit' does nothing: at most 25 rows reach it"
