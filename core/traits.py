"""Traits: the facts that a stage declares about itself, for the planner and the optimizer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from core.filtering.conditions import Filter
from core.templates import is_template
from core.types import JsonObject


class StageParams(BaseModel):
    """Base of every stage's parameters: unknown names are refused, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


P = TypeVar("P", bound=StageParams)


class _All:
    """The set of every field name."""

    def __repr__(self) -> str:
        return "ALL"


ALL = _All()


FieldSet = frozenset[str] | _All  # dot paths, or ALL


NO_FIELDS: frozenset[str] = frozenset()


def reads_all(_: StageParams) -> FieldSet:
    """Declare that a stage may read any field: the safe default."""
    return ALL


def reads_none(_: StageParams) -> FieldSet:
    """Declare that a stage reads, or writes, no field."""
    return NO_FIELDS


def fields_of(*paths: str | None) -> FieldSet:
    """Return the set of these field paths; ALL if one is a template, so not yet known."""
    if any(is_template(path) for path in paths if path is not None):
        return ALL
    return frozenset(path for path in paths if path is not None)


@dataclass(frozen=True, slots=True)
class SortOrder:
    """What rows are sorted by, stably. `kind` names the comparison. `missing` says where rows
    without a value stand; None: every row has a number there, so that all comparisons agree."""

    field: str
    descending: bool
    kind: str = "number"
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Traits(Generic[P]):
    """Facts that the planner and the optimizer's rules read; what is not declared is unsafe.

    A stage is `row_local` if each output row depends on one input row alone, `keeps_order` if
    the rows that remain stand in the order they came, `keeps_rows` if it drops, adds and merges
    none, `only_drops` if its output is a subset of its input's rows, each with the same stored
    fields. `reads` and `writes` are the fields (dot paths) it may touch, given its parameters.

    Hints are what the optimizer asks of a stage, of those that it declares: `limit` or `top_k`,
    to return the first so many of the rows it would have returned; `group`, to group these as
    `as_grouping` says (a `limit` beside it cuts what that leaves); `columns`, which stored fields
    (top-level names) to load.
    """

    source: bool = False  # makes rows when it comes first (searches or scans)
    row_local: bool = False
    keeps_order: bool = False
    keeps_rows: bool = False
    only_drops: bool = False
    deterministic: bool = True
    sorts: bool = False  # output order depends on the rows' fields, ties keep incoming order
    # For a sort: the order of two rows follows from those two alone, so that rows dropped before
    # it leave the others in the order they would have had.
    pairwise: Callable[[P], bool] = lambda _: False
    reads: Callable[[P], FieldSet] = reads_all
    writes: Callable[[P], FieldSet] = reads_all
    cost: int = 10  # relative cost per row: 1 a comparison, 10 a small computation, 100 I/O
    # One row leaves for each that comes, in its place and made of it alone: for stages of which
    # that depends on the parameters.
    one_to_one: Callable[[P], bool] = lambda _: False
    # Whether it fails, and what it reports as incomplete, depends on no single row: rows that are
    # dropped before it are not missed.
    quiet: Callable[[P], bool] = lambda _: False
    # The stage is exactly this filter on its rows' fields.
    as_filter: Callable[[P], Filter | None] | None = None
    # Parameters with which the stage is exactly a given filter.
    write_filter: Callable[[Filter], JsonObject] | None = None
    # The stage is `rows[offset : offset + limit]`: (offset, limit); and parameters for a given one.
    window: Callable[[P], tuple[int, int] | None] = lambda _: None
    write_window: Callable[[int, int], JsonObject] | None = None
    # So many rows or fewer pass untouched.
    idle_up_to: Callable[[P], int] = lambda _: 0
    # The order of the rows that leave.
    sorted_by: Callable[[P], SortOrder | None] = lambda _: None
    # The stage groups its rows so, as the hint `group` of a stage that `can_group` what it returns.
    as_grouping: Callable[[P], JsonObject | None] | None = None
    can_group: Callable[[P], bool] = lambda _: False
    # The fields that must be loaded before it, where it fetches the rest of what it reads itself.
    needs: Callable[[P], FieldSet] | None = None
    # Fields that every row has anew when it leaves, whatever it had before.
    sets: Callable[[P], FieldSet] = reads_none
    # Nothing that came in leaves, but what the stage read and made anew.
    replaces: Callable[[P], bool] = lambda _: False
    # Does nothing at all with these parameters, whatever the rows (removable).
    is_noop: Callable[[P], bool] = lambda _: False
    # At most this many rows leave, None if unbounded by parameters.
    bound: Callable[[P], int | None] = lambda _: None
    # Names in `PlanStage.hints` that the stage honours: see `core/optimizer/`.
    hints: frozenset[str] = frozenset()
