"""Legs whose documents many chunks prove at once: recordings by votes, pictures by places."""

from collections.abc import Sequence

import numpy as np

from core.hits import QueryChunk, SearchAnswer
from core.models.queries import SearchEntry
from core.ports.media import GeometryRule, VoteRule
from core.stage import StageContext
from core.stages._aligned_moments import OFFSETS, Sought, aligned_moments
from core.stages._geometry import find_sightings, sighted_evidence, sighting_doubts, stored_place
from core.stages._leg import Leg, add_evidence, name_of
from core.stages._votes import (
    count_votes,
    find_candidates,
    group_pairs,
    reference_of,
    voted_evidence,
    votes_needed,
    with_proofs,
)


async def voted_leg(
    entry: SearchEntry,
    rule: VoteRule,
    sought: Sought,
    answer: SearchAnswer,
    ctx: StageContext,
) -> Leg:
    """Return the leg of a recording: one document for each reference, where it agrees best."""
    chunks = sought.chunks
    floor = -np.inf if entry.min_score is None else entry.min_score
    least = max(floor, rule.min_score)
    near = [[hit for hit in hits if hit.score >= least] for hits in answer.hits]
    by_key = {(h.document_id, h.source.collection_id): h for hits in near for h in hits}
    rows = await ctx.load(list(by_key.values()), ["_internal"])
    references = {key: reference_of(key, row.fields) for key, row in zip(by_key, rows, strict=True)}
    lists = [[((h.document_id, h.source.collection_id), h.score) for h in hits] for hits in near]
    # In a thread: a film's chunks in eight views have a hundred thousand near ones.
    groups = await ctx.compute(lambda: group_pairs(rule, chunks, lists, references))
    moments = await ctx.compute(lambda: count_votes(rule, chunks, groups))
    if rule.alignment is not None:
        candidates = await ctx.compute(lambda: find_candidates(rule, groups, OFFSETS))
        proven = await aligned_moments(rule, sought, candidates, by_key, ctx)
        moments = with_proofs(moments, proven, references)
    similarity = {m.key: m.similarity for m in moments if m.similarity is not None}
    votes_cut = any(rule.min_score <= hit.score < least for hits in answer.hits for hit in hits)
    # What the caller's floor kept from voting may be the recording: nothing caps how near it is.
    evidence = (
        answer.evidence
        if votes_cut and not similarity
        else voted_evidence(rule, answer.evidence, similarity.values())
    )
    add_evidence(ctx, name_of(entry), evidence)
    if not similarity:
        full = any(len(hits) >= entry.top_k for hits in near)
        _note_doubts(ctx, rule, chunks, entry if full else None)
    return Leg(
        entry,
        [(moment.key, moment.score) for moment in moments],
        by_key,
        cut=sum(hit.score < floor for hits in answer.hits for hit in hits),
        similarity=similarity,
        places={moment.key: moment.chunks for moment in moments},
        moments={moment.key: moment.to_json() for moment in moments},
    )


async def sighted_leg(
    entry: SearchEntry,
    rule: GeometryRule,
    chunks: Sequence[QueryChunk],
    answer: SearchAnswer,
    ctx: StageContext,
) -> Leg:
    """Return the leg of pictures inside a picture: one document for each reference seen in it."""
    near = [[hit for hit in hits if hit.score >= rule.min_score] for hits in answer.hits]
    by_key = {(h.document_id, h.source.collection_id): h for hits in near for h in hits}
    rows = await ctx.load(list(by_key.values()), ["_internal"])
    stored = {key: stored_place(key, row.fields) for key, row in zip(by_key, rows, strict=True)}
    lists = [[((h.document_id, h.source.collection_id), h.score) for h in hits] for hits in near]
    sightings = await ctx.compute(lambda: find_sightings(rule, chunks, lists, stored))
    evidence = sighted_evidence(rule, answer.evidence, sightings)
    add_evidence(ctx, name_of(entry), evidence)
    floor = -np.inf if entry.min_score is None else entry.min_score
    kept = [each for each in sightings if each.score(rule) >= floor]
    if not sightings:
        full = sum(len(hits) >= rule.near for hits in near)
        ctx.report.incomplete.extend(sighting_doubts(rule, chunks, full))
    return Leg(
        entry,
        [(each.key, each.score(rule)) for each in kept],
        by_key,
        cut=len(sightings) - len(kept),
        # No `similarity`: how alike one place is says nothing of the picture, and a verdict must
        # not read it.
        moments={each.key: {**each.to_json(), "chunks_searched": len(chunks)} for each in kept},
    )


def _note_doubts(
    ctx: StageContext, rule: VoteRule, chunks: Sequence[QueryChunk], full: SearchEntry | None
) -> None:
    """Say why a recording of which nothing was found may be there nevertheless."""
    entries = ctx.report.incomplete
    if votes_needed(rule, chunks) > len(chunks):
        message = f"{len(chunks)} chunks are too few to recognise a recording by"
        entries.append({"code": "too_short", "message": message})
    if full is not None:
        message = (
            f"a chunk has {full.top_k} near neighbours and perhaps more: top_k kept them from "
            "being counted"
        )
        entries.append({"code": "top_k_reached", "message": message})
