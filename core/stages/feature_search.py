"""feature_search: nearest neighbours of one or several queries, fused into one ranking."""

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from core.errors import InvalidRequestError, Problem
from core.filtering.operators import matches
from core.hits import Hit
from core.rows.fusion import DocumentKey, Fused, fuse
from core.rows.grouping import group_row, group_rows
from core.rows.row import Row, Rows, Source
from core.stage import Stage, StageContext
from core.stages._concurrency import run_together
from core.stages._facets import count_facets
from core.stages._geometry import GEOMETRY_FIELDS
from core.stages._hit_fields import ballots_of, hit_fields
from core.stages._leg import Leg
from core.stages._lexical_legs import lexical_leg
from core.stages._search_legs import known_requests, rows_wanted, search_leg
from core.stages._search_params import FeatureSearchParams
from core.stages._verification import VERIFIED_FIELDS
from core.stages._votes import MOMENT_FIELDS
from core.traits import ALL, NO_FIELDS, FieldSet, SortOrder, Traits, fields_of

MAX_SCROLL = 5000  # documents that are grouped when there is a filter and no search

T = TypeVar("T")


async def run(params: FeatureSearchParams, rows: Rows, ctx: StageContext) -> Rows:
    """Return the best documents: score descending, then document id.

    Later in a pipeline it ranks the incoming rows instead: only they are searched, and what
    stages computed on them stays.
    """
    if not ctx.is_first and not rows:
        return []
    collections = _collections(params, ctx)
    within = None if ctx.is_first else tuple(row.source for row in rows if row.source is not None)
    main: list[Coroutine[Any, Any, Any]]
    if params.searches:
        main = [
            (lexical_leg if entry.lexical else search_leg)(params, n, within, ctx)
            for n, entry in enumerate(params.searches)
        ]
    else:
        main = [_filtered(params, collections, rows, ctx)]
    side: list[Coroutine[Any, Any, Any]] = []
    if params.facets:
        side = [count_facets(params.facets, collections, rows, ctx)]
    outcomes = await _finish(params, [*main, *side], ctx)
    if params.facets:
        ctx.report.facets = outcomes.pop(len(main), None)
        ctx.report.metadata["facets"] = ctx.report.facets
    if not params.searches:
        filtered: list[Row] = outcomes.get(0, [])
        return filtered
    legs = {n: leg for n, leg in sorted(outcomes.items()) if leg is not None}
    if not legs and len(outcomes) == len(main):
        message = "every search was skipped: at least one must have a query and an index to search"
        raise InvalidRequestError(message, [Problem("searches", message)])
    return await _ranked(params, legs, rows, ctx)


async def _finish(
    params: FeatureSearchParams, work: Sequence[Coroutine[Any, Any, T]], ctx: StageContext
) -> dict[int, T]:
    """Run everything at once; return the results by position, of all that ended in time."""
    timeout_ms = params.hard_timeout_ms
    done = await run_together(work, None if timeout_ms is None else timeout_ms / 1000)
    if len(done) < len(work):
        message = f"hard_timeout_ms ended the search: {len(done)} of {len(work)} parts were done"
        ctx.report.incomplete.append({"code": "stage_timeout", "message": message})
    return done


async def _ranked(
    params: FeatureSearchParams, by_number: Mapping[int, Leg], rows: Rows, ctx: StageContext
) -> list[Row]:
    legs, ballots = list(by_number.values()), ballots_of(by_number)
    order = _fused(params, legs)
    found = len(order)
    if params.group_by is None:
        order = order[: rows_wanted(params, ctx)]
    hits: dict[DocumentKey, Hit] = {}
    for leg in reversed(legs):
        hits.update(leg.hits)
    ranked: list[Row] = []
    for fused, bases in zip(order, await _bases(params, order, hits, rows, ctx), strict=True):
        changes = hit_fields(fused, ballots)
        for base in bases:
            earlier = None if ctx.is_first else base.fields.get("features")
            if isinstance(earlier, dict):
                both = {**earlier, **changes["features"]}
                ranked.append(base.with_fields({**changes, "features": both}))
            else:
                ranked.append(base.with_fields(changes))
    answer = await _arranged(params, ranked, ctx)
    # A moved stage's groups are no search that found less than it was asked for.
    returned = len(ranked) if params.group_by is None else len(answer)
    _explain_shortfall(params, legs, found, returned, ctx)
    return answer


