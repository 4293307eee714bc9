"""The optimizer: an ordered tuple of rules, each a pure function from plan to plan.

Order is meaning: a rule sees what the rules before it left. A rule reads declared traits, never
stage names, and must keep every answer, order included.
"""

from collections.abc import Callable
from dataclasses import replace

from core.plan.nodes import Decision, Plan

# Grows with every change of a rule or of a node's form: cached plans of other versions are not
# looked at.
OPTIMIZER_VERSION = 1

# Returns the plan, changed or the very same, and why.
Rule = Callable[[Plan], tuple[Plan, str]]

RULES: tuple[Rule, ...] = ()


def optimize(plan: Plan, rules: tuple[Rule, ...] = RULES) -> Plan:
    """Apply every rule once, in order, and record what each did and why."""
    decisions: list[Decision] = []
    for rule in rules:
        changed, reason = rule(plan)
        applied = changed.stages != plan.stages
        before, after = len(plan.stages), len(changed.stages)
        decisions.append(Decision(rule.__name__, applied, reason, before, after))
        plan = changed
    return replace(plan, decisions=tuple(decisions))
