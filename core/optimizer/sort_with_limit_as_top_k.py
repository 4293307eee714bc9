"""A sort with a limit behind it sorts no more than it must."""

from core.optimizer.blockers import Notes, why_watched
from core.optimizer.windows import hand_over
from core.plan.nodes import Plan


def sort_with_limit_as_top_k(plan: Plan) -> tuple[Plan, str]:
    """Let a sort return the first rows alone, found with a heap.

    [sort by price; limit 5] → [the 5 first by price]

    Never dearer: choosing k of n costs n·log k, sorting them n·log n.
    """
    if watched := why_watched(plan):
        return plan, watched
    notes = Notes("no limit stands behind a sort")
    return hand_over(plan, "top_k", notes), notes.reason()
