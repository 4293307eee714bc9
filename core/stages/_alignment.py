"""A recording laid over a reference at one offset: how alike the seconds are that agree.

One offset is tested with every pair of chunks that it brings together, near or not: the mean share
of bits that differ, as Haitsma and Kalker decide ("A Highly Robust Audio Fingerprinting System",
2002), but over the part that agrees, since a film may hold seconds of a song.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.arrays import Float64, Int64, UInt8
from core.ports.media import AlignmentRule, VoteRule

# Beside the seconds that agree lie those from two to three and a half seconds away: nearer ones
# share sound with them.
BESIDE_MS = (1900, 3500)
_LEAST_BESIDE = 1 / 1024


@dataclass(frozen=True, slots=True)
class Strip:
    """Chunks of one recording in the order of time: `starts` (n,) in ms, `vectors` (n, width) of
    packed bits."""

    starts: Float64
    vectors: UInt8


@dataclass(frozen=True, slots=True)
class Alignment:
    """Where two strips agree: by how many ms the reference lies later, and the pairs of chunks, by
    their positions in the strips, with the similarity of each.

    `similarity` is 1 - the share that differs, corrected for how little the pairs prove.
    """

    similarity: float
    offset_ms: float
    query: Int64
    reference: Int64
    scores: Float64
    # When in the query a window that is a third another recording's would start, before the first
    # pair and after the last; None where no window was compared further on.
    turns: tuple[float | None, float | None] = (None, None)


def align(rule: VoteRule, query: Strip, reference: Strip, offset_ms: float) -> Alignment | None:
    """Return the best alignment at offsets within the rule's tolerance of `offset_ms`, a hop apart,
    None if no chunks lie at one place.

    Of equal ones it is the one nearest to `offset_ms`, then the earlier.
    """
    alignment = rule.alignment
    if alignment is None:
        return None
    pairs = _Pairs.near(query, reference, offset_ms, rule.tolerance_ms + BESIDE_MS[1])
    hops = int(rule.tolerance_ms // alignment.hop_ms)
    best: Alignment | None = None
    for hop in sorted(range(-hops, hops + 1), key=lambda hop: (abs(hop), hop)):
        found = _at(alignment, query, pairs, offset_ms + hop * alignment.hop_ms)
        if found is not None and (best is None or found.similarity > best.similarity):
            best = found
    return best


def similarities(ours: UInt8, theirs: UInt8) -> Float64:
    """Return how alike packed vectors are, pair by pair, (p, width) each, or one of (1, width) with
    all of the others: 1 - the share of bits that differ, as searches score them."""
    differing = np.bitwise_count(ours ^ theirs).sum(axis=1, dtype=np.int64)
    return np.asarray(1.0 - differing / (8 * ours.shape[1]))


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Chunks of both strips that some offset brings together, by the query's positions: (p,)."""

    query: Int64
    reference: Int64
    lags: Float64  # ms by which the reference's chunk lies later
    scores: Float64

    @classmethod
    def near(cls, query: Strip, reference: Strip, offset_ms: float, reach_ms: float) -> "_Pairs":
        aimed = query.starts + offset_ms
        first = np.searchsorted(reference.starts, aimed - reach_ms, "left")
        last = np.searchsorted(reference.starts, aimed + reach_ms, "right")
        ours = np.repeat(np.arange(len(aimed)), last - first)
        theirs = np.arange(len(ours)) - np.repeat(np.cumsum(last - first) - last, last - first)
        scores = similarities(query.vectors[ours], reference.vectors[theirs])
        return cls(ours, theirs, reference.starts[theirs] - query.starts[ours], scores)

    def keep(self, choice: Any) -> "_Pairs":
        return _Pairs(
            self.query[choice], self.reference[choice], self.lags[choice], self.scores[choice]
        )


def _at(rule: AlignmentRule, query: Strip, pairs: _Pairs, offset_ms: float) -> Alignment | None:
    met = pairs.keep(np.abs(pairs.lags - offset_ms) <= rule.hop_ms / 2)
    if not len(met.scores):
        return None
    away = np.abs(pairs.lags - offset_ms)
    beside = pairs.keep((away >= BESIDE_MS[0]) & (away <= BESIDE_MS[1]))
    size = int(pairs.query[-1]) + 1
    elsewhere = _summed(beside.query, 1.0 - beside.scores, size)[met.query]
    counts = _summed(beside.query, np.ones(len(beside.query)), size)[met.query]
    differing = 1.0 - met.scores
    run, least = nearest_run(rule, differing, elsewhere, counts)
    longer = _extended(rule.apart - differing, run)
    turns = _turns(rule, query.starts[met.query], differing, longer)
    agreeing = met.keep(longer)
    return Alignment(
        max(0.0, 1.0 - least), offset_ms, agreeing.query, agreeing.reference, agreeing.scores, turns
    )


