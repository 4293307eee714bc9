"""Bounds from the float vectors themselves: for small blocks, gathered rows, and hard queries."""

from typing import Any

import numpy as np

from core.arrays import Float32, Float64
from core.search.bounds import Rows, rounding_slack, row_indices
from core.search.pairs import Pairs
from core.types import Metric

# Within these norms nothing in a float32 product overflows, and what underflows is far below
# the rounding slack; beyond them float64 is used, where neither can happen.
_LEAST_NORM = 1e-10
_MOST_NORM = 1e15
_BLOCK_ELEMENTS = 1 << 20

Keys = np.ndarray[Any, np.dtype[np.floating[Any]]]


class PlainBounds:
    """Brackets keys by a matrix product in float32 plus its proven rounding slack.

    The slack is `rounding_slack` · (‖q‖‖x‖, for euclidean ‖q‖‖x‖ + ‖x‖²), whatever order and
    instructions the BLAS chose.
    """

    def __init__(self, originals: Float32, queries: Float32, metric: Metric) -> None:
        """Search `originals` (n, d) for `queries` (q, d)."""
        self._originals = originals
        self._metric = metric
        wide = queries.astype(np.float64)
        norms = np.sqrt(np.square(wide).sum(axis=1))
        self._narrow_queries = bool(np.all((norms > _LEAST_NORM) & (norms < _MOST_NORM)))
        if metric == "cosine":
            np.divide(wide, norms[:, None], out=wide, where=norms[:, None] > 0.0)
            norms = (norms > 0.0).astype(np.float64)
        self._norms = norms
        self._wide = wide.T
        self._narrow = wide.T.astype(np.float32) if self._narrow_queries else None
        self.query_count = len(queries)
        self.block_rows = max(256, _BLOCK_ELEMENTS // max(1, queries.shape[1]))

    def bracket(self, rows: Rows) -> tuple[Float64, Float64]:
        """See `Bounds`."""
        keys, norms, slack = self._keys(rows)
        errors = self._errors(norms[:, None], self._norms, slack)
        return keys - errors, keys + errors

    def survivors(self, rows: Rows, thresholds: Float64) -> Pairs:
        """See `Bounds`."""
        keys, norms, slack = self._keys(rows)
        largest = norms.max(initial=0.0, keepdims=True)
        floors = thresholds - self._errors(largest, self._norms, slack) * 1.001
        with np.errstate(over="ignore"):
            floors = np.nextafter(floors.astype(keys.dtype), -np.inf, dtype=keys.dtype)
        flat = np.flatnonzero(keys >= floors)
        places, queries = np.divmod(flat, self.query_count)
        found = keys.reshape(-1)[flat].astype(np.float64)
        errors = self._errors(norms[places], self._norms[queries], slack)
        pairs = Pairs(queries, row_indices(rows)[places], found - errors, found + errors)
        return pairs.keep(pairs.upper >= thresholds[queries])

    def _keys(self, rows: Rows) -> tuple[Keys, Float64, float]:
        """Return keys (b, q), row norms (b,) and the slack that fits their precision."""
        block = self._originals[rows]
        with np.errstate(over="ignore", under="ignore"):
            squares = np.asarray(np.einsum("ij,ij->i", block, block))
        if self._narrow is not None and _is_narrow(block, squares):
            return self._finish(block @ self._narrow, squares, 2.0**-24)
        wide = block.astype(np.float64)
        return self._finish(wide @ self._wide, np.square(wide).sum(axis=1), 2.0**-53)

    def _finish(self, keys: Keys, squares: Keys, unit: float) -> tuple[Keys, Float64, float]:
        norms = np.sqrt(squares)
        if self._metric == "cosine":
            inverse = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0.0)
            keys *= inverse[:, None]
            norms = (norms > 0.0).astype(norms.dtype)
        elif self._metric == "euclidean":
            keys -= (squares * squares.dtype.type(0.5))[:, None]
        slack = rounding_slack(self._originals.shape[1], unit)
        # Float32 norms are themselves within their slack: widen what is multiplied by them.
        return keys, norms.astype(np.float64) * (1.0 + slack), slack

    def _errors(self, rows: Float64, queries: Float64, slack: float) -> Float64:
        if self._metric != "euclidean":
            return slack * (rows * queries)
        return slack * (rows * queries + np.square(rows))


def _is_narrow(block: Float32, squares: Keys) -> bool:
    """Say whether every row's norm is zero or within the range where float32 is safe."""
    inside = (squares > _LEAST_NORM**2) & (squares < _MOST_NORM**2)
    if inside.all():
        return True
    outside = block[~inside]
    return not bool(outside.any())
