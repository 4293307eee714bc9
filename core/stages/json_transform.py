"""json_transform: replace each document by the JSON that a template renders from it."""

from typing import Any

import orjson
from pydantic import Field, field_validator

from core.errors import StageError, TemplateError
from core.rows.row import Row, Rows
from core.stage import Stage, StageContext
from core.templates import Template, compile_template
from core.traits import ALL, FieldSet, StageParams, Traits, reads_all
from core.types import JsonObject

_SHOWN_FAILURES = 20
_DEFAULT = (
    '{"id": "{{ DOC.document_id }}", "content": {{ DOC.content | tojson }}, '
    '"score": {{ DOC.score }}}'
)


class JsonTransformParams(StageParams):
    """Render a template per document, in order, over DOC, INPUT, CONTEXT and STAGE.

    What it renders must be a JSON object and is all that is left of the document: a field it does
    not carry over, `score` included, is gone for later stages and for the answer.
    """

    template: str = Field(
        _DEFAULT,
        min_length=1,
        description="Renders to a JSON object; write text as {{ DOC.x | tojson }}, so that quotes "
        "in it are escaped. An undefined name is an error of that document.",
    )
    fail_on_error: bool = Field(
        False,
        description="true: the first document that fails, fails the query; false: it is dropped, "
        "and the result says so.",
    )

    @field_validator("template")
    @classmethod
    def _parses(cls, value: str) -> str:
        try:
            compile_template(value)
        except TemplateError as error:
            raise ValueError(error.message) from error
        return value


async def run(params: JsonTransformParams, rows: Rows, ctx: StageContext) -> Rows:
    """Return a row per document whose template rendered; the others make the result incomplete.

    A row keeps its document id, but stands for no stored document any more: what the template
    left out is not loaded again. Stage metadata on failure: `failed`, and the first `failures`.
    """
    template = compile_template(params.template)
    scope = dict(ctx.scope)
    made: list[Row] = []
    failures: list[JsonObject] = []
    for row in rows:
        ctx.deadline.check("json_transform")
        try:
            made.append(Row(row.document_id, await _transform_whole(template, row, scope, ctx)))
        except (TemplateError, StageError) as error:
            if params.fail_on_error:
                raise StageError(
                    f"json_transform failed on document {row.document_id}: {error.message}",
                    document_id=row.document_id,
                ) from error
            failures.append({"document_id": row.document_id, "message": error.message})
    if failures:
        _report(ctx, failures, len(rows))
    return made


async def _transform_whole(
    template: Template, row: Row, scope: dict[str, Any], ctx: StageContext
) -> JsonObject:
    try:
        return _transform(template, row, scope)
    except (TemplateError, StageError):
        if not row.partial:
            raise
        # The message names the fields that there are: all of them, not those that were loaded.
        (whole,) = await ctx.hydrate([row])
        return _transform(template, whole, scope)


def _transform(template: Template, row: Row, scope: dict[str, Any]) -> JsonObject:
    scope["DOC"] = {"document_id": row.document_id, **row.fields}
    rendered = template.render(scope)
    if isinstance(rendered, str):
        try:
            rendered = orjson.loads(rendered)
        except ValueError as error:
            raise StageError(f"the template rendered no JSON: {error}") from error
    if not isinstance(rendered, dict):
        kind = "null" if rendered is None else type(rendered).__name__
        raise StageError(f"the template must render a JSON object, not {kind}")
    return rendered


def _report(ctx: StageContext, failures: list[JsonObject], total: int) -> None:
    first = failures[0]
    message = (
        f"json_transform dropped {len(failures)} of {total} documents; "
        f"the first, {first['document_id']}: {first['message']}"
    )
    ctx.report.warnings.append(message)
    ctx.report.incomplete.append({"code": "documents_dropped", "message": message})
    ctx.report.metadata["failed"] = len(failures)
    ctx.report.metadata["failures"] = failures[:_SHOWN_FAILURES]


def _reads(params: JsonTransformParams) -> FieldSet:
    names = compile_template(params.template).names
    if "DOC" in names:  # the whole document, or a field whose name is computed
        return ALL
    return frozenset(name.removeprefix("DOC.") for name in names if name.startswith("DOC."))


STAGE: Stage[JsonTransformParams] = Stage(
    stage_id="json_transform",
    category="apply",
    description="Replace each document by the JSON that a template renders from it.",
    icon="braces",
    params=JsonTransformParams,
    run=run,
    row_templates=frozenset({"template"}),
    traits=Traits(
        row_local=True,
        keeps_order=True,
        reads=_reads,
        writes=reads_all,
        cost=20,
        replaces=lambda _: True,
    ),
)