def _turns(
    rule: AlignmentRule, starts: Float64, differing: Float64, run: slice
) -> tuple[float | None, float | None]:
    """Return when, before a run of pairs and after it, windows begin to differ by a third of what
    strangers do, None where none does."""
    usual = float(np.quantile(differing[run], 0.25))  # at its ends windows differ more
    more = differing - (usual + max(0.0, rule.chance - usual) / 3)
    inside = np.flatnonzero(more[run] <= 0.0) + run.start
    first, last = int(inside[0]), int(inside[-1])
    return _turn(rule, starts, more, first, -1), _turn(rule, starts, more, last, 1)


def _turn(rule: AlignmentRule, starts: Float64, more: Float64, at: int, side: int) -> float | None:
    """Return when, between a pair and the one on that side, `more` passes 0."""
    beyond = at + side
    if not 0 <= beyond < len(starts) or abs(starts[beyond] - starts[at]) > 1.5 * rule.step_ms:
        return None
    rise = float(more[beyond] - more[at])
    share = -float(more[at]) / rise if rise > 0.0 else 0.0
    return float(starts[at] + min(1.0, share) * (starts[beyond] - starts[at]))


def _summed(places: Int64, values: Float64, size: int) -> Float64:
    return np.asarray(np.bincount(places, values, size), np.float64)


def nearest_run(
    rule: AlignmentRule, differing: Float64, elsewhere: Float64, counts: Float64
) -> tuple[slice, float]:
    """Return the run of neighbouring pairs that is nearest, and its difference: the mean, greater
    the less it proves, where pairs are few, and where the sound is so steady that it is as near to
    other seconds of the reference.

    `differing` is (p,), at least one; `elsewhere` sums what each pair's chunk differs from
    `counts` chunks of the reference beside.
    """
    first, last = np.triu_indices(len(differing))
    last += 1

    def of_run(values: Float64) -> Float64:
        sums = np.concatenate([[0.0], np.cumsum(values)])
        return np.asarray(sums[last] - sums[first])

    length, known = (last - first).astype(np.float64), of_run(counts)
    usual = np.divide(
        of_run(elsewhere), known, out=np.full(len(known), rule.chance), where=known > 0
    )
    steady = np.sqrt(rule.chance / np.clip(usual, _LEAST_BESIDE, rule.chance))
    missing = np.maximum(0.0, np.sqrt(rule.enough) - np.sqrt(length))
    corrected = of_run(differing) / length * steady + rule.short * missing
    # Rounded: sums in another order must not decide.
    best = int(np.round(corrected, 9).argmin())
    return slice(int(first[best]), int(last[best])), float(corrected[best])


def _extended(nearer: Float64, run: slice) -> slice:
    """Return the run with its neighbours on both sides, as far as they are the same on the whole:
    while what they are `nearer` than strangers adds up to more than nothing."""
    after = np.cumsum(nearer[run.stop :])
    before = np.cumsum(nearer[: run.start][::-1])
    longer = int(after.argmax()) + 1 if len(after) and after.max() > 0.0 else 0
    earlier = int(before.argmax()) + 1 if len(before) and before.max() > 0.0 else 0
    return slice(run.start - earlier, run.stop + longer)


def best_run(values: Sequence[float] | Float64) -> slice:
    """Return the run of neighbours with the greatest sum, the first of several and the shortest;
    empty if no value is above 0. Sums that differ by less than 1e-9 are the same."""
    # Kadane's algorithm, over all ends at once: a run begins where the sum up to it is least.
    sums = np.round(np.concatenate([[0.0], np.cumsum(values)]), 9)
    least = np.minimum.accumulate(sums)
    gains = np.round(sums - least, 9)
    end = int(gains.argmax())
    if gains[end] <= 0.0:
        return slice(0, 0)
    return slice(int(np.flatnonzero(sums[:end] == least[end])[-1]), end)
