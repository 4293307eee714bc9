"""One pass over a block's rows that keeps, for every query, a proven superset of its top k."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from core.arrays import Float64, Int64, Mask
from core.search.bounds import Bounds, Rows, row_indices
from core.search.crew import Effort
from core.search.pairs import Pairs, join_pairs, kth_best

# Rows looked at first, spread evenly, to start with a threshold that is nearly right.
_SAMPLE = 2048
_MOST_SAMPLE = 16_384
# Of every so many blocks one is scanned before the thresholds are raised again.
_STRIDES = (64, 16, 4, 1)
# Below this share of rows allowed, gathering them costs less than scanning all and dropping.
_GATHER_BELOW = 0.4


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows to compare with: all of `row_count`, or those where `mask` is true."""

    row_count: int
    mask: Mask | None
    count: int

    @classmethod
    def of(cls, row_count: int, mask: Mask | None) -> "Selection":
        """Count the rows of a mask (n,); a full mask is no mask."""
        count = row_count if mask is None else int(np.count_nonzero(mask))
        return cls(row_count, None if count == row_count else mask, count)

    def spread(self, wanted: int) -> Rows:
        """Return about `wanted` allowed rows, evenly spread; all of them if there are not many."""
        step = self.count // wanted if self.count >= 2 * wanted else 1
        if self.mask is None:
            if step == 1:
                return slice(0, self.row_count)
            return np.arange(0, self.row_count, step)
        return np.flatnonzero(self.mask)[::step]

    def first(self, wanted: int) -> Int64:
        """Return the first allowed rows."""
        if self.mask is None:
            return np.arange(min(wanted, self.row_count))
        return np.flatnonzero(self.mask)[:wanted]

    def blocks(self, size: int) -> list[Rows]:
        """Return the rows in blocks; runs may hold rows that `allows` drops again."""
        if self.mask is not None and self.count < _GATHER_BELOW * self.row_count:
            chosen = np.flatnonzero(self.mask)
            return [chosen[start : start + size] for start in range(0, len(chosen), size)]
        edges = range(0, self.row_count, size)
        runs = [slice(start, min(start + size, self.row_count)) for start in edges]
        if self.mask is None:
            return list(runs)
        return [run for run in runs if self.mask[run].any()]

    def restrict(self, pairs: Pairs) -> Pairs:
        """Drop the pairs of rows that are not allowed."""
        return pairs if self.mask is None else pairs.keep(self.mask[pairs.rows])


@dataclass(frozen=True, slots=True)
class Scanned:
    """Every pair that may be in a top k, and the queries (q,) given up because of too many."""

    pairs: Pairs
    crowded: Mask


def scan_rows(
    bounds: Bounds,
    selection: Selection,
    k: int,
    effort: Effort,
    *,
    relax: Callable[[Float64], Float64],
    limit: int,
) -> Scanned:
    """Scan with a running threshold per query: the k-th largest lower bound found so far.

    A pair whose upper bound is below the lower bounds of k others is in no top k; `relax` lowers
    a threshold for scores that rounding makes equal. The first blocks are spread over all rows,
    so that sorted data does not keep the threshold low for long. A query with more than `limit`
    candidates is crowded: it has no pairs in the answer and must be searched in another way.
    """
    crowded = np.zeros(bounds.query_count, np.bool_)
    sample = selection.spread(min(max(_SAMPLE, 8 * k), _MOST_SAMPLE))
    [(lower, upper)] = effort.run([sample], bounds.bracket)
    thresholds = relax(_kth_of_matrix(lower, k))
    if len(lower) == selection.count:
        return Scanned(_reaching(row_indices(sample), lower, upper, thresholds), crowded)
    blocks = selection.blocks(bounds.block_rows)
    kept: list[Pairs] = []
    lock = threading.Lock()
    for wave in _waves(blocks):
        reach = np.where(crowded, np.inf, thresholds)
        counts = np.zeros(bounds.query_count, np.int64)

        def look(rows: Rows, reach: Float64 = reach, counts: Int64 = counts) -> Pairs:
            wanted = np.where(counts > limit, np.inf, reach)
            found = selection.restrict(bounds.survivors(rows, wanted))
            # numpy adds long arrays without the interpreter's lock. A lost addition could bring a
            # count back under the limit after another thread left pairs out because of it.
            with lock:
                counts.__iadd__(np.bincount(found.queries, minlength=len(counts)))
            return found

        kept.extend(effort.run(wave, look))
        crowded |= counts > limit
        pairs = join_pairs(kept)
        best = kth_best(pairs.queries, pairs.lower, bounds.query_count, k)
        thresholds = np.maximum(thresholds, relax(best))
        pairs = pairs.keep((pairs.upper >= thresholds[pairs.queries]) & ~crowded[pairs.queries])
        kept = [pairs]
    pairs = join_pairs(kept)
    crowded |= np.bincount(pairs.queries, minlength=bounds.query_count) > limit
    return Scanned(pairs.keep(~crowded[pairs.queries]), crowded)


def _waves(blocks: list[Rows]) -> list[list[Rows]]:
    waves = []
    seen: set[int] = set()
    for stride in _STRIDES:
        places = [place for place in range(0, len(blocks), stride) if place not in seen]
        seen.update(places)
        if places:
            waves.append([blocks[place] for place in places])
    return waves


def _kth_of_matrix(lower: Float64, k: int) -> Float64:
    """Return the k-th largest of each column (b, q), -inf if there are fewer than k rows."""
    count = len(lower)
    if count < k:
        return np.full(lower.shape[1], -np.inf)
    columns = np.ascontiguousarray(lower.T)
    return np.asarray(np.partition(columns, count - k, axis=1)[:, count - k])


def _reaching(rows: Int64, lower: Float64, upper: Float64, thresholds: Float64) -> Pairs:
    places, queries = np.nonzero(upper >= thresholds)
    return Pairs(queries, rows[places], lower[places, queries], upper[places, queries])
