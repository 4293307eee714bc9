"""Searches, scans, filters and groupings stop at the limit behind them."""

from core.optimizer.blockers import Notes, why_watched
from core.optimizer.windows import hand_over
from core.plan.nodes import Plan


def stop_early(plan: Plan) -> tuple[Plan, str]:
    """Hand a limit to the stage before it, if that can stop after so many rows.

    [search, 100 best; limit 5] → [search, 5 of its 100 best]

    A limit with an offset stays, and the stage stops where it ends. Never dearer: the stage looks
    at, loads and returns no more than before.
    """
    if watched := why_watched(plan):
        return plan, watched
    notes = Notes("no limit stands behind a stage that could stop there")
    return hand_over(plan, "limit", notes), notes.reason()
