"""What a retriever means: a filter on stored fields constrains the search before it.

[search, the 25 best; filter brand = acme] means the 25 best acme documents, not the acme ones
among the 25 best: that could hide a match behind strangers and call it clear. This is meaning,
settled when the plan is built; it is no optimization and is never switched off.
"""

from dataclasses import replace

from core.filtering.conditions import filter_to_json
from core.plan.facts import StageFacts, filter_fields, overlap, stage_facts
from core.plan.nodes import PlanStage
from core.templates import compile_tree


def settle_filters(stages: tuple[PlanStage, ...]) -> tuple[PlanStage, ...]:
    """Move every filter that constrains a search, or a scan, into it.

    A filter moves back over stages that keep their rows, or only drop rows by looking at one at
    a time, and that do not write the fields it reads; it stays if the search computes them (a
    filter on the score), if its stage may be skipped on error, or if its templates need anything
    but the inputs. Filters at the head of a plan constrain a search that follows at once.
    """
    settled: list[PlanStage] = []
    for node in stages:
        target = _target(settled, node)
        if target is None:
            settled.append(node)
        else:
            settled[target] = _absorb(settled[target], node)
    return _lead_in(tuple(settled))


def _target(before: list[PlanStage], node: PlanStage) -> int | None:
    """Return the index of the search or scan that `node`, a filter, constrains; None if none."""
    facts = stage_facts(node)
    if facts.filter is None or not _movable(node):
        return None
    fields = filter_fields(node, facts)
    for index in range(len(before) - 1, -1, -1):
        other = stage_facts(before[index])
        if _makes_rows(index, other):
            return None if overlap(other.writes, fields) else index
        if not other.passes_rows or overlap(other.writes, fields):
            return None
        if before[index].output_alias or before[index].post_filter is not None:
            return None
    return None


def _lead_in(stages: tuple[PlanStage, ...]) -> tuple[PlanStage, ...]:
    """Turn [filter, search, …] into [search within the filter, …]: a scan would be bounded."""
    if len(stages) < 2:
        return stages
    head, search = stages[0], stages[1]
    facts = stage_facts(search)
    filters_head = stage_facts(head).filter is not None and _movable(head)
    if not filters_head or facts.filter is not None or not facts.stage.traits.source:
        return stages
    return (_absorb(search, head), *stages[2:])


def _makes_rows(index: int, facts: StageFacts) -> bool:
    is_search = facts.stage.traits.source and facts.filter is None
    return is_search or (index == 0 and facts.stage.traits.source)


def _movable(node: PlanStage) -> bool:
    if node.on_error != "error" or node.output_alias or node.post_filter is not None:
        return False
    names = compile_tree(dict(node.parameters)).names
    return all(name.split(".")[0] == "INPUT" for name in names)


def _absorb(target: PlanStage, node: PlanStage) -> PlanStage:
    filter_ = stage_facts(node).filter
    moved = () if filter_ is None else (filter_to_json(filter_),)
    return replace(
        target,
        filters=(*target.filters, *node.filters, *moved),
        moved=(*target.moved, node.stage_name),
        written=tuple(sorted({*target.written, *node.written})),
    )
