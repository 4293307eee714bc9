"""Stages that do nothing are left out."""

from core.optimizer.blockers import Notes, is_templated, why_fixed, why_watched
from core.optimizer.bounds import rows_leaving
from core.plan.facts import StageFacts, stage_facts
from core.plan.nodes import Plan, PlanStage


def remove_idle_stages(plan: Plan) -> tuple[Plan, str]:
    """Leave out what passes every row as it came: an empty condition, a limit above what can come.

    [search, 25 best; limit 100] → [search, 25 best]

    Never dearer: the other stages see the same rows. The first stage makes them and always stays.
    """
    if watched := why_watched(plan):
        return plan, watched
    notes = Notes("every stage can do something")
    kept: list[PlanStage] = []
    arriving: int | None = None
    for stage in plan.stages:
        facts = stage_facts(stage)
        why_idle = _why_idle(stage, facts, arriving) if kept else None
        blocker = why_fixed(stage)
        if why_idle and not blocker:
            notes.done.append(f"{stage.stage_name!r} does nothing: {why_idle}")
            continue
        if why_idle:
            notes.blocked.append(f"{stage.stage_name!r} does nothing but stays: {blocker}")
        kept.append(stage)
        arriving = rows_leaving(stage, facts, arriving)
    return plan.with_stages(kept), notes.reason()


def _why_idle(stage: PlanStage, facts: StageFacts, arriving: int | None) -> str | None:
    if facts.params is None or stage.filters or is_templated(stage):
        return None
    if facts.is_noop:
        return "it asks for nothing"
    if arriving is not None and arriving <= facts.stage.traits.idle_up_to(facts.params):
        return f"at most {arriving} rows reach it"
    return None
