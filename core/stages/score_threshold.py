"""score_threshold: drop the rows that score too low."""

from typing import Literal

from pydantic import Field, FiniteFloat

from core.rows.row import Rows
from core.rows.values import number_or_none, value_at
from core.stage import Stage, StageContext
from core.traits import StageParams, Traits, fields_of, reads_none


class ScoreThresholdParams(StageParams):
    """Keep rows whose score reaches a minimum; a value that is no number counts as missing."""

    min_score: FiniteFloat = Field(description="The score to reach.")
    score_field: str = Field("score", min_length=1, description="Dot path of the score.")
    comparison: Literal["gte", "gt"] = Field(
        "gte", description="gte: min_score itself passes; gt: only more does."
    )
    missing_score: Literal["drop", "keep"] = Field(
        "drop", description="What becomes of rows without a numeric score."
    )


async def run(params: ScoreThresholdParams, rows: Rows, ctx: StageContext) -> Rows:
    """Return the rows that pass, in their order.

    Stage metadata: `all_below_threshold`, true when rows came and every one was dropped.
    """
    kept = [row for row in rows if _passes(params, value_at(row.fields, params.score_field))]
    ctx.report.metadata["all_below_threshold"] = bool(rows) and not kept
    return kept


def _passes(params: ScoreThresholdParams, value: object) -> bool:
    score = number_or_none(value)
    if score is None:
        return params.missing_score == "keep"
    return score > params.min_score or (params.comparison == "gte" and score == params.min_score)


STAGE: Stage[ScoreThresholdParams] = Stage(
    stage_id="score_threshold",
    category="reduce",
    description="Drop the rows that score too low.",
    icon="filter",
    params=ScoreThresholdParams,
    run=run,
    traits=Traits(
        row_local=True,
        keeps_order=True,
        only_drops=True,
        reads=lambda params: fields_of(params.score_field),
        writes=reads_none,
        cost=1,
        quiet=lambda _: True,
    ),
)
