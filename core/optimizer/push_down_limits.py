"""Limits go before the stages that make one row of each row."""

from core.optimizer.blockers import Notes, is_cut, why_fixed, why_watched
from core.optimizer.windows import why_unknown, window_of
from core.plan.facts import stage_facts
from core.plan.nodes import Plan, PlanStage


def push_down_limits(plan: Plan) -> tuple[Plan, str]:
    """Move a window before what makes one row of each row that comes, in its place.

    [search; document_enrich; limit 5] → [search; limit 5; document_enrich]

    It passes nothing that drops, adds or reorders rows. Never dearer: the stages that it passes
    see fewer rows, and it costs nothing.
    """
    if watched := why_watched(plan):
        return plan, watched
    notes = Notes("no limit stands behind a stage that makes one row of each row")
    stages = list(plan.stages)
    for start in range(2, len(stages)):
        at = start
        while at > 1 and _may_pass(stages[at - 1], stages[at], notes):
            stages[at - 1], stages[at] = stages[at], stages[at - 1]
            at -= 1
        if at < start:
            names = ", ".join(repr(stage.stage_name) for stage in stages[at + 1 : start + 1])
            notes.done.append(f"{stages[at].stage_name!r} goes before {names}")
    return plan.with_stages(stages), notes.reason()


def _may_pass(before: PlanStage, node: PlanStage, notes: Notes) -> bool:
    unknown = why_unknown(node)
    if (window_of(node) is None and unknown is None) or window_of(before) is not None:
        return False
    blocker = unknown or why_fixed(node) or why_fixed(before) or _why_in_the_way(before)
    if blocker is not None:
        notes.blocked.append(f"{node.stage_name!r} stays behind {before.stage_name!r}: {blocker}")
    return blocker is None


def _why_in_the_way(before: PlanStage) -> str | None:
    facts, name = stage_facts(before), repr(before.stage_name)
    traits = facts.stage.traits
    if facts.params is None:
        return f"each query has its own {name}"
    one_to_one = traits.row_local and traits.keeps_order and traits.keeps_rows
    if is_cut(before) or not (one_to_one or traits.one_to_one(facts.params)):
        return f"{name} may drop, add or reorder rows, or looks at all of them"
    return None if traits.quiet(facts.params) else f"{name} can fail or report for single rows"
