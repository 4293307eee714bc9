"""Limits side by side become one."""

from dataclasses import replace

from core.optimizer.blockers import Notes, why_fixed, why_watched
from core.optimizer.windows import Window, absorb, window_of
from core.plan.facts import stage_facts
from core.plan.nodes import Plan, PlanStage


def merge_limits(plan: Plan) -> tuple[Plan, str]:
    """Make one window of two that follow each other.

    [limit 10, offset 2; limit 20, offset 3] → [limit 7, offset 5]

    Two that leave nothing stay as they are: a window has at least one row. Never dearer: a stage
    less.
    """
    if watched := why_watched(plan):
        return plan, watched
    notes = Notes("no two limits stand side by side")
    stages: list[PlanStage] = []
    for node in plan.stages:
        before = stages[-1] if stages else node
        first, second = window_of(before), window_of(node)
        if before is node or first is None or second is None:
            stages.append(node)
            continue
        merged, blocker = _merge(before, node, _compose(first, second))
        if blocker is None:
            notes.done.append(f"{before.stage_name!r} and {node.stage_name!r} are one limit")
            stages[-1] = merged
        else:
            notes.blocked.append(f"{node.stage_name!r} stays apart: {blocker}")
            stages.append(node)
    return plan.with_stages(stages), notes.reason()


def _compose(first: Window, second: Window) -> Window:
    """Return the window `second` of the rows in the window `first`."""
    (skipped, kept), (offset, limit) = first, second
    return skipped + offset, min(limit, kept - offset)


def _merge(before: PlanStage, node: PlanStage, window: Window) -> tuple[PlanStage, str | None]:
    blocker = why_fixed(before) or why_fixed(node)
    write = stage_facts(before).stage.traits.write_window
    if blocker is not None or write is None:
        return before, blocker or "it cannot be written as one"
    if window[1] < 1:
        return before, f"{before.stage_name!r} leaves no row at its offset"
    name = f"{before.stage_name} + {node.stage_name}"
    merged = replace(absorb(before, node), stage_name=name, parameters=write(*window))
    if window_of(merged) != window:
        return before, "their offsets together are past what a limit takes"
    return merged, None
