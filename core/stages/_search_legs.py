"""One search of feature_search, from its query to a ranked list: a leg of the fusion."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from core.errors import TrawlError
from core.filtering.conditions import Filter, conjoin, parse_filter
from core.hits import ChunkBound, Evidence, Hit, QueryChunk, SearchRequest
from core.models.queries import SearchEntry
from core.ports.keypoints import VerifyRule
from core.ports.media import VoteRule
from core.rows.fusion import DocumentKey, Method, fuse
from core.rows.row import Source
from core.rows.values import canonical, value_at
from core.stage import StageContext
from core.stages._aligned_moments import Sought
from core.stages._leg import Leg, add_evidence, name_of
from core.stages._places import placed_leg
from core.stages._proven_legs import sighted_leg, voted_leg
from core.stages._query_vectors import (
    Preparation,
    Question,
    ask,
    invalid,
    mode_and_value,
    read_vector,
)
from core.stages._search_params import FeatureSearchParams
from core.stages._verification import verified_leg
from core.stages._views import views_met
from core.types import JsonObject

DEFAULT_CHUNKS = 20
MAX_CHUNKS = 500
_IDENTITY_FIELDS = ("document_id", "_internal.document_id")


def known_requests(params: FeatureSearchParams, ctx: StageContext) -> list[SearchRequest]:
    """Return the searches whose vectors stand in the parameters: the same that a run makes.

    A faulty one is left out, for the run to report.
    """
    requests = []
    for n, entry in enumerate(params.searches):
        mode, value = mode_and_value(entry.query)
        if entry.lexical or mode != "vector" or not value or not ctx.is_first:
            continue
        try:
            spec = ctx.feature_spec(entry.feature_uri, _collections(params, entry, ctx))
            if spec is not None:
                vector = read_vector(value, spec, f"searches.{n}.query.value")
                requests.append(_request(params, n, Question(vector[None, :]), None, ctx))
        except TrawlError:
            continue
    return requests


async def search_leg(
    params: FeatureSearchParams, n: int, within: tuple[Source, ...] | None, ctx: StageContext
) -> Leg | None:
    """Run the n-th search; None if it is to be skipped.

    Raises `InvalidRequestError` naming the parameter, and what the context raises.
    """
    entry = params.searches[n]
    path = f"searches.{n}.query"
    spec = ctx.feature_spec(entry.feature_uri, _collections(params, entry, ctx))
    if spec is None:
        if entry.optional:
            ctx.report.warnings.append(f"search {n} was skipped: no {entry.feature_uri} is indexed")
            return None
        add_evidence(ctx, name_of(entry), Evidence())
        return Leg(entry, [], {})
    preparation = _preparation(params, entry, ctx)
    rule = _vote_rule(params, entry, preparation, ctx)
    question = await ask(entry, spec, path, preparation, ctx)
    if question is None:
        ctx.report.warnings.append(f"search {n} was skipped: its query is empty")
        return None
    if entry.query_preprocessing is not None and mode_and_value(entry.query)[0] != "content":
        ctx.report.warnings.append(
            f"search {n} is no content: its query_preprocessing does nothing"
        )
    if not len(question.vectors):
        message = f"search {n} compared nothing: nothing to search with was found in the content"
        ctx.report.incomplete.append({"code": "no_query_chunks", "message": message})
        return Leg(entry, [], {})
    request = _request(params, n, question, within, ctx)
    verification = _verify_rule(params, entry, preparation, question.chunks, ctx)
    asked = request.k
    if verification is not None:
        request = replace(request, k=max(asked, verification.checked + 1))
    answer = await ctx.search(request)
    geometry = ctx.geometry_rule(preparation.feature_uri)
    if geometry is not None and question.chunks:
        leg = await sighted_leg(entry, geometry, question.chunks, answer, ctx)
    elif rule is not None and any(chunk.start_ms is not None for chunk in question.chunks):
        sought = Sought(question.chunks, request)
        leg = await voted_leg(entry, rule, sought, answer, ctx)
    else:
        near = [hits[:asked] for hits in answer.hits]
        leg = leg_of(params, entry, question.chunks, near)
        leg = await placed_leg(leg, question.chunks, near, ctx)
        leg = await verified_leg(leg, verification, question.chunks, answer, ctx)
    own = params.preparation_of(entry)
    dedup_field = own.dedup_field if own and question.chunks else None
    if dedup_field is None or dedup_field in _IDENTITY_FIELDS:
        return leg
    return await _deduplicated(leg, dedup_field, ctx)


def _verify_rule(
    params: FeatureSearchParams,
    entry: SearchEntry,
    preparation: Preparation,
    chunks: Sequence[QueryChunk],
    ctx: StageContext,
) -> VerifyRule | None:
    """Return how a picture's documents are verified; None where they are not, or where scores are
    no similarities, of which alone it is known what they mean."""
    same = preparation.feature_uri == entry.feature_uri
    if not chunks or not same or _aggregation(params, entry, chunks) != "max":
        return None
    return ctx.verify_rule(entry.feature_uri, preparation.params)


def _preparation(params: FeatureSearchParams, entry: SearchEntry, ctx: StageContext) -> Preparation:
    own = params.preparation_of(entry)
    feature_uri = own.feature_uri if own and own.feature_uri else entry.feature_uri
    rule = ctx.vote_rule(feature_uri)
    geometry = ctx.geometry_rule(feature_uri)
    usual = DEFAULT_CHUNKS if rule is None else rule.chunks
    most = MAX_CHUNKS
    if geometry is not None:
        usual = most = geometry.chunks  # an image's keypoints are many, and small
    asked = (own.params if own else None) or {}
    params_of = ctx.extractor_params(
        feature_uri, entry.feature_uri, _collections(params, entry, ctx), asked
    )
    bound = _chunk_bound(params, entry, usual, ctx)
    if own is None and not params.auto_preprocess and geometry is None:
        bound = ChunkBound(1, "auto_preprocess")
    return Preparation(feature_uri, replace(bound, most=min(bound.most, most)), params_of)


def _chunk_bound(
    params: FeatureSearchParams, entry: SearchEntry, usual: int, ctx: StageContext
) -> ChunkBound:
    """Return what bounds a query's chunks: the request before the search before the stage."""
    if ctx.max_chunks is not None:
        return ChunkBound(ctx.max_chunks, "request")
    own = params.preparation_of(entry)
    if own is None or own.max_chunks is None:
        return ChunkBound(usual, "default")
    return ChunkBound(own.max_chunks, "stage" if entry.query_preprocessing is None else "search")


