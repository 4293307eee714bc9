"""document_enrich: add to each document the fields of a related one, found by value or search."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from core.errors import DeadlineError
from core.filtering.conditions import fields_of as fields_of_filter
from core.filtering.conditions import parse_filter
from core.filtering.operators import matches
from core.filtering.paths import MISSING, assign, resolve
from core.models.queries import without_nulls
from core.rows.row import Row, Rows
from core.rows.values import canonical
from core.stage import Stage, StageContext
from core.stages._concurrency import run_together
from core.templates import compile_tree, is_template, render_value
from core.traits import ALL, FieldSet, StageParams, Traits, fields_of
from core.types import JsonObject, JsonValue, ReadOnlyObject

MAX_LOOKUPS: Final = 10  # retriever joins in flight

# A document stays who it is when another's fields are merged into its root.
_IDENTITY: Final = ("document_id", "collection_id", "score", "_internal")
# What the SDK's typed model sends where no collection was named.
_SDK_PLACEHOLDER: Final = "{{COLLECTION_ID}}"
_GUIDE_NAMES: Final = (
    ("collection_id", "target_collection_id"),
    ("lookup_field", "target_field"),
    ("select_fields", "fields_to_merge"),
    ("result_field", "output_field"),
)


class DocumentEnrichParams(StageParams):
    """A left join: by equal field values, or with the best result of a retriever."""

    target_collection_id: str | None = Field(
        None, min_length=1, description="Id or name of the collection to join."
    )
    source_field: str = Field("source_object_id", description="Path in the current document.")
    target_field: str = Field("document_id", description="Path in the joined collection.")
    retriever_id: str | None = Field(None, min_length=1, description="Join with its best result.")
    retriever_config: dict[str, Any] | None = Field(
        None, description="An inline retriever, `{stages}`, to join with the best result of."
    )
    retriever_inputs: dict[str, Any] | None = Field(
        None, description="The retriever's inputs, from templates over DOC."
    )
    fields_to_merge: list[str] | None = Field(None, description="Paths to take; all if absent.")
    output_field: str | None = Field(None, min_length=1, description="Where to put them; root.")
    strategy: Literal["enrich", "replace", "append"] = Field(
        "enrich", description="Add to what is there, replace it, or append to an array."
    )
    allow_missing: bool = Field(True, description="Keep documents that have no match.")
    when: Any = Field(None, description="Only documents that pass this filter are enriched.")
    cache_behavior: Literal["auto", "disabled", "aggressive"] = Field(
        "auto", description="Accepted: equal lookups of one execution are made once."
    )
    cache_ttl_seconds: int | None = Field(None, ge=0, description="Accepted, as cache_behavior.")

    @model_validator(mode="before")
    @classmethod
    def _read_spellings(cls, raw: Any) -> Any:
        given = without_nulls(raw)
        if not isinstance(given, dict):
            return given
        for guide, name in _GUIDE_NAMES:
            if guide in given and name not in given:
                given[name] = given.pop(guide)
        for name in ("retriever_id", "output_field"):  # the SDK's typed defaults
            if given.get(name) == "null":
                del given[name]
        if given.get("target_collection_id") == _SDK_PLACEHOLDER:
            del given["target_collection_id"]
        return given

    @field_validator("retriever_config")
    @classmethod
    def _check_config(cls, config: JsonObject | None) -> JsonObject | None:
        if config is not None and not config.get("stages"):
            raise ValueError("an inline retriever needs at least one stage in `stages`")
        return config

    @model_validator(mode="after")
    def _check_join(self) -> Self:
        by_retriever = self.retriever_id is not None or self.retriever_config is not None
        if self.retriever_id is not None and self.retriever_config is not None:
            raise ValueError("give retriever_id or retriever_config, not both")
        if not by_retriever and self.target_collection_id is None:
            raise ValueError("give target_collection_id, or retriever_id, or retriever_config")
        if self.retriever_id is not None and self.target_collection_id is not None:
            raise ValueError("a retriever has its own collections: no target_collection_id with it")
        if not by_retriever and self.retriever_inputs is not None:
            raise ValueError("retriever_inputs needs retriever_id or retriever_config")
        if self.strategy == "append" and self.output_field is None:
            raise ValueError("strategy 'append' needs output_field: the array to append to")
        if self.when is not None:
            parse_filter(self.when, "when")
        return self


async def run(params: DocumentEnrichParams, rows: Rows, ctx: StageContext) -> Rows:
    """Return the rows in order, enriched where there is a match.

    Rows that `when` excludes pass untouched; unmatched ones pass too, unless `allow_missing` is
    false. Raises `NotFoundError` for an unknown collection or retriever.
    """
    when = None if params.when is None else parse_filter(params.when, "when", templates=False)
    chosen = [at for at, row in enumerate(rows) if when is None or matches(when, row.fields)]
    wanted = [rows[at] for at in chosen]
    if params.retriever_id is None and params.retriever_config is None:
        found = await _join_by_value(params, wanted, ctx)
    else:
        found = await _join_by_retriever(params, wanted, ctx)
    matched = dict(zip(chosen, found, strict=True))
    answer: list[Row] = []
    for at, row in enumerate(rows):
        match = matched.get(at)
        if match is not None:
            answer.append(_merged(params, row, match))
        elif at not in matched or params.allow_missing:
            answer.append(row)
    dropped = len(rows) - len(answer)
    if dropped:
        ctx.report.shortfall = f"{dropped} of {len(rows)} documents have no match to be joined with"
    return answer


async def _join_by_value(
    params: DocumentEnrichParams, rows: Rows, ctx: StageContext
) -> list[ReadOnlyObject | None]:
    """Return each row's match, all in one lookup; of an array, the first element that has one."""
    values: list[JsonValue] = []
    places: list[list[int]] = []
    known: dict[str, int] = {}
    for row in rows:
        value = resolve(row.fields, params.source_field)
        items = value if isinstance(value, list) else [value]
        mine: list[int] = []
        for item in items:
            if item is MISSING or item is None:
                continue
            place = known.setdefault(canonical(item), len(values))
            if place == len(values):
                values.append(item)
            mine.append(place)
        places.append(mine)
    target = render_value(params.target_collection_id, ctx.scope, "target_collection_id")
    found = await ctx.lookup(target, params.target_field, values)
    return [next((found[p].fields for p in mine if p in found), None) for mine in places]


