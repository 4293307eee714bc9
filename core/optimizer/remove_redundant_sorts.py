"""Sorts whose rows come in that very order are left out."""

from core.optimizer.blockers import Notes, is_cut, is_templated, why_fixed, why_watched
from core.plan.facts import StageFacts, stage_facts, touches
from core.plan.nodes import Plan, PlanStage
from core.traits import SortOrder


def remove_redundant_sorts(plan: Plan) -> tuple[Plan, str]:
    """Leave out a stable sort of rows that are sorted so already.

    [search; sort by score, best first] → [search]

    An earlier sort by another field stays: it orders what the later one finds equal. Never
    dearer: a sort less.
    """
    if watched := why_watched(plan):
        return plan, watched
    notes = Notes("no sort finds its rows in its own order")
    kept: list[PlanStage] = []
    order: SortOrder | None = None
    for stage in plan.stages:
        facts = stage_facts(stage)
        if order is not None and _sorts_by(stage, facts, order):
            blocker = why_fixed(stage)
            if blocker is None:
                direction = "descending" if order.descending else "ascending"
                where = f"rows come by {order.field}, {direction}"
                notes.done.append(f"{stage.stage_name!r} changes nothing: {where}")
                continue
            notes.blocked.append(f"{stage.stage_name!r} changes nothing but stays: {blocker}")
        kept.append(stage)
        order = _order_after(stage, facts, order)
    return plan.with_stages(kept), notes.reason()


def _sorts_by(stage: PlanStage, facts: StageFacts, have: SortOrder) -> bool:
    if not facts.stage.traits.sorts or is_cut(stage):
        return False
    want = _produced(stage, facts)
    if want is None or (want.field, want.descending) != (have.field, have.descending):
        return False
    return have.missing is None or have == want


def _produced(stage: PlanStage, facts: StageFacts) -> SortOrder | None:
    if facts.params is None or "group" in stage.hints:
        return None
    order = facts.stage.traits.sorted_by(facts.params)
    # A source's query may be a template: that decides which rows come, not their order.
    return None if facts.stage.traits.sorts and is_templated(stage) else order


def _order_after(stage: PlanStage, facts: StageFacts, before: SortOrder | None) -> SortOrder | None:
    traits = facts.stage.traits
    produced = _produced(stage, facts) if stage.on_error == "error" else None
    order = produced or before
    if order is None:
        return None
    one_to_one = facts.params is not None and traits.one_to_one(facts.params)
    if produced is None:
        if not (traits.keeps_order or one_to_one) or touches(facts.writes, order.field):
            return None
        drops = not (traits.keeps_rows or one_to_one)
    else:
        drops = False
    drops = drops or is_cut(stage) or stage.post_filter is not None
    # Of mixed types, fewer rows may compare otherwise: what is left is sorted for sure only where
    # two rows alone decide.
    return None if drops and not _outlives_drops(order) else order


def _outlives_drops(order: SortOrder) -> bool:
    return order.missing is None or order.kind == "number"
