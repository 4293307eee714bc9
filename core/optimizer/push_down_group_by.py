"""A grouping right behind a search becomes a part of the search."""

from core.optimizer.blockers import is_templated, why_fixed, why_watched
from core.optimizer.windows import absorb
from core.plan.facts import stage_facts
from core.plan.nodes import Plan, PlanStage


def push_down_group_by(plan: Plan) -> tuple[Plan, str]:
    """Let the search that a plan begins with group what it found before it loads documents.

    [search, 100 best; group_by brand, first] → [search, 100 best, grouped by brand]

    The groups are made of the very rows that the search would have returned. Never dearer: of the
    documents that no group keeps only the field to group by is read, if that.
    """
    if watched := why_watched(plan):
        return plan, watched
    if len(plan.stages) < 2:
        return plan, "no stage groups what the search found"
    search, node = plan.stages[:2]
    facts = stage_facts(node)
    if facts.stage.traits.as_grouping is None:
        return plan, _why_none(plan)
    grouping = None if facts.params is None else facts.stage.traits.as_grouping(facts.params)
    blocker = _blocker(search, node)
    if blocker is not None or grouping is None:
        blocker = blocker or "it orders its groups, or the rows in them, in its own way"
        return plan, f"{node.stage_name!r} stays apart: {blocker}"
    grouped = absorb(search.with_hint("group", grouping), node)
    reason = f"{search.stage_name!r} groups for {node.stage_name!r} before it loads documents"
    return plan.with_stages([grouped, *plan.stages[2:]]), reason


def _blocker(search: PlanStage, node: PlanStage) -> str | None:
    blocker = why_fixed(search) or why_fixed(node)
    if blocker is not None:
        return blocker
    facts = stage_facts(search)
    if "group" not in facts.stage.traits.hints:
        return f"{search.stage_name!r} loads its documents as it finds them"
    if facts.params is None or not facts.stage.traits.can_group(facts.params):
        return f"{search.stage_name!r} groups already, or a query decides whether it does"
    if {"limit", "group"} & search.hints.keys():
        return f"{search.stage_name!r} is cut before it could group"
    if is_templated(node):
        return "its parameters depend on the query"
    return None


def _why_none(plan: Plan) -> str:
    for stage in plan.stages[2:]:
        if stage_facts(stage).stage.traits.as_grouping is not None:
            return f"{stage.stage_name!r} stays apart: it does not stand right behind the search"
    return "no stage groups what the search found"
