"""Run one stage by its wire name, as the pipeline would, for the row stages' tests."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from core.registry import find_stage
from core.rows.row import Row, Rows
from core.stage import StageReport
from tests.core.stages.context import FakeContext, rows_of


def run_stage(
    stage_id: str,
    parameters: Mapping[str, Any],
    rows: Sequence[Any],
    *,
    context: FakeContext | None = None,
    **settings: Any,
) -> tuple[list[Row], StageReport]:
    """Return what the stage returns and reports; plain payloads become rows `d0`, `d1`…"""
    stage = find_stage(stage_id)
    ctx = context or FakeContext(is_first=False, **settings)
    made = rows if all(isinstance(row, Row) for row in rows) else rows_of(*rows)
    params = stage.params.model_validate(dict(parameters))

    async def run() -> list[Row]:
        return list(await stage.run(params, made, ctx))

    return asyncio.run(run()), ctx.report


def ids_of(rows: Rows) -> list[str]:
    """Return the rows' document ids, in order."""
    return [row.document_id for row in rows]
