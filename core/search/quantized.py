"""Bounds from int8 codes: the fast first pass of a float search, and why it loses nothing."""

import numpy as np

from core.ports.vectors import Codes
from core.search.bounds import Rows, rounding_slack, row_indices
from core.search.codes import LEVELS
from core.search.pairs import Pairs
from core.search.products import Int8Product
from core.types import Float32, Float64, Metric

_WIDEN = 1.0 + 2.0**-40  # rounding of the bounds' own float64 arithmetic, many times over
_INT32_MAX = 2.0**31 - 1


class QuantizedBounds:
    """Brackets q·x by integer products of codes.

    With q̂ and x̂ the decoded codes, q·x - q̂·x̂ = (q - q̂)·x + q̂·(x - x̂), so by Cauchy-Schwarz
    |q·x - q̂·x̂| ≤ ‖q - q̂‖‖x‖ + ‖q̂‖‖x - x̂‖. The product of the codes is an exact int32; times
    the two scales it is rounded twice in float64. The stored norms and residuals are upper
    bounds. What float64 rounds, here and in `exact_scores`, is at most
    `rounding_slack` · (‖q‖‖x‖ + ‖x‖²), which is added, and the sum is widened by 2⁻⁴⁰.
    """

    def __init__(self, codes: Codes, queries: Float32, metric: Metric) -> None:
        """Quantize `queries` (q, d) as the rows were, with float64 scales."""
        self._codes = codes
        self._euclidean = metric == "euclidean"
        wide = queries.astype(np.float64)
        norms = np.sqrt(np.square(wide).sum(axis=1))
        if metric == "cosine":
            np.divide(wide, norms[:, None], out=wide, where=norms[:, None] > 0.0)
            norms = (norms > 0.0).astype(np.float64)
        scales = np.abs(wide).max(axis=1) / LEVELS
        values = np.divide(wide, scales[:, None], out=np.zeros_like(wide), where=norms[:, None] > 0)
        np.clip(np.rint(values, out=values), -LEVELS, LEVELS, out=values)
        decoded = values * scales[:, None]
        self._slack = rounding_slack(wide.shape[1], 0.0)
        self._scales = scales
        errors = np.sqrt(np.square(wide - decoded).sum(axis=1))
        # Per ‖x‖ and per residual; the slack also covers that wide and errors are rounded.
        self._per_norm = (errors + 2.0 * self._slack * norms) * _WIDEN
        self._per_residual = (
            np.sqrt(np.square(decoded).sum(axis=1)) + self._slack * norms
        ) * _WIDEN
        self._product = Int8Product(values.astype(np.int8))
        self.query_count = len(queries)
        self.block_rows = self._product.block_rows

    def bracket(self, rows: Rows) -> tuple[Float64, Float64]:
        """See `Bounds`."""
        with self._product.borrow(self._values(rows)) as product:
            dots = product[:, : self.query_count].astype(np.float64)
        scales, residuals, norms = self._row_terms(rows)
        dots *= scales[:, None]
        dots *= self._scales
        return self._enclose(
            dots,
            norms[:, None] * self._per_norm + residuals[:, None] * self._per_residual,
            norms[:, None],
        )

    def survivors(self, rows: Rows, thresholds: Float64) -> Pairs:
        """See `Bounds`: one integer comparison per pair, then float64 for the few that pass."""
        scales, residuals, norms = self._row_terms(rows)
        floors = self._integer_floors(scales, residuals, norms, thresholds)
        with self._product.borrow(self._values(rows)) as product:
            flat = np.flatnonzero(product >= floors.astype(product.dtype))
            dots = product.reshape(-1)[flat].astype(np.float64)
        places, queries = np.divmod(flat, self._product.width)
        norms = norms[places]
        dots *= scales[places] * self._scales[queries]
        errors = norms * self._per_norm[queries] + residuals[places] * self._per_residual[queries]
        lower, upper = self._enclose(dots, errors, norms)
        found = Pairs(queries, row_indices(rows)[places], lower, upper)
        return found.keep(upper >= thresholds[queries])

    def _values(self, rows: Rows) -> "np.typing.NDArray[np.int8]":
        return np.ascontiguousarray(self._codes.values[rows])

    def _row_terms(self, rows: Rows) -> tuple[Float64, Float64, Float64]:
        codes = self._codes
        return (
            codes.scales[rows].astype(np.float64),
            codes.residuals[rows].astype(np.float64),
            codes.norms[rows].astype(np.float64),
        )

    def _enclose(self, dots: Float64, errors: Float64, norms: Float64) -> tuple[Float64, Float64]:
        """Return lower and upper keys."""
        errors = (errors + np.abs(dots) * 2.0**-50) * _WIDEN
        if not self._euclidean:
            return dots - errors, dots + errors
        low, high = self._half_squares(norms)
        return dots - errors - high, dots + errors - low

    def _half_squares(self, norms: Float64) -> tuple[Float64, Float64]:
        """Return bounds of ‖x‖²/2, its share of the slack included.

        A stored norm is above the real one by 2⁻²² of it at most, or by 2⁻¹⁴⁹ where float32 is
        subnormal.
        """
        halves = 0.5 * np.square(norms)
        spread = (self._slack + 2.0**-21) * 2.0 * halves + norms * 2.0**-148
        return halves - spread, halves + spread

    def _integer_floors(
        self, scales: Float64, residuals: Float64, norms: Float64, thresholds: Float64
    ) -> Float64:
        """Return per column the smallest product (width,) with which any of the rows may pass.

        upper = s_i S_j A + errors ≥ T_j needs s_i S_j A ≥ R_j = T_j - the block's largest errors;
        then A ≥ R_j / (s S_j) with the block's largest s_i if R_j > 0, else its smallest.
        """
        need = thresholds.copy()
        need -= (norms.max() * self._per_norm + residuals.max() * self._per_residual) * _WIDEN**2
        if self._euclidean:
            need += self._half_squares(norms)[0].min()
        need -= np.abs(need) * 2.0**-30
        scale = np.where(need > 0.0, scales.max(), scales.min()) * self._scales
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            exact = np.divide(need, scale)
        exact[np.isnan(exact)] = -np.inf
        floors = np.full(self._product.width, _INT32_MAX)
        floors[: self.query_count] = np.floor(exact - np.abs(exact) * 2.0**-30) - 1.0
        return np.asarray(np.clip(floors, -_INT32_MAX, _INT32_MAX))
