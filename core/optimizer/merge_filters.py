"""Filters side by side become one."""

from dataclasses import replace

from core.filtering.conditions import conjoin
from core.optimizer.blockers import Notes, is_cut, why_fixed, why_watched
from core.optimizer.windows import absorb
from core.plan.facts import stage_facts
from core.plan.nodes import Plan, PlanStage


def merge_filters(plan: Plan) -> tuple[Plan, str]:
    """Make one filter of several that follow each other, their conditions in the same order.

    [brand = acme; price < 9] → [brand = acme and price < 9]

    Never dearer: a row meets the same conditions up to the first that fails, in one pass.
    """
    if watched := why_watched(plan):
        return plan, watched
    notes = Notes("no two filters of rows stand side by side")
    stages = list(plan.stages[:1])  # the first stage makes the rows
    for node in plan.stages[1:]:
        before = stages[-1]
        if len(stages) == 1 or not (_is_filter(before) and _is_filter(node)):
            stages.append(node)
            continue
        merged, blocker = _merge(before, node)
        if blocker is None:
            names = f"{before.stage_name!r} and {node.stage_name!r}"
            notes.done.append(f"{names} filter in one pass")
            stages[-1] = merged
        else:
            notes.blocked.append(f"{node.stage_name!r} stays apart: {blocker}")
            stages.append(node)
    return plan.with_stages(stages), notes.reason()


def _is_filter(node: PlanStage) -> bool:
    facts = stage_facts(node)
    return facts.filter is not None and facts.stage.traits.write_filter is not None


def _merge(first: PlanStage, second: PlanStage) -> tuple[PlanStage, str | None]:
    blocker = why_fixed(first) or why_fixed(second)
    if blocker is None and is_cut(first):
        blocker = f"{first.stage_name!r} stops early"
    facts = stage_facts(first)
    if blocker is not None or facts.stage.traits.write_filter is None:
        return first, blocker or "it cannot be written as one"
    both = conjoin([facts.filter, stage_facts(second).filter])
    if both is None:
        return first, "neither has a condition"
    merged = replace(
        absorb(first, second),
        stage_name=f"{first.stage_name} + {second.stage_name}",
        parameters=facts.stage.traits.write_filter(both),
        filters=(*first.filters, *second.filters),
        moved=(*first.moved, *second.moved),
        hints={**first.hints, **second.hints},
    )
    if stage_facts(merged).filter != both:
        return first, "together they have more conditions than one filter may have"
    return merged, None
