"""Explain: the plan as written and as it will run, and why it differs."""

from core.plan.facts import StageFacts, stage_facts
from core.plan.nodes import Plan, PlanStage
from core.types import JsonObject

# Rows that a stage is taken to receive and pass on where its parameters do not bound them.
_UNKNOWN_ROWS = 100
# Milliseconds per row and unit of a stage's declared cost, and per search: rough, for ranking.
_MS_PER_COST = 0.0005
_SEARCH_MS = 5.0


def explain_plans(written: Plan, optimized: Plan, optimization_ms: float) -> JsonObject:
    """Return the contract's explanation, and beside it both plans as they are."""
    items = _estimate(optimized)
    slowest = max((item["estimated_duration_ms"] for item in items), default=0.0)
    total_ms = sum(item["estimated_duration_ms"] for item in items)
    return {
        "retriever_id": written.retriever_id,
        "retriever_name": written.retriever_name,
        "estimated_cost": {"total_credits": 0.0, "total_duration_ms": round(total_ms, 3)},
        "execution_plan": items,
        "optimization_suggestions": [],
        "total_estimated_stages": len(items),
        "bottleneck_stages": [
            item["stage_name"] for item in items if item["estimated_duration_ms"] >= 0.8 * slowest
        ],
        "optimization_level": "advanced",
        "optimization_applied": any(d.applied for d in optimized.decisions),
        "optimization_details": {
            **summarize_optimization(optimized, optimization_ms),
            "decisions": [
                {
                    "rule_type": decision.rule,
                    "applied": decision.applied,
                    "reason": decision.reason,
                    "stages_before": decision.stages_before,
                    "stages_after": decision.stages_after,
                }
                for decision in optimized.decisions
            ],
        },
        "plan_before": [_describe(stage) for stage in written.stages],
        "plan_after": [_describe(stage) for stage in optimized.stages],
    }


def summarize_optimization(plan: Plan, optimization_ms: float) -> JsonObject:
    """Return `optimization_summary`; the original count is the retriever's own stages."""
    before, after = plan.written_count, len(plan.stages)
    return {
        "original_stage_count": before,
        "optimized_stage_count": after,
        "optimization_time_ms": round(optimization_ms, 3),
        "rules_applied": [d.rule for d in plan.decisions if d.applied],
        "stage_reduction_pct": round(100 * max(0, before - after) / before, 1) if before else 0.0,
    }


def _describe(stage: PlanStage) -> JsonObject:
    body: JsonObject = {
        "stage_name": stage.stage_name,
        "stage_id": stage.stage_id,
        "parameters": dict(stage.parameters),
        "written_stages": list(stage.written),
    }
    if stage.filters:
        body["filters"] = list(stage.filters)
    if stage.moved:
        body["filters_moved_from"] = list(stage.moved)
    if stage.post_filter is not None:
        body["post_filter"] = stage.post_filter
    if stage.on_error != "error":
        body["on_error"] = stage.on_error
    if stage.output_alias is not None:
        body["output_alias"] = stage.output_alias
    if stage.hints:
        body["hints"] = dict(stage.hints)
    return body


def _estimate(plan: Plan) -> list[JsonObject]:
    items: list[JsonObject] = []
    rows = 0
    for index, stage in enumerate(plan.stages):
        facts = stage_facts(stage)
        makes_rows = index == 0
        leaving = _leaving(stage, facts, None if makes_rows else rows)
        searches = makes_rows or (
            facts.stage.traits.source and facts.stage.traits.as_filter is None
        )
        duration = rows * facts.stage.traits.cost * _MS_PER_COST + (_SEARCH_MS if searches else 0.0)
        items.append(
            {
                "stage_index": index,
                "stage_name": stage.stage_name,
                "stage_type": facts.stage.category,
                "estimated_input": rows,
                "estimated_output": leaving,
                "estimated_efficiency": round(leaving / rows, 4) if rows else 0.0,
                "estimated_cost_credits": 0.0,
                "estimated_duration_ms": round(duration, 4),
                "cache_likely": False,
                "optimization_notes": _notes(stage, facts, makes_rows=makes_rows),
                "warnings": [],
            }
        )
        rows = leaving
    return items


def _leaving(stage: PlanStage, facts: StageFacts, arriving: int | None) -> int:
    """Return how many rows leave if every stage passes on all that it may."""
    cuts = [stage.hints[name] for name in ("limit", "top_k") if name in stage.hints]
    bounds = [*cuts, *([] if facts.bound is None else [facts.bound])]
    come = _UNKNOWN_ROWS if arriving is None else arriving
    return min(bounds, default=come) if arriving is None else min([*bounds, come])


def _notes(stage: PlanStage, facts: StageFacts, *, makes_rows: bool) -> list[str]:
    """Say, stage by stage, what the plan does that the retriever's stages do not show."""
    notes = [f"constrained by {name!r}, which filters stored fields" for name in stage.moved]
    if facts.filter is not None and not makes_rows:
        notes.append("filters the rows that reach it: it does not constrain the search")
    hints = stage.hints
    for name in ("limit", "top_k"):
        if name in hints:
            notes.append(f"stops at {hints[name]} rows, which is all that a later limit lets pass")
    if "group" in hints:
        field = hints["group"]["group_by_field"]
        notes.append(f"groups what it found by {field} before it loads documents")
    if "columns" in hints:
        names = ", ".join(hints["columns"]) or "no stored field"
        notes.append(f"loads {names}; the rest is read of documents that are shown")
    return notes
