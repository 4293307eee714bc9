"""deduplicate: keep one of the rows that are alike, by fields or by text."""

import asyncio
from typing import Literal, Self

from pydantic import Field, model_validator

from core.rows.grouping import gather
from core.rows.row import Row, Rows
from core.rows.shingles import NearDuplicates
from core.rows.values import canonical, value_at
from core.stage import Stage, StageContext
from core.traits import StageParams, Traits, fields_of, reads_none

# What one query may spend on comparing texts; rows past it are kept unchecked, and that is said.
_MOST_COMPARISONS = 100_000
_MOST_CHARACTERS = 1_000_000


class DeduplicateParams(StageParams):
    """Drop rows that repeat another one; those that stay keep their order."""

    strategy: Literal["field", "content"] = Field(
        "field", description="field: equal values of fields; content: similar text."
    )
    fields: list[str] = Field(
        [],
        description="Dot paths that make the key, all together; required for strategy field. A "
        "missing field counts as null, so rows that lack all of them are alike.",
    )
    content_field: str = Field(
        "content",
        min_length=1,
        description="Dot path of the text for strategy content; rows without a text are kept.",
    )
    similarity_threshold: float = Field(
        0.95,
        ge=0,
        le=1,
        description="Texts at least this similar are duplicates: the Jaccard similarity of their "
        "sets of 5-character runs, white space collapsed; 1 for the same runs.",
    )
    keep: Literal["first", "last"] = Field("first", description="Which of the duplicates stays.")
    case_sensitive: bool = Field(True, description="false: case does not tell strings apart.")

    @model_validator(mode="after")
    def _fields_are_named(self) -> Self:
        if self.strategy == "field" and not self.fields:
            raise ValueError("strategy field needs fields")
        return self


async def run(params: DeduplicateParams, rows: Rows, ctx: StageContext) -> Rows:
    """Return the rows without duplicates, in the order they came.

    By content a row is compared with the rows kept so far, from the side that `keep` names.
    """
    if params.strategy == "field":
        return _by_fields(params, rows, ctx)
    ordered = rows if params.keep == "first" else rows[::-1]
    kept = await _by_content(params, ordered, ctx)
    return kept if params.keep == "first" else kept[::-1]


def _by_fields(params: DeduplicateParams, rows: Rows, ctx: StageContext) -> list[Row]:
    keys = [[value_at(row.fields, path) for path in params.fields] for row in rows]
    lacking = sum(all(value is None for value in key) for key in keys)
    if lacking > 1:
        ctx.report.warnings.append(
            f"deduplicate: {lacking} rows have none of {', '.join(params.fields)} "
            "and count as duplicates of each other"
        )
    alike = gather(
        range(len(rows)), lambda n: canonical(keys[n], case_sensitive=params.case_sensitive)
    )
    side = 0 if params.keep == "first" else -1
    return [rows[n] for n in sorted(positions[side] for positions in alike.values())]


async def _by_content(params: DeduplicateParams, rows: Rows, ctx: StageContext) -> list[Row]:
    texts = _texts(params, rows)
    numbers = {position: number for number, position in enumerate(texts)}
    # In a thread, so that other queries go on; _MOST_CHARACTERS bounds its time to about a second.
    seen = await asyncio.to_thread(
        NearDuplicates, list(texts.values()), params.similarity_threshold
    )
    last = max(texts, default=-1)
    kept: list[Row] = []
    for position, row in enumerate(rows):
        if _text(params, row) is None:
            kept.append(row)
            continue
        if position > last or seen.comparisons >= _MOST_COMPARISONS:
            ctx.report.limits.append(
                {
                    "name": "deduplicate_rows",
                    "requested": len(rows),
                    "applied": position,
                    "ceiling": position,
                }
            )
            return [*kept, *rows[position:]]
        if not seen.resembles(numbers[position]):
            kept.append(row)
        ctx.deadline.check("deduplicate")
        await asyncio.sleep(0)  # other queries run on this loop
    return kept


def _texts(params: DeduplicateParams, rows: Rows) -> dict[int, str]:
    """Return the texts by position, as many as may be held at once."""
    texts: dict[int, str] = {}
    held = 0
    for position, row in enumerate(rows):
        text = _text(params, row)
        if text is None:
            continue
        held += len(text)
        if held > _MOST_CHARACTERS:
            break
        texts[position] = text
    return texts


def _text(params: DeduplicateParams, row: Row) -> str | None:
    text = value_at(row.fields, params.content_field)
    if not isinstance(text, str) or not text.strip():
        return None
    return text if params.case_sensitive else text.casefold()


STAGE: Stage[DeduplicateParams] = Stage(
    stage_id="deduplicate",
    category="reduce",
    description="Keep one of the rows that are alike, by fields or by text.",
    icon="copy-minus",
    params=DeduplicateParams,
    run=run,
    traits=Traits(
        keeps_order=True,
        only_drops=True,
        reads=lambda params: (
            fields_of(*params.fields)
            if params.strategy == "field"
            else fields_of(params.content_field)
        ),
        writes=reads_none,
    ),
)