async def _join_by_retriever(
    params: DocumentEnrichParams, rows: Rows, ctx: StageContext
) -> list[ReadOnlyObject | None]:
    """Return each row's best result; equal inputs are run once, at most ten at a time."""
    tree = compile_tree(params.retriever_inputs or {}, "retriever_inputs")
    inputs = [tree.render({**ctx.scope, "DOC": row.fields}) for row in rows]
    distinct = {canonical(one): one for one in inputs}
    gate = asyncio.Semaphore(MAX_LOOKUPS)

    async def look_up(one: JsonObject) -> ReadOnlyObject | None:
        async with gate:
            return await _best_result(params, one, ctx)

    results = await run_together([look_up(one) for one in distinct.values()])
    found = {key: results[n] for n, key in enumerate(distinct)}
    return [found[canonical(one)] for one in inputs]


async def _best_result(
    params: DocumentEnrichParams, inputs: JsonObject, ctx: StageContext
) -> ReadOnlyObject | None:
    try:
        if params.retriever_config is None:
            found = await ctx.run_retriever(params.retriever_id or "", inputs)
        else:
            found = await ctx.run_stages(
                _scoped_config(params, params.retriever_config, ctx), inputs
            )
    except DeadlineError:
        message = "a lookup ran out of time: its document was treated as having no match"
        ctx.report.incomplete.append({"code": "lookup_timeout", "message": message})
        return None
    if not found:
        return None
    best = (await ctx.hydrate(found[:1]))[0] if found[0].partial else found[0]
    return best.fields