def _vote_rule(
    params: FeatureSearchParams, entry: SearchEntry, preparation: Preparation, ctx: StageContext
) -> VoteRule | None:
    """Return how the query's chunks vote, None if their lists are fused in another way.

    Raises `InvalidRequestError` where votes are asked for and nothing can be aligned.
    """
    own = params.preparation_of(entry)
    rule = ctx.vote_rule(preparation.feature_uri)
    if own is None:
        return rule if params.auto_preprocess else None
    if own.aggregation == "votes" and rule is None:
        raise invalid(
            "query_preprocessing.aggregation",
            f"votes are counted for recordings; chunks of {preparation.feature_uri} have no "
            "offset to agree on: use rrf, max or avg",
        )
    return rule if own.aggregation in (None, "votes") else None


def _request(
    params: FeatureSearchParams,
    n: int,
    question: Question,
    within: tuple[Source, ...] | None,
    ctx: StageContext,
) -> SearchRequest:
    entry = params.searches[n]
    collection_ids, filter_ = scope_of(params, n, ctx)
    geometry = ctx.geometry_rule(entry.feature_uri) if question.chunks else None
    wanted = hits_needed(params, entry, question.chunks, ctx)
    return SearchRequest(
        collection_ids=collection_ids,
        feature_uri=entry.feature_uri,
        vectors=question.vectors,
        k=wanted if geometry is None else geometry.near,
        filter=filter_,
        within=within,
        # Who sends a vector asks for what is near that vector.
        views=mode_and_value(entry.query)[0] in ("content", "document"),
    )


def scope_of(
    params: FeatureSearchParams, n: int, ctx: StageContext
) -> tuple[tuple[str, ...], Filter | None]:
    """Return which collections the n-th search is of, and what its documents must pass."""
    entry = params.searches[n]
    filter_ = ctx.filter
    if entry.filters is not None:
        own = parse_filter(entry.filters, f"searches.{n}.filters", templates=False)
        filter_ = conjoin([filter_, own])
    return _collections(params, entry, ctx), filter_


