"""group_by: gather the rows that share a field's value."""

from typing import Literal

from pydantic import AliasChoices, Field

from core.rows.grouping import group_rows
from core.rows.ordering import comparable_column, stable_order
from core.rows.row import Row, Rows
from core.rows.sampling import seed_of, shuffled
from core.rows.values import canonical, number_or_none, value_at
from core.stage import Stage, StageContext
from core.traits import ALL, NO_FIELDS, FieldSet, StageParams, Traits, fields_of
from core.types import JsonObject, JsonValue

_Group = tuple[JsonValue, list[Row]]


class GroupByParams(StageParams):
    """Group rows by a field's value and keep the best of each group.

    Values are equal as JSON is: 1 and 1.0 are one group, 1 and "1" are two. An array is one
    value; unwind it first to group by its elements. Missing and null are one group, of key null.
    """

    group_by_field: str = Field(
        "source_object_id",
        min_length=1,
        validation_alias=AliasChoices("group_by_field", "field"),
        description="Dot path of the field to group by.",
    )
    max_per_group: int = Field(
        10,
        ge=1,
        le=1_000,
        validation_alias=AliasChoices("max_per_group", "docs_per_group"),
        description="Rows kept per group, the first ones by sort_docs_by.",
    )
    output_mode: Literal["first", "all", "flatten"] = Field(
        "all",
        description="first: the top row of each group; flatten: the kept rows as one list, group "
        "after group; all: one row per group, {group_key, count, score, documents}, where count "
        "is of all rows in the group and score the best of them.",
    )
    max_groups: int | None = Field(
        None, ge=1, le=10_000, description="Groups kept, the first ones by sort_groups_by."
    )
    sort_groups_by: Literal["count", "field", "score"] | None = Field(
        None,
        description="Order of the groups: rows in them, their key, or their best score. null: "
        "by first appearance, so that the best hit's group comes first.",
    )
    sort_order: Literal["asc", "desc"] = Field("desc", description="Direction of sort_groups_by.")
    sort_docs_by: str = Field(
        "score",
        min_length=1,
        description="Order within a group: score, or the dot path of another field, highest "
        "first; `_random`: an order that follows from the rows' ids.",
    )
    exclude_null: bool = Field(False, description="true: drop rows without a value to group by.")


async def run(params: GroupByParams, rows: Rows, ctx: StageContext) -> Rows:
    """Return groups or grouped rows, as `output_mode` says; `hints["limit"]` cuts them.

    Stage metadata: `{total_groups, total_documents, field}`, counted before `max_groups`. A row
    that stands for a group has the id `group:` and its key as JSON, and no stored document.
    """
    groups = group_rows(rows, params.group_by_field)
    if params.exclude_null:
        groups = [group for group in groups if group[0] is not None]
    ctx.report.metadata.update(
        total_groups=len(groups),
        total_documents=sum(len(members) for _, members in groups),
        field=params.group_by_field,
    )
    groups = _ordered(params, groups)[: params.max_groups]
    groups = groups[: ctx.hints.get("limit")]  # each gives at least one row
    kept = [_best(params, members) for _, members in groups]
    if params.output_mode == "first":
        return [best[0] for best in kept]
    if params.output_mode == "flatten":
        return [row for best in kept for row in best][: ctx.hints.get("limit")]
    whole = iter(await ctx.hydrate([row for best in kept for row in best]))
    return [
        _group_row(key, members, [next(whole) for _ in best])
        for (key, members), best in zip(groups, kept, strict=True)
    ]


def _ordered(params: GroupByParams, groups: list[_Group]) -> list[_Group]:
    if params.sort_groups_by is None:
        return groups
    if params.sort_groups_by == "count":
        keys: list[JsonValue] = [len(members) for _, members in groups]
    elif params.sort_groups_by == "score":
        keys = [_score(members[0]) for _, members in groups]
    else:
        keys = comparable_column([key for key, _ in groups])
    order = stable_order(keys, descending=params.sort_order == "desc")
    return [groups[position] for position in order]


def _best(params: GroupByParams, members: list[Row]) -> list[Row]:
    """Return the rows of a group that are kept; `members` come by score."""
    if params.sort_docs_by == "_random":
        ids = [row.document_id for row in members]
        order = shuffled(ids, seed_of(ids))
        members = [members[position] for position in order]
    elif params.sort_docs_by != "score":
        column = comparable_column([value_at(row.fields, params.sort_docs_by) for row in members])
        members = [members[position] for position in stable_order(column, descending=True)]
    return members[: params.max_per_group]


def _score(row: Row) -> int | float | None:
    return number_or_none(row.fields.get("score"))


def _group_row(key: JsonValue, members: list[Row], documents: list[Row]) -> Row:
    name = f"group:{canonical(key)}"
    fields = {
        "document_id": name,
        "group_key": key,
        "count": len(members),
        "score": _score(members[0]),
        "documents": [{"document_id": row.document_id, **row.fields} for row in documents],
    }
    return Row(name, fields)


def _reads(params: GroupByParams) -> FieldSet:
    return ALL if params.output_mode == "all" else _needs(params)


def _as_grouping(params: GroupByParams) -> JsonObject | None:
    """Return what a search needs to group alike; None if it must not order as this stage does."""
    if params.sort_groups_by is not None or params.sort_docs_by != "score":
        return None
    names = ("group_by_field", "output_mode", "max_per_group", "max_groups", "exclude_null")
    return {name: getattr(params, name) for name in names}


def _needs(params: GroupByParams) -> FieldSet:
    within = None if params.sort_docs_by == "_random" else params.sort_docs_by
    return fields_of(params.group_by_field, "score", within)


STAGE: Stage[GroupByParams] = Stage(
    stage_id="group_by",
    category="reduce",
    description="Gather the rows that share a field's value.",
    icon="group",
    params=GroupByParams,
    run=run,
    traits=Traits(
        reads=_reads,
        writes=lambda params: ALL if params.output_mode == "all" else NO_FIELDS,
        cost=2,
        bound=lambda params: (
            params.max_groups
            if params.max_groups is None or params.output_mode != "flatten"
            else params.max_groups * params.max_per_group
        ),
        as_grouping=_as_grouping,
        needs=_needs,
        replaces=lambda params: params.output_mode == "all",
        hints=frozenset({"limit"}),
    ),
)
