"""How many rows can reach a stage, by what the stages before it declare."""

from core.plan.facts import StageFacts
from core.plan.nodes import PlanStage

_CUTTING_HINTS = ("limit", "top_k")


def rows_leaving(stage: PlanStage, facts: StageFacts, arriving: int | None) -> int | None:
    """Return the most rows that can leave a stage, None if that is not known.

    `arriving` is the most that can reach it; None also for the stage that makes the rows.
    """
    bounds = [facts.bound, *(stage.hints.get(name) for name in _CUTTING_HINTS)]
    if _adds_none(facts):
        bounds.append(arriving)
    known = [bound for bound in bounds if bound is not None]
    most = min(known, default=None)
    if stage.on_error == "error":
        return most
    # Skipped, it passes on what came.
    return None if most is None or arriving is None else max(most, arriving)


def _adds_none(facts: StageFacts) -> bool:
    traits = facts.stage.traits
    if traits.keeps_rows or traits.only_drops:
        return True
    return facts.params is not None and traits.one_to_one(facts.params)
