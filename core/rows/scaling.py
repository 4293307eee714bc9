"""Scores brought to a common scale; each function maps a list of finite numbers to floats."""

import math
from collections.abc import Sequence


def min_max(
    scores: Sequence[float], low: float | None = None, high: float | None = None
) -> list[float]:
    """Return (x - low) / (high - low) within 0-1; the bounds are the scores' own unless given.

    Where the bounds meet, as for one score or equal ones, what reaches them is 1.
    """
    if not scores:
        return []
    low = min(scores) if low is None else low
    high = max(scores) if high is None else high
    if high <= low:
        return [1.0 if score >= low else 0.0 for score in scores]
    # The difference of two finite floats can overflow; halving always would lose subnormals.
    unit = 1.0 if math.isfinite(high - low) else 0.5
    span = high * unit - low * unit
    return [min(1.0, max(0.0, (score * unit - low * unit) / span)) for score in scores]


def z_score(scores: Sequence[float]) -> list[float]:
    """Return (x - mean) / population standard deviation; 0 for one score or equal ones."""
    scaled = _within_one(scores)
    if not scaled or min(scaled) == max(scaled):
        return [0.0] * len(scaled)
    mean = math.fsum(scaled) / len(scaled)
    deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in scaled) / len(scaled))
    return [(x - mean) / deviation if deviation else 0.0 for x in scaled]


def softmax(scores: Sequence[float]) -> list[float]:
    """Return exp(x) / sum of exp: positive, summing to 1; shifted by the maximum for safety."""
    top = max(scores, default=0.0)
    powers = [math.exp(score - top) for score in scores]
    total = math.fsum(powers)
    return [power / total for power in powers]


def l2(scores: Sequence[float]) -> list[float]:
    """Return x divided by the Euclidean length of all scores; 0 where that is 0."""
    scaled = _within_one(scores)
    length = math.hypot(*scaled)
    return [x / length if length else 0.0 for x in scaled]


def _within_one(scores: Sequence[float]) -> list[float]:
    """Return the scores divided by the largest magnitude: squares then neither over- nor
    underflow, and neither z-scores nor directions change."""
    largest = max((abs(score) for score in scores), default=0.0)
    return [score / largest if largest else 0.0 for score in scores]
