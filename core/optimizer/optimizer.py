"""The optimizer: an ordered tuple of rules, each a pure function from plan to plan.

Order is meaning: a rule sees what the rules before it left. A rule reads declared traits, never
stage names, and must keep every answer, order included.
"""

from collections.abc import Callable
from dataclasses import replace

from core.optimizer.merge_filters import merge_filters
from core.optimizer.merge_limits import merge_limits
from core.optimizer.order_filters import order_filters
from core.optimizer.push_down_group_by import push_down_group_by
from core.optimizer.push_down_limits import push_down_limits
from core.optimizer.read_needed_fields import read_needed_fields
from core.optimizer.remove_idle_stages import remove_idle_stages
from core.optimizer.remove_redundant_sorts import remove_redundant_sorts
from core.optimizer.sort_with_limit_as_top_k import sort_with_limit_as_top_k
from core.optimizer.stop_early import stop_early
from core.plan.nodes import Decision, Plan

# Returns the plan, changed or the very same, and why.
Rule = Callable[[Plan], tuple[Plan, str]]

RULES: tuple[Rule, ...] = (
    # What goes brings others side by side.
    remove_idle_stages,
    remove_redundant_sorts,
    # Filters meet by moving, then merge.
    order_filters,
    merge_filters,
    # Before any limit: one that is handed to a search would cut what is to be grouped.
    push_down_group_by,
    # Limits meet by moving, merge, and are handed over once nothing can change them any more.
    push_down_limits,
    merge_limits,
    stop_early,
    sort_with_limit_as_top_k,
    # Last: it looks at what all the others left.
    read_needed_fields,
)


def optimize(plan: Plan, rules: tuple[Rule, ...] = RULES) -> Plan:
    """Apply the rules in order, again until none changes anything; record what each did and why.

    It ends: a rule takes a stage away, moves a filter or a limit forward past what never moves
    back, or sets or lowers a hint; none undoes another's work.
    """
    decisions: dict[str, Decision] = {}
    stages = None
    while stages != plan.stages:
        stages = plan.stages
        for rule in rules:
            changed, reason = rule(plan)
            decision = Decision(
                rule=rule.__name__,
                applied=changed.stages != plan.stages,
                reason=reason,
                stages_before=len(plan.stages),
                stages_after=len(changed.stages),
            )
            earlier = decisions.get(decision.rule)
            decisions[decision.rule] = _joined(earlier, decision) if earlier else decision
            plan = changed
    return replace(plan, decisions=tuple(decisions.values()))


def _joined(earlier: Decision, later: Decision) -> Decision:
    """Return one decision of a rule's rounds: what it did, else what it found last."""
    if not later.applied:
        return earlier if earlier.applied else replace(earlier, reason=later.reason)
    if not earlier.applied:
        return later
    gone = earlier.stages_before - earlier.stages_after
    return replace(
        later,
        reason=f"{earlier.reason}; {later.reason}",
        stages_before=later.stages_before + gone,
    )
