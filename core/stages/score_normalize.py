"""score_normalize: bring scores to a common scale, rows and order unchanged."""

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from core.filtering.paths import assign
from core.rows import scaling
from core.rows.row import Row, Rows
from core.rows.values import finite_or_none, value_at
from core.stage import Stage, StageContext
from core.traits import StageParams, Traits, fields_of


class ScoreNormalizeParams(StageParams):
    """Rescale a numeric field over the incoming rows.

    A row whose value is missing or no finite number gets 0.0 and takes no part in the scale.
    """

    method: Literal["min_max", "z_score", "softmax", "l2"] = Field(
        "min_max",
        description="min_max: (x - min) / (max - min), 0-1, 1.0 if all are equal; z_score: "
        "(x - mean) / population standard deviation, 0.0 if all are equal; softmax: positive, "
        "summing to 1; l2: divided by the Euclidean length of all.",
    )
    score_field: str = Field("score", min_length=1, description="Dot path of the score.")
    output_field: str | None = Field(
        None, min_length=1, description="Dot path to write to; null overwrites score_field."
    )
    min_value: FiniteFloat | None = Field(
        None, description="min_max only: the score that becomes 0 instead of the smallest one."
    )
    max_value: FiniteFloat | None = Field(
        None, description="min_max only: the score that becomes 1 instead of the largest one."
    )

    @model_validator(mode="after")
    def _bounds_of_min_max(self) -> Self:
        if self.min_value is None and self.max_value is None:
            return self
        if self.method != "min_max":
            raise ValueError(f"min_value and max_value are for min_max, not {self.method}")
        low, high = self.min_value, self.max_value
        if low is not None and high is not None and low >= high:
            raise ValueError("min_value must be less than max_value")
        return self

    def target(self) -> str:
        """Return the path that is written."""
        return self.score_field if self.output_field is None else self.output_field


async def run(params: ScoreNormalizeParams, rows: Rows, ctx: StageContext) -> Rows:
    """Return the rows in their order, with normalized scores."""
    scores = [finite_or_none(value_at(row.fields, params.score_field)) for row in rows]
    scaled = iter(_scale(params, [score for score in scores if score is not None]))
    target = params.target()
    return [
        Row(
            row.document_id,
            assign(row.fields, target, 0.0 if score is None else next(scaled)),
            row.source,
            row.partial,
        )
        for row, score in zip(rows, scores, strict=True)
    ]


def _scale(params: ScoreNormalizeParams, scores: Sequence[float]) -> list[float]:
    if params.method == "min_max":
        return scaling.min_max(scores, params.min_value, params.max_value)
    if params.method == "z_score":
        return scaling.z_score(scores)
    return scaling.softmax(scores) if params.method == "softmax" else scaling.l2(scores)


def _has_fixed_scale(params: ScoreNormalizeParams) -> bool:
    return params.min_value is not None and params.max_value is not None


STAGE = Stage(
    stage_id="score_normalize",
    category="sort",
    description="Bring scores to a common scale; rows and their order stay.",
    icon="gauge",
    params=ScoreNormalizeParams,
    run=run,
    traits=Traits(
        keeps_order=True,
        keeps_rows=True,
        # Writing below an object takes the object with it, so the target is read as well.
        reads=lambda params: fields_of(params.score_field, params.target()),
        writes=lambda params: fields_of(params.target()),
        cost=1,
        one_to_one=_has_fixed_scale,
        quiet=lambda params: "." not in params.target(),  # a scalar may stand in a path's way
    ),
)
