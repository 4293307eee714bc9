"""The journey of one search: int8 bounds, float bounds, every row, until all is proven."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from core.arrays import Float32, Float64, Int64, Mask, UInt8
from core.ports.vectors import Codes, VectorBlock
from core.search.bounds import Bounds, relax_thresholds, rounding_slack
from core.search.codes import MAX_DIMENSION
from core.search.crew import Effort
from core.search.hamming import HammingBounds
from core.search.pairs import fill_top
from core.search.plain import PlainBounds
from core.search.products import load_numkong
from core.search.quantized import QuantizedBounds
from core.search.rescoring import rescore_pairs, score_all
from core.search.scan import Selection, scan_rows

# Fewer allowed rows than this are compared by their float vectors at once.
_FEW_ROWS = 256
# Candidates per query beyond which a pass gives up: with int8 bounds, float bounds are tighter;
# with those, scoring every row once is cheaper than gathering so many pairs.
_LEAST_LIMIT = 4096
_CODES_SHARE = 32
_FLOAT_SHARE = 4


@dataclass(frozen=True, slots=True)
class Search:
    """One call; `k` is at least 1 and at most the number of selected rows."""

    block: VectorBlock
    queries: Float32 | UInt8  # (q, d)
    k: int
    selection: Selection
    effort: Effort

    def run(self) -> tuple[Int64, Float64]:
        """Return the top rows and scores (q, k), both proven."""
        rows = np.tile(self.selection.first(self.k), (len(self.queries), 1))
        scores = np.zeros((len(self.queries), self.k))
        pending = self._undecided()
        for answer in self._passes():
            if not len(pending):
                break
            found = answer(self.queries[pending])
            decided = pending[~found.crowded]
            rows[decided] = found.rows[~found.crowded]
            scores[decided] = found.scores[~found.crowded]
            pending = pending[found.crowded]
        for index in pending:
            rows[index], scores[index] = score_all(
                self.block, self.queries[index], self.selection, self.k, self.effort
            )
        return rows, scores

    def _undecided(self) -> Int64:
        """Return the queries to search for; a zero vector scores 0 with every row, in order."""
        if self.block.metric in ("cosine", "dot"):
            return np.flatnonzero(self.queries.any(axis=1))
        return np.arange(len(self.queries))

    def _passes(self) -> "list[Callable[[Any], _Found]]":
        if self.block.metric == "hamming":
            return [self._search_bits]
        codes = self.block.codes
        usable = codes is not None and load_numkong() is not None
        if usable and self.selection.count > _FEW_ROWS and self.block.dimension <= MAX_DIMENSION:
            return [self._search_codes, self._search_floats]
        return [self._search_floats]

    def _search_bits(self, queries: UInt8) -> "_Found":
        bounds = HammingBounds(cast(UInt8, self.block.originals), queries)
        limit = self._limit(_CODES_SHARE)
        scanned = scan_rows(
            bounds, self.selection, self.k, self.effort, relax=lambda keys: keys, limit=limit
        )
        pairs = scanned.pairs
        # Keys are minus the distances: the formula of `exact_scores`, hence the same bits.
        scores = 1.0 - (-pairs.lower) / self.block.dimension
        top = fill_top(pairs.queries, pairs.rows, scores, len(queries), self.k)
        return _Found(*top, scanned.crowded)

    def _search_codes(self, queries: Float32) -> "_Found":
        codes = cast(Codes, self.block.codes)
        bounds = QuantizedBounds(codes, queries, self.block.metric)
        return self._search_bounds(bounds, queries, self._limit(_CODES_SHARE))

    def _search_floats(self, queries: Float32) -> "_Found":
        bounds = PlainBounds(cast(Float32, self.block.originals), queries, self.block.metric)
        return self._search_bounds(bounds, queries, self._limit(_FLOAT_SHARE))

    def _search_bounds(self, bounds: Bounds, queries: Float32, limit: int) -> "_Found":
        metric = self.block.metric
        slack = rounding_slack(self.block.dimension, 0.0)
        squares = np.square(queries.astype(np.float64)).sum(axis=1)
        scanned = scan_rows(
            bounds,
            self.selection,
            self.k,
            self.effort,
            relax=lambda keys: relax_thresholds(keys, squares, slack, metric),
            limit=limit,
        )
        top = rescore_pairs(scanned.pairs, self.block, queries, self.k, self.effort)
        return _Found(*top, scanned.crowded)

    def _limit(self, share: int) -> int:
        return max(_LEAST_LIMIT, 16 * self.k, self.selection.count // share)


@dataclass(frozen=True, slots=True)
class _Found:
    """The answers of one pass; those of crowded queries are none."""

    rows: Int64  # (q, k)
    scores: Float64  # (q, k)
    crowded: Mask  # (q,)
