"""Windows, rows[offset : offset + limit]: reading them off stages, and handing them to others."""

from dataclasses import replace

from core.optimizer.blockers import Notes, why_fixed
from core.plan.facts import stage_facts
from core.plan.nodes import Plan, PlanStage

Window = tuple[int, int]  # offset, limit


def window_of(stage: PlanStage) -> Window | None:
    """Return the window that a stage is, None if it is none or a query decides which."""
    facts = stage_facts(stage)
    return None if facts.params is None else facts.stage.traits.window(facts.params)


def why_unknown(stage: PlanStage) -> str | None:
    """Say that a query decides which window a stage is; None if it is known, or none at all."""
    facts = stage_facts(stage)
    if facts.params is None and facts.stage.traits.write_window is not None:
        return f"each query has its own {stage.stage_name!r}"
    return None


def absorb(stage: PlanStage, gone: PlanStage) -> PlanStage:
    """Return a stage that also stands for the written stages of one that is gone."""
    more = tuple(index for index in gone.written if index not in stage.written)
    return replace(stage, written=(*stage.written, *more))


def hand_over(plan: Plan, hint: str, notes: Notes) -> Plan:
    """Let every stage that honours `hint` stop where the window behind it ends.

    The hint is exact, so a window without an offset is done with.
    """
    stages: list[PlanStage] = []
    for stage in plan.stages:
        window, unknown = window_of(stage), why_unknown(stage)
        honoured = bool(stages) and hint in stage_facts(stages[-1]).stage.traits.hints
        if not honoured or (window is None and unknown is None):
            stages.append(stage)
            continue
        before = stages[-1]
        blocker = unknown or why_fixed(before) or why_fixed(stage)
        if blocker or window is None:
            notes.blocked.append(f"{stage.stage_name!r} stays: {blocker}")
            stages.append(stage)
            continue
        offset, limit = window
        rows = min(offset + limit, before.hints.get(hint, offset + limit))
        stages[-1] = before.with_hint(hint, rows)
        notes.done.append(f"{before.stage_name!r} stops at {rows} rows for {stage.stage_name!r}")
        if offset:
            stages.append(stage)
        else:
            stages[-1] = absorb(stages[-1], stage)
    return plan.with_stages(stages)
