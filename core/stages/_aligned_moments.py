"""Moments that are proven by laying a recording over the references that its chunks voted for."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from core.arrays import Float32, Float64, UInt8
from core.filtering.operators import matches
from core.hits import Hit, QueryChunk, SearchRequest
from core.ports.media import AlignmentRule, VoteRule
from core.rows.fusion import DocumentKey
from core.rows.row import Row
from core.stage import StageContext
from core.stages._alignment import BESIDE_MS, Strip, align
from core.stages._frame_alignment import Frames, align_frames, nearest_frames
from core.stages._votes import (
    Candidate,
    Moment,
    Pair,
    Reference,
    met_chunk,
    places_of,
    reference_of,
    view_of,
    votes_needed,
)

# Each costs what reading its chunks costs. After so many in a row that are nothing, those with
# still fewer votes are left, and that is said.
MAX_IN_VAIN: Final = 64
# Of one reference, such as of a piece that repeats itself.
OFFSETS: Final = 2
# How far beyond the first and the last vote the recording is compared.
_MARGIN_MS: Final = 30_000
# How far from the votes' offsets those of frames are tried: where a camera stands still, frames
# near the right one are as near.
_BESIDE_VOTES_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Stored:
    """Chunks of one reference in the order of time."""

    places: Sequence[Reference]
    vectors: UInt8
    duration_ms: int | None = None  # of the whole file


@dataclass(frozen=True, slots=True)
class Sought:
    """What a recording is looked for with: its chunks, and the search that was made of them."""

    chunks: Sequence[QueryChunk]
    request: SearchRequest


@dataclass(frozen=True, slots=True)
class _Found:
    """What one candidate turned out to be; of several of one file the one with the most `weight`
    counts. The reference lies later by `low_ms` to `high_ms`; `pairs` is in the order of time."""

    similarity: float
    weight: float
    low_ms: float
    high_ms: float
    pairs: Sequence[tuple[int, int, float]]
    turns: tuple[float | None, float | None] = (None, None)


async def aligned_moments(
    rule: VoteRule,
    sought: Sought,
    candidates: Sequence[Candidate],
    hits: Mapping[DocumentKey, Hit],
    ctx: StageContext,
) -> dict[tuple[str, str], Moment]:
    """Return the best moment of each candidate's file, by collection and file, of those that are
    alike enough to mean something.

    Only chunks that pass the request's filter, and lie within its rows, are compared. Files that
    were left make the report incomplete.
    """
    if rule.alignment is None:
        return {}
    searched, needed = len(places_of(sought.chunks)), votes_needed(rule, sought.chunks)
    terms = _Terms(rule, rule.alignment, needed, searched)
    best: dict[tuple[str, str], tuple[float, Moment]] = {}
    in_vain = 0
    for number, candidate in enumerate(candidates):
        if in_vain == MAX_IN_VAIN:
            _note_left(candidates[number:], best, ctx)
            break
        key = candidate.pairs[0].key
        # What else a file that is found holds is no sign that the others hold nothing.
        in_vain += (key[1], candidate.root) not in best
        near = _chunks_beside(sought.chunks, candidate)
        rows = await ctx.file_chunks(hits[key], _numbers(terms, near, candidate.pairs))
        stored = await _stored(rows, sought.request, ctx)
        if stored is None:
            continue
        compare = _compare_frames if rule.spans else _compare_sound
        found = await ctx.compute(partial(compare, terms, near, stored, candidate))
        if found is None or found.similarity < rule.proven_from:
            continue
        in_vain = 0
        moment = _moment(terms, near, stored, found, candidate)
        known = best.get((key[1], candidate.root))
        if known is None or _preference(found.weight, moment) < _preference(*known):
            best[key[1], candidate.root] = found.weight, moment
    return {file: moment for file, (_, moment) in best.items()}


def _note_left(
    candidates: Sequence[Candidate], found: Mapping[tuple[str, str], object], ctx: StageContext
) -> None:
    left = {(each.pairs[0].key[1], each.root) for each in candidates} - found.keys()
    if left:
        message = (
            f"{len(left)} recordings with near chunks were not compared as a whole: {MAX_IN_VAIN} "
            "likelier places, one after another, were not the same"
        )
        ctx.report.incomplete.append({"code": "candidates_left", "message": message})


def _preference(weight: float, moment: Moment) -> tuple[float, tuple[int, int]]:
    return -weight, moment.reference or (0, 0)


@dataclass(frozen=True, slots=True)
class _Terms:
    """What is the same for all candidates: the rules, and how many places the query has in all,
    of which `needed` must agree."""

    rule: VoteRule
    alignment: AlignmentRule
    needed: int
    searched: int


def _compare_sound(
    terms: _Terms, chunks: Sequence[QueryChunk], stored: Stored, candidate: Candidate
) -> _Found | None:
    first = candidate.pairs[0]
    offset = (first.reference.start_ms or 0) - (first.place[0] or 0)
    query = Strip(_starts(chunks), _stacked([chunk.vector for chunk in chunks]))
    reference = Strip(_starts(stored.places), stored.vectors)
    found = align(terms.rule, query, reference, offset)
    if found is None:
        return None
    pairs = zip(found.query.tolist(), found.reference.tolist(), found.scores.tolist(), strict=True)
    at = found.offset_ms
    return _Found(found.similarity, found.similarity, at, at, list(pairs), found.turns)


def _compare_frames(
    terms: _Terms, chunks: Sequence[QueryChunk], stored: Stored, candidate: Candidate
) -> _Found | None:
    query = Frames(_starts(chunks), _ends(chunks), _stacked([chunk.vector for chunk in chunks]))
    reference = Frames(_starts(stored.places), _ends(stored.places), stored.vectors)
    low = min(pair.low for pair in candidate.pairs) - _BESIDE_VOTES_MS
    high = max(pair.high for pair in candidate.pairs) + _BESIDE_VOTES_MS
    found = align_frames(terms.alignment, query, reference, (low, high))
    if found is None:
        return None
    pairs = nearest_frames(found)
    least = terms.rule.min_score
    near = sorted((score for _, _, score in pairs if score >= least), reverse=True)
    if len(near) < terms.needed:
        return None
    similarity = near[terms.needed - 1]
    return _Found(similarity, found.weight, found.low_ms, found.high_ms, pairs)


def _chunks_beside(chunks: Sequence[QueryChunk], candidate: Candidate) -> list[QueryChunk]:
    """Return the query's chunks, in the candidate's view, from just before the first vote to just
    after the last, in the order of time."""
    starts = [pair.place[0] or 0 for pair in candidate.pairs]
    first, last = min(starts) - _MARGIN_MS, max(starts) + _MARGIN_MS
    near = [
        chunk
        for chunk in chunks
        if chunk.start_ms is not None
        and first <= chunk.start_ms <= last
        and view_of(chunk) == candidate.view
    ]
    return sorted(near, key=lambda chunk: chunk.start_ms or 0)


def _numbers(terms: _Terms, chunks: Sequence[QueryChunk], pairs: Sequence[Pair]) -> list[int]:
    """Return the numbers of the reference's chunks that these chunks may be compared with.

    Silence has no chunks, and a picture that stands still has one: how numbers go with seconds is
    known only where a chunk voted.
    """
    step, reach_ms = terms.alignment.step_ms, float(BESIDE_MS[1])
    if terms.rule.spans:
        reach_ms = _BESIDE_VOTES_MS + max(pair.high - pair.low for pair in pairs)
    reach = 2 + int(reach_ms // step)
    anchors = sorted((pair.place[0] or 0, pair.reference.number) for pair in pairs)
    times = [time for time, _ in anchors]
    ranges: list[range] = []
    for chunk in chunks:
        start = chunk.start_ms or 0
        at = bisect_left(times, start)
        around = anchors[max(0, at - 1) : at + 1]
        time, number = min(around, key=lambda anchor: (abs(anchor[0] - start), anchor))
        middle = number + round((start - time) / step)
        ranges.append(range(max(0, middle - reach), middle + reach + 1))
    numbers: list[int] = []
    for each in sorted(ranges, key=lambda one: one.start):
        # All are equally long, so none ends before one that began earlier.
        after = numbers[-1] + 1 if numbers else 0
        numbers += range(max(after, each.start), each.stop)
    return numbers


async def _stored(rows: Sequence[Row], request: SearchRequest, ctx: StageContext) -> Stored | None:
    within = None if request.within is None else set(request.within)
    passing = [
        row
        for row in rows
        if (request.filter is None or matches(request.filter, row.fields))
        and (within is None or row.source in within)
    ]
    vectors = await ctx.vectors_of(passing, request.feature_uri)
    timed = []
    for row, vector in zip(passing, vectors, strict=True):
        place = reference_of((row.document_id, ""), row.fields)
        if vector is not None and vector.dtype == np.uint8 and place.start_ms is not None:
            timed.append((place.start_ms, place, vector))
    if not timed:
        return None
    timed.sort(key=lambda chunk: chunk[0])
    places = [place for _, place, _ in timed]
    media = passing[0].fields.get("_internal", {}).get("media") or {}
    return Stored(places, _stacked([each for _, _, each in timed]), media.get("duration_ms"))


def _starts(chunks: Sequence[QueryChunk] | Sequence[Reference]) -> Float64:
    return np.array([chunk.start_ms for chunk in chunks], np.float64)


def _ends(chunks: Sequence[QueryChunk] | Sequence[Reference]) -> Float64:
    return np.array([chunk.end_ms or chunk.start_ms for chunk in chunks], np.float64)


def _stacked(vectors: Sequence[Float32 | UInt8]) -> UInt8:
    return np.stack(vectors).astype(np.uint8, copy=False)


def _moment(
    terms: _Terms,
    chunks: Sequence[QueryChunk],
    stored: Stored,
    found: _Found,
    candidate: Candidate,
) -> Moment:
    """Return what was found as a moment. Sound has fewer chunks in a reference than in a query:
    those of the query that lie less than a step from one that was compared agree too."""
    pairs = [(chunks[ours], stored.places[theirs], score) for ours, theirs, score in found.pairs]
    around = 0.0
    if not terms.rule.spans:
        around = terms.alignment.step_ms - terms.alignment.hop_ms / 2
    first = (pairs[0][0].start_ms or 0) - around
    last = (pairs[-1][0].start_ms or 0) + around
    agreeing = [chunk for chunk in chunks if first <= (chunk.start_ms or 0) <= last]
    start, end = _seconds(terms, agreeing, stored, found)
    reference = [max(0, round(start + found.low_ms)), max(0, round(end + found.high_ms))]
    if stored.duration_ms is not None:
        reference = [min(at, stored.duration_ms) for at in reference]
    return Moment(
        key=candidate.pairs[0].key,
        matched=len(places_of(agreeing)),
        searched=terms.searched,
        similarity=found.similarity,
        variant=candidate.view,
        query=(start, end),
        reference=(reference[0], reference[1]),
        chunks=[
            met_chunk((chunk.start_ms, chunk.end_ms), reference, score)
            for chunk, reference, score in pairs
        ],
    )


def _seconds(
    terms: _Terms, agreeing: Sequence[QueryChunk], stored: Stored, found: _Found
) -> tuple[int, int]:
    """Return from when to when the query is the same, in ms: all that its chunks stand for, as far
    as both recordings go; of windows that overlap to where they begin to be of something else."""
    first = agreeing[0].start_ms or 0
    last = max(chunk.end_ms or chunk.start_ms or 0 for chunk in agreeing)
    start, end = float(max(first, -found.high_ms)), float(last)
    if stored.duration_ms is not None:
        end = min(end, stored.duration_ms - found.low_ms)
    thirds = terms.alignment.thirds_ms
    if found.turns[0] is not None:
        start = max(start, found.turns[0] + thirds[0])
    if found.turns[1] is not None:
        end = min(end, found.turns[1] + thirds[1])
    start = max(float(first), min(start, last))
    return round(start), round(max(start, end))
