"""limit: keep a window of the rows, by position."""

from pydantic import Field

from core.rows.row import Rows
from core.stage import Stage, StageContext
from core.traits import StageParams, Traits, reads_none


class LimitParams(StageParams):
    """At most `limit` rows, after skipping `offset`."""

    limit: int = Field(10, ge=1, le=10_000, description="Rows to keep.")
    offset: int = Field(0, ge=0, le=10_000, description="Rows to skip first.")


async def run(params: LimitParams, rows: Rows, ctx: StageContext) -> Rows:
    """Return `rows[offset : offset + limit]`; an offset past the end leaves none."""
    return rows[params.offset : params.offset + params.limit]


STAGE: Stage[LimitParams] = Stage(
    stage_id="limit",
    category="reduce",
    description="Keep a window of the rows, by position.",
    icon="list-end",
    params=LimitParams,
    run=run,
    traits=Traits(
        keeps_order=True,
        only_drops=True,
        reads=reads_none,
        writes=reads_none,
        cost=1,
        quiet=lambda _: True,
        bound=lambda params: params.limit,
        window=lambda params: (params.offset, params.limit),
        write_window=lambda offset, limit: {"offset": offset, "limit": limit},
        idle_up_to=lambda params: 0 if params.offset else params.limit,
    ),
)
