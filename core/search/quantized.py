"""Bounds from int8 codes: the fast first pass of a float search, and why it loses nothing."""

from typing import Any

import numpy as np

from core.arrays import Float32, Float64, Mask
from core.ports.vectors import Codes
from core.search.bounds import Rows, rounding_slack
from core.search.codes import LEVELS
from core.search.pairs import Pairs
from core.search.products import Int8Product
from core.types import Metric

_WIDEN = 1.0 + 2.0**-40  # rounding of the bounds' own float64 arithmetic, many times over


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
        codes = self._codes
        dots = self._product.compute(self._values(rows))[:, : self.query_count].astype(np.float64)
        residuals, norms = (
            codes.residuals[rows].astype(np.float64),
            codes.norms[rows].astype(np.float64),
        )
        dots *= codes.scales[rows].astype(np.float64)[:, None]
        dots *= self._scales
        return self._enclose(
            dots,
            norms[:, None] * self._per_norm + residuals[:, None] * self._per_residual,
            norms[:, None],
        )

    def survivors(self, rows: Rows, thresholds: Float64) -> Pairs:
        """See `Bounds`: one integer comparison per pair, then float64 for the few that pass."""
        codes = self._codes
        needs = self._needs(rows, thresholds)
        scales = codes.scales[rows]
        places, queries, dots = self._product.find_above(
            self._values(rows),
            self._floors(scales, needs),
            lambda product: self._reach(product, scales, needs),
        )
        norms = codes.norms[rows][places].astype(np.float64)
        residuals = codes.residuals[rows][places].astype(np.float64)
        dots *= scales[places].astype(np.float64) * self._scales[queries]
        errors = norms * self._per_norm[queries] + residuals * self._per_residual[queries]
        lower, upper = self._enclose(dots, errors, norms)
        kept = np.flatnonzero(upper >= thresholds[queries])
        numbers = rows.start + places[kept] if isinstance(rows, slice) else rows[places[kept]]
        return Pairs(queries[kept], numbers, lower[kept], upper[kept])

    def _values(self, rows: Rows) -> "np.typing.NDArray[np.int8]":
        return np.ascontiguousarray(self._codes.values[rows])

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

    def _needs(self, rows: Rows, thresholds: Float64) -> Float64:
        """Return per query what s_i A must reach (q,) for any of the rows to pass.

        upper = s_i S_j A + errors ≥ T_j needs s_i A ≥ (T_j - the block's largest errors) / S_j.
        """
        codes = self._codes
        norms = codes.norms[rows]
        norm, residual = float(norms.max()), float(codes.residuals[rows].max())
        need = thresholds - (norm * self._per_norm + residual * self._per_residual) * _WIDEN**2
        if self._euclidean:
            need += self._half_squares(norms.astype(np.float64))[0].min()
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            need /= self._scales
        return _lower(need, 2.0**-20)

    def _floors(self, scales: Float32, needs: Float64) -> Float64:
        """Return per query the smallest whole A (q,) with which any of the rows may pass.

        A ≥ need / s_i for some i: the largest s_i if need > 0, else the smallest.
        """
        scale = np.where(needs > 0.0, abs(float(scales.max())), abs(float(scales.min())))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.asarray(np.floor(_lower(needs / scale, 2.0**-30)))

    def _reach(self, product: Any, scales: Float32, needs: Float64) -> Mask:
        """Say which products (b, width) reach their need with their own row's scale, in float32.

        A and s_i A are rounded by 2⁻²⁴ each, or to the next 2⁻¹⁴⁹; `needs` are 2⁻²⁰ too low
        already, and are lowered by the latter here.
        """
        with np.errstate(over="ignore"):
            floors = np.full(product.shape[1], np.inf, np.float32)
            floors[: self.query_count] = np.nextafter(
                (needs - 2.0**-148).astype(np.float32), np.float32(-np.inf)
            )
            scaled = np.multiply(product, scales[:, None], dtype=np.float32, casting="unsafe")
        return np.asarray(scaled >= floors)


def _lower(values: Float64, share: float) -> Float64:
    """Return values lowered by a share of themselves; 0 / 0, where nothing is known, by all."""
    lowered = np.where(values > 0.0, values * (1.0 - share), values * (1.0 + share))
    return np.where(np.isnan(values), -np.inf, lowered)
