"""sample: keep a random, stratified or evenly spaced part of the rows, reproducibly."""

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import AliasChoices, Field, field_validator, model_validator

from core.rows.grouping import gather
from core.rows.ordering import stable_order
from core.rows.row import Rows
from core.rows.sampling import draw, every_nth, seed_of, share_out
from core.rows.values import canonical, labels, number_or_none, value_at
from core.stage import Stage, StageContext
from core.traits import StageParams, Traits, fields_of, reads_none
from core.types import JsonObject

_MOST = 1_000  # rows that leave, whatever the allocation


class SampleParams(StageParams):
    """At most `count` rows, in the order they came.

    Without a seed, one is derived from the rows' ids: the same rows give the same sample.
    """

    count: int = Field(
        10,
        ge=1,
        le=_MOST,
        validation_alias=AliasChoices("count", "size", "limit"),
        description="Rows to keep; all of them if there are fewer.",
    )
    strategy: Literal["random", "stratified", "reservoir", "systematic"] = Field(
        "random",
        validation_alias=AliasChoices("strategy", "method"),
        description="random: uniform; stratified: in proportion to each value of stratify_by; "
        "reservoir: uniform in one pass, which is how random draws too; systematic: every n-th.",
    )
    stratify_by: str | None = Field(
        None,
        min_length=1,
        validation_alias=AliasChoices("stratify_by", "group_field"),
        description="Dot path whose values make the strata; rows without a value are one. If no "
        "row has one, the sample is random, with a warning.",
    )
    min_per_stratum: int = Field(
        1,
        ge=0,
        description="Rows that each stratum gets before the rest is shared, if it has them.",
    )
    samples_per_group: int | None = Field(
        None,
        ge=1,
        le=_MOST,
        description="Stratified only: take this many of every stratum instead; count then does "
        f"not apply, but never more than {_MOST} rows leave.",
    )
    allocation: Literal["proportional"] = Field(
        "proportional", description="How a stratified count is shared."
    )
    seed: int | None = Field(None, description="Same seed and same rows, same sample.")
    preserve_top_k: int = Field(
        0, ge=0, description="Rows to keep first by score, within count; the rest is sampled."
    )

    @field_validator("stratify_by", mode="before")
    @classmethod
    def _unset(cls, value: object) -> object:
        return None if value == "null" else value  # what the typed client sends for unset

    @model_validator(mode="after")
    def _strata_are_named(self) -> Self:
        if self.strategy == "stratified" and self.stratify_by is None:
            raise ValueError("strategy stratified needs stratify_by")
        if self.samples_per_group is not None and self.strategy != "stratified":
            raise ValueError(f"samples_per_group is for strategy stratified, not {self.strategy}")
        return self


async def run(params: SampleParams, rows: Rows, ctx: StageContext) -> Rows:
    """Return the sampled rows in the order they came.

    Stage metadata: `{method, total_input, sample_size}` and, if stratified, `strata`: per value
    `{input, sampled}` of what preserve_top_k left.
    """
    seed = seed_of(row.document_id for row in rows) if params.seed is None else str(params.seed)
    kept = _top(rows, min(params.preserve_top_k, params.count))
    rest = [position for position in range(len(rows)) if position not in kept]
    room = (_MOST if params.samples_per_group else params.count) - len(kept)
    strata = _strata(params, rows, rest, ctx)
    if strata is not None:
        kept |= _draw_strata(params, rows, strata, ctx, room=room, seed=seed)
    elif params.strategy == "systematic":
        kept |= {rest[n] for n in every_nth(len(rest), room)}
    else:
        kept |= {rest[n] for n in draw([rows[p].document_id for p in rest], room, seed)}
    ctx.report.metadata.update(method=params.strategy, total_input=len(rows), sample_size=len(kept))
    if strata is not None:
        ctx.report.metadata["strata"] = _count_strata(params, rows, strata, kept)
    return [rows[position] for position in sorted(kept)]


def _top(rows: Rows, count: int) -> set[int]:
    if not count:
        return set()
    scores = [number_or_none(row.fields.get("score")) for row in rows]
    return set(stable_order(scores, descending=True, top_k=count))


def _strata(
    params: SampleParams, rows: Rows, positions: Sequence[int], ctx: StageContext
) -> dict[str, list[int]] | None:
    """Return positions by canonical value, or None if there are no strata to speak of."""
    if params.strategy != "stratified" or params.stratify_by is None:
        return None
    path = params.stratify_by
    values = [value_at(row.fields, path) for row in rows]
    if rows and all(value is None for value in values):
        ctx.report.warnings.append(f"sample: no row has {path}; the sample is random")
        return None
    return gather(positions, lambda position: canonical(values[position]))


def _draw_strata(
    params: SampleParams,
    rows: Rows,
    strata: dict[str, list[int]],
    ctx: StageContext,
    *,
    room: int,
    seed: str,
) -> set[int]:
    sizes = [len(positions) for positions in strata.values()]
    if params.samples_per_group is not None:
        wanted = sum(min(size, params.samples_per_group) for size in sizes)
        shares = share_out(sizes, min(wanted, room), params.samples_per_group)
        if wanted > room:
            cap = {"name": "sample_rows", "requested": wanted, "applied": room, "ceiling": _MOST}
            ctx.report.limits.append(cap)
    else:
        shares = share_out(sizes, room, params.min_per_stratum)
    taken: set[int] = set()
    for share, positions in zip(shares, strata.values(), strict=True):
        ids = [rows[position].document_id for position in positions]
        taken |= {positions[n] for n in draw(ids, share, seed)}
    return taken


def _count_strata(
    params: SampleParams, rows: Rows, strata: dict[str, list[int]], kept: set[int]
) -> JsonObject:
    path = str(params.stratify_by)
    names = labels([value_at(rows[positions[0]].fields, path) for positions in strata.values()])
    return {
        name: {"input": len(positions), "sampled": len(kept.intersection(positions))}
        for name, positions in zip(names, strata.values(), strict=True)
    }


STAGE: Stage[SampleParams] = Stage(
    stage_id="sample",
    category="reduce",
    description="Keep a random, stratified or evenly spaced part of the rows, reproducibly.",
    icon="dices",
    params=SampleParams,
    run=run,
    traits=Traits(
        keeps_order=True,
        only_drops=True,
        reads=lambda params: fields_of(
            params.stratify_by, "score" if params.preserve_top_k else None
        ),
        writes=reads_none,
        cost=1,
        bound=lambda params: _MOST if params.samples_per_group else params.count,
        idle_up_to=lambda params: 0 if params.samples_per_group else params.count,
    ),
)