def _fused(params: FeatureSearchParams, legs: Sequence[Leg]) -> list[Fused]:
    if len(legs) == 1:
        return [Fused(key, score, 0) for key, score in legs[0].ranked]
    weights = [leg.entry.weight for leg in legs]
    return fuse([leg.ranked for leg in legs], params.fusion, weights)


async def _bases(
    params: FeatureSearchParams,
    order: Sequence[Fused],
    hits: Mapping[DocumentKey, Hit],
    rows: Rows,
    ctx: StageContext,
) -> list[list[Row]]:
    """Return the rows to annotate, per document: loaded ones, or those that came in."""
    wanted = [hits[fused.key] for fused in order]
    if ctx.is_first:
        loaded = await ctx.load(wanted, _columns_to_group(params, ctx))
        return [[row] for row in loaded]
    incoming: dict[Source, list[Row]] = {}
    for row in rows:
        if row.source is not None:
            incoming.setdefault(row.source, []).append(row)
    return [incoming.get(hit.source, []) for hit in wanted]


async def _filtered(
    params: FeatureSearchParams, collections: Sequence[str], rows: Rows, ctx: StageContext
) -> list[Row]:
    """Return the documents that pass the filter, by id, or the incoming rows that do."""
    if ctx.filter is None:
        message = "without searches, feature_search needs a filter: give searches or pre_filters"
        raise InvalidRequestError(message, [Problem("searches", message)])
    wanted = rows_wanted(params, ctx) if params.group_by is None else MAX_SCROLL
    if ctx.is_first:
        passing, total = await ctx.scan(collections, ctx.filter, wanted)
    else:
        full = await ctx.hydrate(rows)
        passing = [row for row in full if matches(ctx.filter, row.fields)][:wanted]
        total = len(passing)
    if params.group_by is not None and total > MAX_SCROLL:
        ctx.report.limits.append(
            {"name": "scroll", "requested": total, "applied": MAX_SCROLL, "ceiling": MAX_SCROLL}
        )
        message = f"{MAX_SCROLL} of the {total} documents that pass the filter were grouped"
        ctx.report.incomplete.append({"code": "scroll_limit", "message": message})
    answer = await _arranged(params, passing, ctx)
    returned = len(passing) if params.group_by is None else len(answer)
    if returned < _asked(params, ctx):
        ctx.report.shortfall = f"{total} documents pass the filter"
    return answer


async def _arranged(params: FeatureSearchParams, rows: list[Row], ctx: StageContext) -> list[Row]:
    """Return the rows, or groups of them in the order of their best rows, as many as wanted."""
    grouping = _grouping(params, ctx)
    if grouping is None:
        return rows[: rows_wanted(params, ctx)]  # several may stand for one document
    groups = group_rows(rows, grouping.field)
    if grouping.exclude_null:
        groups = [group for group in groups if group[0] is not None]
    groups = groups[: grouping.limit]
    kept = [members[: grouping.size] for _, members in groups]
    if grouping.mode == "all":
        # Inside a group no later stage can fetch what was not loaded.
        full = iter(await ctx.hydrate([row for best in kept for row in best]))
        made = [
            group_row(key, members, [next(full) for _ in best])
            for (key, members), best in zip(groups, kept, strict=True)
        ]
    else:
        made = [row for best in kept for row in best]
    made = made[: ctx.hints.get("limit")]
    return made if _columns_to_group(params, ctx) is None else await ctx.hydrate(made)


@dataclass(frozen=True, slots=True)
class _Grouping:
    """How to group: by the parameter, or by a group_by stage that the optimizer moved here."""

    field: str
    size: int
    limit: int | None
    mode: str
    exclude_null: bool = False


def _grouping(params: FeatureSearchParams, ctx: StageContext) -> _Grouping | None:
    own, moved = params.group_by, ctx.hints.get("group")
    if own is not None:
        size = 1 if own.output_mode == "first" else own.max_per_group
        return _Grouping(own.field, size, own.limit, own.output_mode)
    if moved is None:
        return None
    mode = moved.get("output_mode", "all")
    return _Grouping(
        field=moved["group_by_field"],
        size=1 if mode == "first" else moved.get("max_per_group", 10),
        limit=moved.get("max_groups"),
        mode=mode,
        exclude_null=moved.get("exclude_null", False),
    )


