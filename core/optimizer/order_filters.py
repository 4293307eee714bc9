"""Filters that need only the row at hand go before what costs more."""

from core.filtering.conditions import conditions_of, parse_filter
from core.optimizer.blockers import Notes, is_cut, why_fixed, why_watched
from core.plan.facts import StageFacts, filter_fields, overlap, stage_facts
from core.plan.nodes import Plan, PlanStage

# What a condition costs beside a plain comparison, in comparisons (0.4 µs each), measured on texts
# of a hundred words and a polygon of four corners.
_DEAR_OPERATORS = {
    "regex": 3,
    "geo_bounding_box": 3,
    "geo_radius": 4,
    "geo_polygon": 15,
    "phrase": 50,
    "words": 80,
}


def order_filters(plan: Plan) -> tuple[Plan, str]:
    """Move a filter before stages that cost more per row and do not write what it reads.

    [search; document_enrich; score_threshold] → [search; score_threshold; document_enrich]

    It passes what makes one row of one, a sort that compares rows two by two, and dearer filters.
    Never dearer: before the first two it sees as many rows as behind them, and spares them some;
    of two filters, whose shares are not known and so taken as equal, the cheaper first is least.
    """
    if watched := why_watched(plan):
        return plan, watched
    notes = Notes("no filter stands behind a stage that costs more and could come later")
    stages = list(plan.stages)
    for start in range(2, len(stages)):  # the first stage makes the rows
        at = start
        while at > 1 and _may_pass(stages[at - 1], stages[at], notes):
            stages[at - 1], stages[at] = stages[at], stages[at - 1]
            at -= 1
        if at < start:
            moved, passed = stages[at], stages[at + 1 : start + 1]
            names = ", ".join(repr(stage.stage_name) for stage in passed)
            notes.done.append(f"{moved.stage_name!r} goes before {names}")
    return plan.with_stages(stages), notes.reason()


def _may_pass(before: PlanStage, node: PlanStage, notes: Notes) -> bool:
    facts, other = stage_facts(node), stage_facts(before)
    if not _is_filter(facts) or is_cut(node):
        return False
    if _commutes(other, before) and not _gains(other, before, facts, node):
        return False
    name, blocker = repr(before.stage_name), why_fixed(node) or why_fixed(before)
    if blocker is None and not _commutes(other, before):
        blocker = f"what {name} makes of a row depends on the rows beside it"
    elif blocker is None and overlap(other.writes, filter_fields(node, facts)):
        blocker = f"{name} may write what it reads"
    elif blocker is None and not _is_quiet(other):
        blocker = f"{name} can fail or report for single rows"
    if blocker is not None:
        notes.blocked.append(f"{node.stage_name!r} stays behind {name}: {blocker}")
    return blocker is None


def _is_filter(facts: StageFacts) -> bool:
    traits = facts.stage.traits
    drops = traits.row_local and traits.only_drops and traits.keeps_order
    return drops and facts.params is not None and _is_quiet(facts)


def _is_quiet(facts: StageFacts) -> bool:
    return facts.params is not None and facts.stage.traits.quiet(facts.params)


def _commutes(other: StageFacts, before: PlanStage) -> bool:
    """Say whether rows dropped before a stage leave the others as they would have been."""
    traits = other.stage.traits
    if other.params is None or is_cut(before):
        return False
    if traits.sorts:
        return traits.keeps_rows and traits.pairwise(other.params)
    return traits.one_to_one(other.params) or (traits.row_local and traits.keeps_order)


def _gains(other: StageFacts, before: PlanStage, facts: StageFacts, node: PlanStage) -> bool:
    if other.stage.traits.keeps_rows or other.stage.traits.one_to_one(other.params):
        return True
    return _cost(facts, node) < _cost(other, before)


def _cost(facts: StageFacts, node: PlanStage) -> int:
    """Return the cost per row: a filter's is that of its dearest condition."""
    trees = [facts.filter, *(parse_filter(raw) for raw in node.filters)]
    dear = (
        _DEAR_OPERATORS.get(condition.operator, 0)
        for tree in trees
        if tree is not None
        for condition in conditions_of(tree)
    )
    return facts.stage.traits.cost + max(dear, default=0)
