"""What a score is, to the last bit: the one definition that every engine and test goes by."""

import numpy as np

from core.arrays import Float32, Float64, Int64, UInt8
from core.types import Metric

# Rows converted to float64 at a time: three temporaries of this many rows stay in cache.
CHUNK_ELEMENTS = 1 << 15


def exact_scores(
    query: Float32 | UInt8, originals: Float32 | UInt8, metric: Metric, dimension: int
) -> Float64:
    """Return the score (m,) of one query (d,) with each row of `originals` (m, d).

    Float metrics are computed in float64, where products of float32 are exact and nothing
    overflows or underflows. A row's sum runs over that row alone, in an order fixed by d
    (numpy's pairwise sum along the contiguous axis, never a matrix product, whose order
    depends on the other rows), so a score never depends on its company. Cosine with a zero
    vector is 0. Hamming: both sides are packed bits (d = dimension / 8 bytes).
    """
    return pair_scores(query[np.newaxis], None, originals, metric, dimension)


def pair_scores(
    queries: Float32 | UInt8,
    which: Int64 | None,
    rows: Float32 | UInt8,
    metric: Metric,
    dimension: int,
) -> Float64:
    """Return the score (m,) of `rows[i]` with `queries[which[i]]`; bitwise as `exact_scores`.

    `which` is (m,); None means the first query for every row.
    """
    if metric == "hamming":
        others = queries[:1] if which is None else queries[which]
        bits = np.bitwise_count(np.bitwise_xor(rows, others)).sum(axis=1, dtype=np.int64)
        return np.asarray(1.0 - bits / dimension)
    wide = queries.astype(np.float64)
    squares = np.square(wide).sum(axis=1)
    scores = np.empty(len(rows), np.float64)
    step = max(1, CHUNK_ELEMENTS // max(1, dimension))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        chosen = np.zeros(1, np.int64) if which is None else which[part]
        scores[part] = _chunk_scores(wide[chosen], squares[chosen], rows[part], metric)
    return scores


def _chunk_scores(
    queries: Float64, squares: Float64, rows: Float32 | UInt8, metric: Metric
) -> Float64:
    wide = np.array(rows, dtype=np.float64, order="C")
    if metric == "euclidean":
        np.subtract(queries, wide, out=wide)
        distances = np.sqrt(np.square(wide, out=wide).sum(axis=1))
        return np.asarray(1.0 / (1.0 + distances))
    dots = np.asarray((queries * wide).sum(axis=1))
    if metric == "cosine":
        # One root of the product, not a product of roots: a vector with itself is exactly 1.
        norms = np.sqrt(squares * np.square(wide, out=wide).sum(axis=1))
        dots = np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 0.0)
        np.clip(dots, -1.0, 1.0, out=dots)
    return np.asarray(dots + 0.0)  # -0.0 and 0.0 must not differ in bits