def _columns_to_group(params: FeatureSearchParams, ctx: StageContext) -> list[str] | None:
    """Return what to load before a moved group_by stage: the rest is fetched of what it keeps.

    None for what the plan needs, if that is not everything or nothing is dropped unseen.
    """
    moved = ctx.hints.get("group")
    if moved is None or params.group_by is not None or "columns" in ctx.hints:
        return None
    return [moved["group_by_field"].split(".", maxsplit=1)[0]]


def _asked(params: FeatureSearchParams, ctx: StageContext) -> int:
    if params.group_by is None:
        return rows_wanted(params, ctx)
    return min(params.group_by.limit, int(ctx.hints.get("limit", params.group_by.limit)))


def _explain_shortfall(
    params: FeatureSearchParams, legs: Sequence[Leg], found: int, returned: int, ctx: StageContext
) -> None:
    asked = _asked(params, ctx)
    if returned >= asked:
        return
    evidence = ctx.report.evidence
    compared = 0 if evidence is None else evidence.compared
    reasons = [f"{compared} documents were compared" + _condition(ctx)]
    cut = sum(leg.cut for leg in legs)
    if cut:
        reasons.append(f"min_score dropped {cut} candidates")
    worded = [len(leg.ranked) + leg.cut for leg in legs if leg.entry.lexical]
    if worded and max(worded) < asked:
        reasons.append(f"a lexical search found {max(worded)} with a word of its query")
    if any(entry.top_k < asked for entry in params.searches):
        most = max(entry.top_k for entry in params.searches)
        reasons.append(f"a search's top_k gives at most {most} candidates")
    if params.group_by is not None:
        reasons.append(f"{found} candidates are in {returned} groups")
    ctx.report.shortfall = "; ".join(reasons)


def _condition(ctx: StageContext) -> str:
    where = "" if ctx.is_first else ", of the rows that came in"
    return where if ctx.filter is None else f"{where}, all that pass the filter"


def _collections(params: FeatureSearchParams, ctx: StageContext) -> tuple[str, ...]:
    names = params.collection_identifiers
    return ctx.resolve_collections(names) if names else ctx.collection_ids


def _reads(params: FeatureSearchParams) -> FieldSet:
    # Earlier searches' `features` are kept beside its own.
    own = ["features"]
    own += [params.group_by.field] if params.group_by is not None else []
    preparations = [params.preparation_of(entry) for entry in params.searches]
    return fields_of(*own, *(p.dedup_field for p in preparations if p is not None))


def _writes(params: FeatureSearchParams) -> FieldSet:
    if params.group_by is not None and params.group_by.output_mode == "all":
        return ALL
    return frozenset(
        {
            *("score", "feature_uri", "features", "query_chunks"),
            *MOMENT_FIELDS,
            *GEOMETRY_FIELDS,
            *VERIFIED_FIELDS,
        }
    )


def _sets(params: FeatureSearchParams) -> FieldSet:
    return frozenset({"score", "feature_uri", "features"}) if params.searches else NO_FIELDS


def _order(params: FeatureSearchParams) -> SortOrder | None:
    if not params.searches or params.group_by is not None:
        return None
    return SortOrder("score", descending=True)


def _bound(params: FeatureSearchParams) -> int:
    grouping = params.group_by
    if grouping is None:
        return params.final_top_k
    return grouping.limit * (grouping.max_per_group if grouping.output_mode == "flatten" else 1)


STAGE = Stage(
    stage_id="feature_search",
    category="filter",
    description="Find the nearest neighbours of vectors, content or a document, or words by BM25.",
    icon="search",
    params=FeatureSearchParams,
    run=run,
    traits=Traits(
        source=True,
        reads=_reads,
        writes=_writes,
        cost=100,
        bound=_bound,
        sorted_by=_order,
        sets=_sets,
        can_group=lambda params: params.group_by is None,
        replaces=lambda params: (
            params.group_by is not None and params.group_by.output_mode == "all"
        ),
        hints=frozenset({"limit", "group", "columns"}),
    ),
    searches=known_requests,
    cost_tier="moderate",
)
