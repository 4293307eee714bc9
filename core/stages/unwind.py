"""unwind: one row per element of an array."""

from pydantic import Field

from core.filtering.paths import assign
from core.rows.row import Row, Rows
from core.rows.values import value_at
from core.stage import Stage, StageContext
from core.traits import StageParams, Traits, fields_of
from core.types import JsonValue

_MOST = 100_000  # rows that leave: one query must not fill the memory of its neighbours


class UnwindParams(StageParams):
    """Replace each row by one per element of the array at `field`, in the array's order.

    The rows made of one document all carry its document id. A value that is no array passes
    unchanged.
    """

    field: str = Field(
        min_length=1,
        description="Dot path of the array. A path through a list takes the values found in it.",
    )
    preserve_null_and_empty: bool = Field(
        False,
        description="true: a row whose array is missing, null or empty stays, with null for the "
        "element and its index; false: it is dropped.",
    )
    include_array_index: str | None = Field(
        None, min_length=1, description="Dot path to write the element's index to, from 0."
    )
    output_field: str | None = Field(
        None,
        min_length=1,
        description="Dot path to write the element to; the array stays. null: the element "
        "replaces the array.",
    )

    def target(self) -> str:
        """Return the path that the element is written to."""
        return self.field if self.output_field is None else self.output_field


async def run(params: UnwindParams, rows: Rows, ctx: StageContext) -> Rows:
    """Return the rows, unwound, in the order they came; past a ceiling the rest is cut."""
    made: list[Row] = []
    for row in rows:
        made.extend(_unwound(params, row, _MOST + 1 - len(made)))
        if len(made) > _MOST:
            ctx.report.limits.append(
                {"name": "unwind_rows", "requested": None, "applied": _MOST, "ceiling": _MOST}
            )
            ctx.report.incomplete.append(
                {
                    "code": "unwind_capped",
                    "message": f"unwinding {params.field} made more than {_MOST} rows; "
                    "the rest was cut",
                }
            )
            return made[:_MOST]
    return made


def _unwound(params: UnwindParams, row: Row, room: int) -> list[Row]:
    value = value_at(row.fields, params.field)
    if value is None or value == []:
        return [_with_element(params, row, None, None)] if params.preserve_null_and_empty else []
    if not isinstance(value, list):
        return [row]
    return [
        _with_element(params, row, element, index) for index, element in enumerate(value[:room])
    ]


def _with_element(params: UnwindParams, row: Row, element: JsonValue, index: int | None) -> Row:
    fields = assign(row.fields, params.target(), element)
    if params.include_array_index is not None:
        fields = assign(fields, params.include_array_index, index)
    return Row(row.document_id, fields, row.source, row.partial)


STAGE: Stage[UnwindParams] = Stage(
    stage_id="unwind",
    category="apply",
    description="Make one row per element of an array.",
    icon="unfold-vertical",
    params=UnwindParams,
    run=run,
    traits=Traits(
        row_local=True,
        keeps_order=True,
        # Writing below an object takes the object with it, so the targets are read as well.
        reads=lambda params: fields_of(
            params.field, params.output_field, params.include_array_index
        ),
        writes=lambda params: fields_of(params.target(), params.include_array_index),
        cost=1,
    ),
)