def _collections(
    params: FeatureSearchParams, entry: SearchEntry, ctx: StageContext
) -> tuple[str, ...]:
    names = entry.collection_identifiers or params.collection_identifiers
    return ctx.resolve_collections(names) if names else ctx.collection_ids


def hits_needed(
    params: FeatureSearchParams, entry: SearchEntry, chunks: Sequence[QueryChunk], ctx: StageContext
) -> int:
    """Return how many hits can still matter: all `top_k`, unless this list is the answer.

    The best n by their greatest score over several vectors are among the best n of one of them.
    """
    preparation = params.preparation_of(entry)
    fused = len(params.searches) > 1 or params.group_by is not None
    rearranged = _aggregation(params, entry, chunks) != "max" or _have_places(chunks)
    if fused or rearranged or (preparation is not None and preparation.dedup_field is not None):
        return entry.top_k
    return min(entry.top_k, rows_wanted(params, ctx))


def rows_wanted(params: FeatureSearchParams, ctx: StageContext) -> int:
    """Return how many ungrouped documents the answer can hold.

    A limit that stands after a group_by stage, moved here too, counts groups.
    """
    if "limit" not in ctx.hints or "group" in ctx.hints:
        return params.final_top_k
    return min(params.final_top_k, int(ctx.hints["limit"]))


def _aggregation(
    params: FeatureSearchParams, entry: SearchEntry, chunks: Sequence[QueryChunk]
) -> Method:
    """Return how the chunks' lists become one.

    Chunks without a place in time, such as an image's hashes under rotation, are variants of one
    query unless the caller says otherwise: a document is as near as the nearest of them.
    """
    preparation = params.preparation_of(entry)
    if preparation is not None and chunks:
        asked = preparation.aggregation
        return "rrf" if asked is None or asked == "votes" else asked
    timed = any(chunk.start_ms is not None for chunk in chunks)
    return "rrf" if timed and params.auto_preprocess else "max"


def _have_places(chunks: Sequence[QueryChunk]) -> bool:
    return any(chunk.start_ms is not None or chunk.box is not None for chunk in chunks)


def leg_of(
    params: FeatureSearchParams,
    entry: SearchEntry,
    chunks: Sequence[QueryChunk],
    found: Sequence[Sequence[Hit]],
) -> Leg:
    """Return the leg of the hits found, one list for each of the query's chunks, if it has any."""
    floor = -np.inf if entry.min_score is None else entry.min_score
    kept = [[hit for hit in hits if hit.score >= floor] for hits in found]
    cut = sum(map(len, found)) - sum(map(len, kept))
    hits = {(h.document_id, h.source.collection_id): h for hits in reversed(kept) for h in hits}
    lists = [[((h.document_id, h.source.collection_id), h.score) for h in hits] for hits in kept]
    if len(lists) == 1 and not chunks:
        return Leg(entry, lists[0], hits, cut)
    method = _aggregation(params, entry, chunks)
    ranked = [(fused.key, fused.score) for fused in fuse(lists, method)]
    best = {} if method == "max" else {f.key: f.score for f in fuse(lists, "max")}
    views = views_met(chunks, kept) if method == "max" else {}
    return Leg(entry, ranked, hits, cut, best, _places_of(chunks, lists), views)


def _places_of(
    chunks: Sequence[QueryChunk], lists: Sequence[Sequence[tuple[DocumentKey, float]]]
) -> dict[DocumentKey, list[JsonObject]]:
    places: dict[DocumentKey, list[JsonObject]] = {}
    if not _have_places(chunks):
        return places
    for chunk, ranked in zip(chunks, lists, strict=True):
        place: JsonObject = {"start_ms": chunk.start_ms, "end_ms": chunk.end_ms}
        if chunk.box is not None:
            place = {**place, "box": list(chunk.box)}
        for key, score in ranked:
            places.setdefault(key, []).append({**place, "score": score})
    return places


async def _deduplicated(leg: Leg, dedup_field: str, ctx: StageContext) -> Leg:
    """Return the leg with the best document of each value; those without one all stay."""
    rows = await ctx.hydrate(await ctx.load([leg.hits[key] for key, _ in leg.ranked]))
    seen: set[str] = set()
    ranked = []
    for pair, row in zip(leg.ranked, rows, strict=True):
        value = value_at(row.fields, dedup_field)
        text = canonical(value)
        if value is None or text not in seen:
            seen.add(text)
            ranked.append(pair)
    return replace(leg, ranked=ranked)
