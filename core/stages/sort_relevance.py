"""sort_relevance: order rows by a score."""

from collections.abc import Sequence
from typing import Literal

from pydantic import AliasChoices, Field

from core.rows.ordering import Missing, stable_order
from core.rows.row import Row, Rows
from core.rows.scaling import min_max
from core.rows.values import finite_or_none, number_or_none, value_at
from core.stage import Stage, StageContext
from core.traits import NO_FIELDS, SortOrder, StageParams, Traits, fields_of

_PLACES: dict[str, Missing] = {"bottom": "last", "top": "first", "preserve": "keep"}


class SortRelevanceParams(StageParams):
    """Sort by a numeric field; a value that is no number counts as missing."""

    score_field: str = Field("score", min_length=1, description="Dot path of the score.")
    direction: Literal["asc", "desc"] = Field(
        "desc",
        validation_alias=AliasChoices("direction", "order"),
        description="desc: highest first. Equal scores stay as they came.",
    )
    missing_score: Literal["bottom", "top", "preserve"] = Field(
        "bottom",
        description="Where rows without a numeric score go, in either direction; preserve: they "
        "keep their position and the others are sorted around them.",
    )
    normalize: bool = Field(
        False,
        description="Also write `sort_relevance`: {original_position, new_position (from 1), "
        "normalized_score}, the score scaled to 0-1 over these rows (1 if all are equal, null "
        "where there is none). The score itself stays as it is.",
    )
    feature_address: str | None = Field(
        None,
        description="Deprecated, without effect: sorting never computes a similarity.",
        json_schema_extra={"deprecated": True},
    )


async def run(params: SortRelevanceParams, rows: Rows, ctx: StageContext) -> Rows:
    """Return the rows by score, equal scores as they came; `hints["top_k"]` cuts."""
    if params.feature_address not in (None, "null"):  # "null" is what the typed client sends
        ctx.report.warnings.append(
            "sort_relevance: feature_address has no effect; search with feature_search first"
        )
    values = [value_at(row.fields, params.score_field) for row in rows]
    order = stable_order(
        [number_or_none(value) for value in values],
        descending=params.direction == "desc",
        missing=_PLACES[params.missing_score],
        top_k=ctx.hints.get("top_k"),
    )
    if params.normalize:
        return _annotated(rows, [finite_or_none(value) for value in values], order)
    return [rows[position] for position in order]


def _annotated(rows: Rows, scores: Sequence[float | None], order: Sequence[int]) -> list[Row]:
    known = [score for score in scores if score is not None]
    scaled = iter(min_max(known))
    normalized = [None if score is None else next(scaled) for score in scores]
    return [
        rows[old].with_fields(
            {
                "sort_relevance": {
                    "original_position": old + 1,
                    "new_position": new + 1,
                    "normalized_score": normalized[old],
                }
            }
        )
        for new, old in enumerate(order)
    ]


def _order(params: SortRelevanceParams) -> SortOrder | None:
    """Return the order, None where the stage does more than that: what it writes, or warns of."""
    if params.normalize or params.feature_address not in (None, "null"):
        return None
    return SortOrder(
        params.score_field, params.direction == "desc", "number", _PLACES[params.missing_score]
    )


STAGE = Stage(
    stage_id="sort_relevance",
    category="sort",
    description="Order the rows by a score.",
    icon="arrow-down-wide-narrow",
    params=SortRelevanceParams,
    run=run,
    traits=Traits(
        keeps_rows=True,
        sorts=True,
        # Positions and the scale depend on all rows.
        pairwise=lambda params: params.missing_score != "preserve" and not params.normalize,
        reads=lambda params: fields_of(params.score_field),
        writes=lambda params: frozenset({"sort_relevance"}) if params.normalize else NO_FIELDS,
        cost=1,
        quiet=lambda _: True,
        sorted_by=_order,
        hints=frozenset({"top_k"}),
    ),
)
