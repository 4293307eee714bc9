"""What is known of a plan's stage before any query: its traits, applied to its parameters."""

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from core.errors import TrawlError
from core.filtering.conditions import Filter, fields_of, parse_filter
from core.plan.nodes import PlanStage
from core.registry import find_stage
from core.stage import AnyStage
from core.traits import ALL, NO_FIELDS, FieldSet, StageParams


@dataclass(frozen=True, slots=True)
class StageFacts:
    """A stage's declared facts, given its parameters; ALL and None where templates hide them.

    `params` has templates still in it as text where a parameter takes text, and is None where
    one stands for a number or another typed value.
    """

    stage: AnyStage
    params: Any
    reads: FieldSet
    writes: FieldSet
    bound: int | None
    filter: Filter | None
    is_noop: bool

    @property
    def passes_rows(self) -> bool:
        """Say whether a filter commutes with the stage, but for the fields that it writes."""
        traits = self.stage.traits
        return (
            traits.keeps_rows
            or (traits.only_drops and traits.row_local)
            or (self.params is not None and traits.one_to_one(self.params))
        )


def stage_facts(node: PlanStage) -> StageFacts:
    """Return the facts of one node."""
    stage = find_stage(node.stage_id)
    traits = stage.traits
    params = _typed(stage, node)
    if params is None:
        return StageFacts(stage, None, ALL, ALL, None, None, is_noop=False)
    return StageFacts(
        stage=stage,
        params=params,
        reads=_plain(traits.reads(params)),
        writes=_plain(traits.writes(params)),
        bound=traits.bound(params),
        filter=traits.as_filter(params) if traits.as_filter else None,
        is_noop=traits.is_noop(params),
    )


def filter_fields(node: PlanStage, facts: StageFacts) -> FieldSet:
    """Return what a filter looks at on its rows: its own conditions' fields and its pre_filters'.

    ALL where a query names one: it may turn out to be any.
    """
    fields = facts.reads
    for raw in node.filters:
        tree = parse_filter(raw)
        more = NO_FIELDS if tree is None else _plain(fields_of(tree))
        if not isinstance(fields, frozenset) or not isinstance(more, frozenset):
            return ALL
        fields |= more
    return fields


def touches(fields: FieldSet, path: str) -> bool:
    """Say whether a change of `fields` can be seen at `path`, above it or below it."""
    if not isinstance(fields, frozenset):
        return True
    return any(_related(one, path) for one in fields)


def overlap(left: FieldSet, right: FieldSet) -> bool:
    """Say whether two sets of fields share any."""
    if isinstance(right, frozenset):
        return any(touches(left, path) for path in right)
    return bool(left) if isinstance(left, frozenset) else True


def _related(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def _typed(stage: AnyStage, node: PlanStage) -> StageParams | None:
    try:
        params: StageParams = stage.params.model_validate(node.parameters)
    except (ValidationError, TrawlError):  # a filter names its own faults
        return None
    return params


def _plain(fields: FieldSet) -> FieldSet:
    """Return ALL if a field's name is a template: it may turn out to be any."""
    if isinstance(fields, frozenset) and any("{{" in f or "{%" in f for f in fields):
        return ALL
    return fields
