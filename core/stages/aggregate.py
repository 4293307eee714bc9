"""aggregate: counts, sums and other figures over the incoming rows, in all or per group."""

import math
from collections.abc import Sequence

from core.errors import StageError
from core.rows import aggregation
from core.rows.grouping import by_score, gather
from core.rows.ordering import comparable_column, stable_order
from core.rows.row import Row, Rows
from core.rows.values import canonical, finite_or_none, labels, value_at
from core.stage import Stage, StageContext
from core.stages._aggregate_params import PAIRED, AggregateParams, Aggregation, GroupKey
from core.traits import ALL, NO_FIELDS, FieldSet, Traits, fields_of
from core.types import JsonObject, JsonValue


async def run(params: AggregateParams, rows: Rows, ctx: StageContext) -> Rows:
    """Return the figures as rows, or the incoming rows if `include_documents`.

    Stage metadata, `aggregations`: `{alias: figure}`; grouped: that per group, in the groups'
    order, by the group's value (by the JSON list of its values if there are several keys).
    A result row carries the group's values and the figures under their names.
    """
    if params.group_by is None:
        if params.sort_by is not None or params.limit is not None:
            ctx.report.warnings.append("aggregate: sort_by and limit have no effect ungrouped")
        figures = _figures(params, rows)
        ctx.report.metadata["aggregations"] = figures
        results = [Row("aggregate", {"document_id": "aggregate", **figures})]
    else:
        groups = _groups(params, params.group_by, rows)
        ctx.report.metadata["aggregations"] = dict(
            zip(_names([key for key, _ in groups]), [f for _, f in groups], strict=True)
        )
        results = [_group_row(params.group_by, key, figures) for key, figures in groups]
    return rows if params.include_documents else results


def _groups(
    params: AggregateParams, keys: Sequence[GroupKey], rows: Rows
) -> list[tuple[list[JsonValue], JsonObject]]:
    """Return (values of the keys, figures) per group, sorted and limited."""

    def values_of(row: Row) -> list[JsonValue]:
        return [value_at(row.fields, key.field) for key in keys]

    gathered = gather(rows, lambda row: canonical(values_of(row)))
    groups = [(values_of(members[0]), _figures(params, members)) for members in gathered.values()]
    if params.sort_by is not None:
        column = comparable_column([figures[params.sort_by] for _, figures in groups])
        order = stable_order(column, descending=params.sort_order == "desc")
        groups = [groups[position] for position in order]
    return groups[: params.limit]


def _group_row(keys: Sequence[GroupKey], values: list[JsonValue], figures: JsonObject) -> Row:
    name = f"group:{canonical(values[0] if len(values) == 1 else values)}"
    named = {key.name(): value for key, value in zip(keys, values, strict=True)}
    return Row(name, {"document_id": name, **named, **figures})


def _names(keys: Sequence[list[JsonValue]]) -> list[str]:
    return labels([key[0] if len(key) == 1 else key for key in keys])


def _figures(params: AggregateParams, rows: Rows) -> JsonObject:
    figures = {}
    for item in params.aggregations:
        try:
            figure = _figure(item, rows)
        except OverflowError:
            figure = math.inf
        if isinstance(figure, float) and not math.isfinite(figure):
            raise StageError(f"aggregate: {item.alias}: the numbers are too large")
        figures[item.alias] = figure
    return figures


def _figure(item: Aggregation, rows: Rows) -> JsonValue:
    path = item.field
    if path is None:  # `count`, by validation
        return len(rows)
    if item.function in PAIRED:
        return _paired_figure(item, path, rows)
    ordered = by_score(rows) if item.function in ("first", "last") else rows
    values = _values(item, path, ordered)
    if item.function == "percentile":
        return _percentiles(item, values)
    if item.function == "frequency":
        return aggregation.frequency(values, item.top_k)
    if item.function == "histogram":
        return aggregation.histogram(values, item.interval)
    return aggregation.SIMPLE[item.function](values)


def _percentiles(item: Aggregation, values: Sequence[JsonValue]) -> JsonValue:
    if item.percentiles is None:
        return aggregation.percentile(values, item.percentile_value)
    return {f"{p:g}": aggregation.percentile(values, p) for p in item.percentiles}


def _paired_figure(item: Aggregation, path: str, rows: Rows) -> JsonValue:
    """Return a figure of two fields, over the rows that have both."""
    other = str(item.field_b)
    both = [
        row
        for row in rows
        if value_at(row.fields, path) is not None and value_at(row.fields, other) is not None
    ]
    pairs = list(zip(_values(item, path, both), _values(item, other, both), strict=True))
    if item.function == "co_occurrence":
        return aggregation.co_occurrence(pairs, item.top_k)
    return aggregation.correlation([(float(a), float(b)) for a, b in pairs])


def _values(item: Aggregation, path: str, rows: Rows) -> list[JsonValue]:
    """Return the values at a path, those of rows without one left out."""
    values = []
    for row in rows:
        value = value_at(row.fields, path)
        if value is None:
            continue
        if item.needs_numbers() and finite_or_none(value) is None:
            raise StageError(
                f"aggregate: {item.function} of {path} needs numbers, "
                f"but document {row.document_id} has a {type(value).__name__}",
                document_id=row.document_id,
                field=path,
            )
        values.append(value)
    return values


def _reads(params: AggregateParams) -> FieldSet:
    paths = [key.field for key in params.group_by or ()]
    for item in params.aggregations:
        paths += [path for path in (item.field, item.field_b) if path is not None]
        if item.function in ("first", "last"):
            paths.append("score")
    return fields_of(*paths)


def _bound(params: AggregateParams) -> int | None:
    if params.include_documents:
        return None
    return 1 if params.group_by is None else params.limit


STAGE: Stage[AggregateParams] = Stage(
    stage_id="aggregate",
    category="reduce",
    description="Count, sum and otherwise describe the rows, in all or per group.",
    icon="sigma",
    params=AggregateParams,
    run=run,
    traits=Traits(
        reads=_reads,
        writes=lambda params: NO_FIELDS if params.include_documents else ALL,
        cost=5,
        bound=_bound,
        replaces=lambda params: not params.include_documents,
    ),
)
