"""What a scan needs to know about every pair: numbers that provably enclose its rank."""

from typing import Protocol

import numpy as np

from core.arrays import Float64, Int64
from core.search.pairs import Pairs
from core.types import Metric

# A block's rows: one run, or chosen ones.
Rows = slice | Int64

_EPSILON = 2.0**-53


class Bounds(Protocol):
    """Encloses the *key* of every (query, row): larger key, better score.

    The key of a float metric is the real number q·x (of unit vectors for cosine) or
    q·x - ‖x‖²/2 for euclidean, where ‖q - x‖² = ‖q‖² - 2 key; of Hamming, minus the distance.
    Instances are used by several threads at once.
    """

    query_count: int
    block_rows: int  # how many rows to ask about at a time

    def bracket(self, rows: Rows) -> tuple[Float64, Float64]:
        """Return lower and upper bounds (b, q) of all pairs of these rows."""
        ...

    def survivors(self, rows: Rows, thresholds: Float64) -> Pairs:
        """Return every pair whose upper bound reaches its query's threshold (q,).

        +inf means that no pair of that query is wanted.
        """
        ...


def rounding_slack(dimension: int, unit: float) -> float:
    """Return c such that a computed key is within c · (‖q‖‖x‖ [+ ‖x‖²]) of the real one.

    A sum of d products, in any order, with or without fused multiply-add, is within
    γ_d Σ|q_i x_i| ≤ γ_d ‖q‖‖x‖ of the real dot product, γ_d = d·u / (1 - d·u) with unit
    roundoff u (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1).
    Computed norms add γ_d/2 each and scaling by them a few u; 4 (d + 16) u covers the sum of
    these with room to spare as long as d·u < 1/4. The float64 of `exact_scores` differs from
    the real score by less than 4 (d + 16) 2⁻⁵³ in the same measure, which is added too, so
    that keys can be compared with exact scores.
    """
    return 4.0 * (dimension + 16) * (unit + _EPSILON)


def score_ceiling(upper: Float64, squares: Float64, slack: float, metric: Metric) -> Float64:
    """Return what the exact score of pairs cannot exceed, from upper bounds of their keys.

    `squares` (m,) are ‖q‖² of the pairs' queries, lowered here by the rounding (`slack`, from
    `rounding_slack`) of themselves and of the exact score's own sum, which is relative to
    ‖q - x‖² ≤ 2 (‖q‖² + ‖x‖²); the share of ‖x‖² is already in the bounds.
    """
    if metric != "euclidean":
        return upper
    distances = np.sqrt(np.maximum(squares * (1.0 - 4.0 * slack) - 2.0 * upper, 0.0))
    return np.asarray((1.0 + 8 * _EPSILON) / (1.0 + distances))


def relax_thresholds(
    thresholds: Float64, squares: Float64, slack: float, metric: Metric
) -> Float64:
    """Return thresholds (q,) that a key must reach for its *score* to reach the old ones' scores.

    Scores of dot and cosine are keys. A euclidean score 1 / (1 + D) is rounded: distances up to
    D + w, w = 8·2⁻⁵³(1 + D), can share the score of D, and then the smaller row wins. In keys
    that is D·w + w²/2 lower, with D² = ‖q‖² - 2 key rounded up.
    """
    if metric != "euclidean":
        return thresholds
    spread = 4.0 * slack * squares
    distances = np.sqrt(np.maximum(squares + spread - 2.0 * thresholds, 0.0))
    widths = 8 * _EPSILON * (1.0 + distances)
    return thresholds - spread - (distances * widths + np.square(widths))


def row_indices(rows: Rows) -> Int64:
    """Return the row numbers (b,) of a block."""
    return np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