def _scoped_config(
    params: DocumentEnrichParams, config: JsonObject, ctx: StageContext
) -> JsonObject:
    if params.target_collection_id is None:
        return config
    target = render_value(params.target_collection_id, ctx.scope, "target_collection_id")
    return {"collection_identifiers": [target], **config}


def _merged(params: DocumentEnrichParams, row: Row, match: ReadOnlyObject) -> Row:
    """Return the row with the matched document's fields where they are wanted."""
    taken = _taken(params.fields_to_merge, match)
    if params.output_field is not None:
        value = _placed(params, resolve(row.fields, params.output_field), taken)
        return replace(row, fields=assign(row.fields, params.output_field, value))
    named = params.fields_to_merge or ()
    kept = {n: row.fields[n] for n in _IDENTITY if n in row.fields and n not in named}
    if params.strategy == "replace":
        # No stored document any more: fetching fields would bring back what was replaced.
        return Row(row.document_id, {**taken, **kept})
    if params.fields_to_merge is None:
        own = {k: v for k, v in taken.items() if k not in _IDENTITY}
        return row.with_fields(own)
    fields: ReadOnlyObject = row.fields
    for path in params.fields_to_merge:
        value = resolve(match, path)
        if value is not MISSING:
            fields = assign(fields, path, value)
    return replace(row, fields=fields)


def _placed(params: DocumentEnrichParams, old: Any, taken: JsonObject) -> JsonValue:
    if params.strategy == "append":
        earlier = [] if old is MISSING or old is None else old
        return [*(earlier if isinstance(earlier, list) else [earlier]), taken]
    if params.strategy == "enrich" and isinstance(old, dict):
        return {**old, **taken}
    return taken


def _taken(paths: Sequence[str] | None, match: ReadOnlyObject) -> JsonObject:
    if paths is None:
        return dict(match)
    taken: JsonObject = {}
    for path in paths:
        value = resolve(match, path)
        if value is not MISSING:
            taken = assign(taken, path, value)
    return taken


def _reads(params: DocumentEnrichParams) -> FieldSet:
    # What stands beside a nested result must be there, or writing it would hide the rest.
    written = [params.output_field] if params.output_field else params.fields_to_merge or []
    paths = {path.split(".", maxsplit=1)[0] for path in written}
    if params.strategy == "replace" and params.output_field is None:
        paths |= set(_IDENTITY)  # what stays of the document
    if params.when is not None:
        tree = parse_filter(params.when, "when")
        paths |= set() if tree is None else fields_of_filter(tree)
    if params.retriever_id is None and params.retriever_config is None:
        return fields_of(params.source_field, *paths)
    names = compile_tree(params.retriever_inputs or {}).names
    if "DOC" in names:
        return ALL
    return fields_of(*paths, *(name[4:] for name in names if name.startswith("DOC.")))


def _writes(params: DocumentEnrichParams) -> FieldSet:
    if params.output_field is not None:
        return fields_of(params.output_field)
    if params.strategy == "replace" or params.fields_to_merge is None:
        return ALL
    return fields_of(*params.fields_to_merge)


def _is_quiet(params: DocumentEnrichParams) -> bool:
    """Say whether no single row can fail or be reported: a lookup by value reports none, and a
    top-level field can always be written; a scalar may stand in a longer path's way."""
    by_retriever = params.retriever_id is not None or params.retriever_config is not None
    written = [*(params.fields_to_merge or ()), params.output_field or ""]
    return not by_retriever and not any("." in path or is_template(path) for path in written)


STAGE = Stage(
    stage_id="document_enrich",
    category="enrich",
    description="Add to each document the fields of a related one, found by value or search.",
    icon="git-merge",
    params=DocumentEnrichParams,
    run=run,
    traits=Traits(
        row_local=True,
        keeps_order=True,
        reads=_reads,
        writes=_writes,
        cost=100,
        one_to_one=lambda params: params.allow_missing,
        quiet=_is_quiet,
    ),
    # The collection's name too: the SDK's placeholder in its place is no template to render.
    row_templates=frozenset({"retriever_inputs", "retriever_config", "target_collection_id"}),
    cost_tier="moderate",
)
