"""A film laid over a reference: of the offsets that its frames allow, where all of them fit best.

Near frames alone say little of the second where a camera stands still. The mean over all that lie
at one place then says it, and where even that does not, the answer is a range.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.arrays import Float64, Int64, UInt8
from core.ports.media import AlignmentRule
from core.stages._alignment import best_run, similarities

# Means that differ by less, 2 of 256 bits, do not tell offsets apart.
_SAME: Final = 2 / 256
_MOST_OFFSETS: Final = 400


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames in the order of time: each stands for what is shown from its start to its end, (n,)
    in ms. Several of one start are views of one frame. Vectors are packed bits."""

    starts: Float64
    ends: Float64
    vectors: UInt8


@dataclass(frozen=True, slots=True)
class FrameAlignment:
    """By how many ms the reference lies later, at least and at most, and which frames agree: by
    their positions on both sides, with the similarity of each."""

    low_ms: float
    high_ms: float
    query: Int64
    reference: Int64
    scores: Float64
    weight: float  # what all of them are nearer than frames that have nothing in common


def align_frames(
    rule: AlignmentRule,
    query: Frames,
    reference: Frames,
    offsets: tuple[float, float],
) -> FrameAlignment | None:
    """Return the best alignment at offsets from the first to the last of `offsets`, a hop apart,
    None if nothing agrees at any.

    The best has the greatest sum of what its frames are nearer than `rule.apart`. Where neighbours
    of it are as good, the answer lies in their middle, if they are a step of the reference's
    frames, and is all of them if they are more.
    """
    places = _Samples.of(query, rule.step_ms)
    similar = _similarities(query, reference)
    step = max(rule.hop_ms, (offsets[1] - offsets[0]) / _MOST_OFFSETS)
    tried = np.arange(offsets[0], offsets[1] + step / 2, step)
    fits = [_fit(rule, places, similar, reference, offset) for offset in tried.tolist()]
    sums = np.array([fit.total for fit in fits])
    if not len(sums) or sums.max() <= 0.0:
        return None
    best = int(sums.argmax())
    least = sums[best] - _SAME * len(fits[best].scores)
    low, high = best, best
    while low > 0 and sums[low - 1] >= least:
        low -= 1
    while high + 1 < len(sums) and sums[high + 1] >= least:
        high += 1
    chosen = fits[(low + high) // 2]
    between = (float(tried[low]), float(tried[high]))
    if between[1] - between[0] <= rule.step_ms:
        between = (sum(between) / 2, sum(between) / 2)
    return FrameAlignment(*between, chosen.query, chosen.reference, chosen.scores, fits[best].total)


@dataclass(frozen=True, slots=True)
class _Samples:
    """What a film shows at (n,) times, in order, and the frame that stands for it."""

    times: Float64
    frames: Int64

    @classmethod
    def of(cls, frames: Frames, step_ms: float) -> "_Samples":
        times: list[float] = []
        owners: list[int] = []
        for at, (start, end) in enumerate(zip(frames.starts, frames.ends, strict=True)):
            if at and start == frames.starts[at - 1]:
                continue  # another view of the same frame
            count = max(1, round((end - start) / step_ms))
            times += [start + n * step_ms for n in range(count)]
            owners += [at] * count
        return cls(np.array(times, np.float64), np.array(owners, np.int64))


@dataclass(frozen=True, slots=True)
class _Fit:
    total: float
    query: Int64
    reference: Int64
    scores: Float64


def _similarities(query: Frames, reference: Frames) -> Float64:
    """Return how alike the frames are, (query, reference); of several views of a frame the best
    counts for all."""
    # Row by row: all pairs of two long films at once would be half a gigabyte.
    scores = np.stack([similarities(one[None, :], reference.vectors) for one in query.vectors])
    for start in np.unique(query.starts):
        same = query.starts == start
        scores[same] = scores[same].max(axis=0)
    return scores


def _fit(
    rule: AlignmentRule, samples: _Samples, similar: Float64, reference: Frames, offset: float
) -> _Fit:
    # A reference's frame is the nearest to what lies up to half a step before and after it.
    aimed = samples.times + offset + rule.step_ms / 2
    at = np.searchsorted(reference.starts, aimed, "right") - 1
    # The last frame of a film is shown for less than a step.
    ends = np.maximum(reference.ends, reference.starts + rule.step_ms)
    met = (at >= 0) & (aimed <= ends[np.maximum(at, 0)])
    ours, theirs = samples.frames[met], at[met]
    scores = similar[ours, theirs]
    run = best_run(rule.apart - (1.0 - scores))
    total = float((rule.apart - (1.0 - scores[run])).sum())
    return _Fit(round(total, 9), ours[run], theirs[run], scores[run])


def nearest_frames(found: FrameAlignment) -> Sequence[tuple[int, int, float]]:
    """Return the pairs of frames that agree, the nearest one for each frame of the query."""
    best: dict[int, tuple[int, float]] = {}
    for ours, theirs, score in zip(
        found.query.tolist(), found.reference.tolist(), found.scores.tolist(), strict=True
    ):
        if ours not in best or score > best[ours][1]:
            best[ours] = (theirs, score)
    return [(ours, theirs, score) for ours, (theirs, score) in best.items()]
