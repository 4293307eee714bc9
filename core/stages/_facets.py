"""Facets of feature_search: how often each value of a field occurs among the filtered documents."""

from collections.abc import Sequence

from core.filtering.operators import matches
from core.filtering.paths import resolve
from core.models.queries import FacetRequest
from core.rows.ordering import comparable_column, stable_order
from core.rows.row import Rows
from core.rows.values import canonical
from core.stage import StageContext
from core.types import JsonObject, JsonValue


async def count_facets(
    facets: Sequence[FacetRequest], collection_ids: Sequence[str], rows: Rows, ctx: StageContext
) -> list[JsonObject]:
    """Return `{key, buckets: [{value, count}]}` per facet: by count descending, then by value.

    They count all documents that pass the filter, or all incoming rows that do, not only those
    that the search returns. An array counts once for each of its distinct elements.
    """
    if ctx.is_first:
        counted = [await ctx.facets(collection_ids, ctx.filter, facet.key) for facet in facets]
    else:
        full = await ctx.hydrate(rows)
        kept = [r for r in full if ctx.filter is None or matches(ctx.filter, r.fields)]
        counted = [_count(kept, facet.key) for facet in facets]
    return [
        {"key": facet.key, "buckets": _buckets(counts, facet.limit)}
        for facet, counts in zip(facets, counted, strict=True)
    ]


def _count(rows: Rows, path: str) -> list[tuple[JsonValue, int]]:
    counts: dict[str, tuple[JsonValue, int]] = {}
    for row in rows:
        value = resolve(row.fields, path)
        items = value if isinstance(value, list) else [value]
        distinct = {canonical(v): v for v in items if isinstance(v, str | int | float)}
        for text, item in distinct.items():
            first, count = counts.get(text, (item, 0))
            counts[text] = (first, count + 1)
    return list(counts.values())


def _buckets(counts: Sequence[tuple[JsonValue, int]], limit: int) -> list[JsonObject]:
    by_value = stable_order(comparable_column([value for value, _ in counts]), descending=False)
    order = sorted(by_value, key=lambda position: -counts[position][1])
    return [{"value": counts[i][0], "count": counts[i][1]} for i in order[:limit]]
