"""sort_attribute: order rows by any field."""

from typing import Literal

from pydantic import AliasChoices, Field

from core.rows.ordering import Missing, comparable_column, stable_order
from core.rows.row import Rows
from core.rows.values import value_at
from core.stage import Stage, StageContext
from core.traits import SortOrder, StageParams, Traits, fields_of, reads_none


class SortAttributeParams(StageParams):
    """Sort by a field's values.

    Numbers compare as numbers, strings by code point, or as instants if all are ISO 8601 dates
    (UTC where no offset is given), false before true. If the rows hold several types, all compare
    as text. Missing, null and NaN are alike.
    """

    field: str = Field(
        "metadata.created_at",
        min_length=1,
        validation_alias=AliasChoices("field", "sort_field"),
        description="Dot path of the field to sort by.",
    )
    direction: Literal["asc", "desc"] = Field(
        "desc",
        validation_alias=AliasChoices("direction", "order"),
        description="desc: highest or latest first. Equal values stay as they came, so the last "
        "of several sorts is the primary one.",
    )
    nulls_last: bool = Field(
        True,
        description="true: rows without a value last in either direction; false: natural order, "
        "first on asc and last on desc.",
    )
    null_handling: Literal["first", "last"] | None = Field(
        None,
        description="Where rows without a value go in either direction; wins over nulls_last.",
    )

    def missing(self) -> Missing:
        """Return where rows without a value go."""
        if self.null_handling is not None:
            return self.null_handling
        return "first" if not self.nulls_last and self.direction == "asc" else "last"


async def run(params: SortAttributeParams, rows: Rows, ctx: StageContext) -> Rows:
    """Return the rows by the field, equal values as they came; `hints["top_k"]` cuts."""
    order = stable_order(
        comparable_column([value_at(row.fields, params.field) for row in rows]),
        descending=params.direction == "desc",
        missing=params.missing(),
        top_k=ctx.hints.get("top_k"),
    )
    return [rows[position] for position in order]


STAGE: Stage[SortAttributeParams] = Stage(
    stage_id="sort_attribute",
    category="sort",
    description="Order the rows by any field.",
    icon="arrow-down-a-z",
    params=SortAttributeParams,
    run=run,
    traits=Traits(
        keeps_rows=True,
        only_drops=True,
        sorts=True,
        # Not `pairwise`: dropping the one string among numbers changes how the numbers compare.
        reads=lambda params: fields_of(params.field),
        writes=reads_none,
        cost=1,
        quiet=lambda _: True,
        sorted_by=lambda params: SortOrder(
            params.field, params.direction == "desc", "any", params.missing()
        ),
        hints=frozenset({"top_k"}),
    ),
)
