"""attribute_filter: keep the documents of which a condition holds; first in a plan, it scans."""

import asyncio
from dataclasses import replace
from itertools import islice
from typing import Any, Final, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator

from core.errors import FilterError
from core.filtering.conditions import (
    And,
    Condition,
    Filter,
    conjoin,
    filter_to_json,
    is_templated,
    parse_filter,
)
from core.filtering.conditions import fields_of as fields_of_filter
from core.filtering.operators import matches
from core.filtering.predicates import OPERATORS
from core.rows.row import Row, Rows
from core.stage import Stage, StageContext
from core.traits import FieldSet, StageParams, Traits, fields_of, reads_none
from core.types import JsonObject

MAX_SCAN: Final = 1000  # documents of one collection that the stage returns when it comes first

_LOGICAL = ("AND", "OR", "NOT")
_SIMPLE = ("field", "operator", "value")
# What the SDK's typed model sends beside `conditions`, without being asked.
_SDK_FIELD = "metadata.status"


class AttributeFilterParams(StageParams):
    """One condition (`field`, `operator`, `value`) or a tree of them (`conditions`), not both.

    A bare tree, `{"AND": [...]}`, is accepted as the parameters.
    """

    field: str | None = Field(None, min_length=1, description="Dot path of a document's field.")
    operator: str = Field("eq", description="Comparison of the field with the value.")
    value: Any = Field(None, description="What to compare with.")
    conditions: Any = Field(None, description="Conditions joined by AND, OR and NOT.")
    natural_language: None = Field(None, description="Not available: no language model reads it.")
    field_hints: None = Field(None, description="Not available, as natural_language.")
    batch_size: int = Field(
        100, ge=1, le=1000, description="Accepted: rows are filtered in one pass, whatever it is."
    )
    case_insensitive: bool = Field(False, description="Ignore case in every comparison of strings.")

    _tree: Filter = PrivateAttr()  # read once: static parameters serve every query

    @model_validator(mode="before")
    @classmethod
    def _read_spellings(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        if raw and set(raw) <= {*_LOGICAL, "case_sensitive"}:
            return {"conditions": raw}
        given = {key: v for key, v in raw.items() if v is not None or key == "value"}
        if given.get("natural_language") == "null":
            del given["natural_language"]
        if given.get("conditions") is not None and given.get("value") is None:
            given.pop("value", None)
            if given.get("field") == _SDK_FIELD:
                del given["field"]
        return given

    @field_validator("natural_language", "field_hints", mode="before")
    @classmethod
    def _refuse_language(cls, raw: Any) -> Any:
        raise ValueError(
            "filters in natural language need a language model, and none is used here: "
            "write conditions"
        )

    @model_validator(mode="after")
    def _check_modes(self) -> Self:
        simple = self.model_fields_set & set(_SIMPLE)
        if self.conditions is not None and simple:
            raise ValueError(f"give conditions or {', '.join(sorted(simple))}, not both")
        if self.conditions is None and self.field is None:
            raise ValueError("give conditions, or field with operator and value")
        self._tree = _read(self, templates=True)
        return self


def conditions_of(params: AttributeFilterParams) -> Filter:
    """Return the stage as a filter; its conditions are templated where the parameters are."""
    return params._tree


def _rendered(params: AttributeFilterParams) -> Filter:
    """Return the filter of rendered parameters, in which braces can only come from data."""
    return _read(params, templates=False) if is_templated(params._tree) else params._tree


def _read(params: AttributeFilterParams, *, templates: bool) -> Filter:
    """Parse the conditions; raises `FilterError` that names every fault."""
    if params.conditions is not None:
        tree = parse_filter(params.conditions, "conditions", templates=templates)
    else:
        tree = _read_simple(_simple(params), templates)
    if tree is None:
        return And(())
    return _without_case(tree) if params.case_insensitive else tree


def _read_simple(condition: JsonObject, templates: bool) -> Filter | None:
    try:
        return parse_filter(condition, "", templates=templates)
    except FilterError as error:
        # The condition's members are parameters themselves: no path stands before them.
        problems = [replace(p, path=p.path.removeprefix(".")) for p in error.problems]
        raise FilterError(f"{problems[0].path}: {problems[0].message}", problems) from None


def _without_case(tree: Filter) -> Filter:
    if isinstance(tree, Condition):
        ignores = OPERATORS[tree.operator].case_default is not None
        return replace(tree, case_sensitive=False) if ignores else tree
    return type(tree)(tuple(_without_case(part) for part in tree.parts))


def _simple(params: AttributeFilterParams) -> JsonObject:
    condition: JsonObject = {"field": params.field, "operator": params.operator}
    # A value that was not given is not null: what that means is for the operator to say.
    return {**condition, "value": params.value} if "value" in params.model_fields_set else condition


async def run(params: AttributeFilterParams, rows: Rows, ctx: StageContext) -> Rows:
    """Return the rows that pass; first in a plan, the documents that do, by id.

    At most 1,000 passing documents of each collection are scanned; more are reported.
    `hints["limit"]` ends the filtering, or cuts the scan.
    """
    wanted = conjoin([_rendered(params), ctx.filter])
    if ctx.is_first:
        return await _scan(wanted, ctx)
    passing = (row for row in rows if wanted is None or matches(wanted, row.fields))
    return list(islice(passing, ctx.hints.get("limit")))


async def _scan(wanted: Filter | None, ctx: StageContext) -> list[Row]:
    asked = ctx.hints.get("limit")
    limit = MAX_SCAN if asked is None else min(MAX_SCAN, int(asked))
    names = ctx.collection_ids
    scans = await asyncio.gather(*(ctx.scan([name], wanted, limit) for name in names))
    found: list[Row] = []
    for name, (rows, total) in zip(names, scans, strict=True):
        found.extend(rows)
        if total > MAX_SCAN:
            ctx.report.limits.append(
                {"name": "scan", "requested": total, "applied": MAX_SCAN, "ceiling": MAX_SCAN}
            )
            message = f"{MAX_SCAN} of the {total} documents of {name} that pass were returned"
            ctx.report.incomplete.append({"code": "scan_limit", "message": message})
    found.sort(key=lambda row: (row.document_id, str(row.fields.get("collection_id"))))
    return found[:asked]


def _reads(params: AttributeFilterParams) -> FieldSet:
    return fields_of(*fields_of_filter(conditions_of(params)))


STAGE = Stage(
    stage_id="attribute_filter",
    category="filter",
    description="Keep the documents whose fields meet conditions.",
    icon="filter",
    params=AttributeFilterParams,
    run=run,
    traits=Traits(
        source=True,
        row_local=True,
        keeps_order=True,
        only_drops=True,
        reads=_reads,
        writes=reads_none,
        cost=2,
        quiet=lambda _: True,
        as_filter=conditions_of,
        write_filter=lambda tree: {"conditions": filter_to_json(tree)},
        is_noop=lambda params: conditions_of(params) == And(()),
        hints=frozenset({"limit", "columns"}),
    ),
)
