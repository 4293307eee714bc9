"""Candidate (query, row) pairs of a scan, and how the best of each query are picked from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.arrays import Float64, Int64, Mask


@dataclass(frozen=True, slots=True)
class Pairs:
    """m candidate pairs. `lower` and `upper` enclose what ranks the pair: see `Bounds`."""

    queries: Int64  # (m,)
    rows: Int64  # (m,)
    lower: Float64  # (m,)
    upper: Float64  # (m,)

    def keep(self, choice: Mask | Int64) -> "Pairs":
        """Return the chosen pairs, in that order."""
        return Pairs(
            self.queries[choice], self.rows[choice], self.lower[choice], self.upper[choice]
        )

    def __len__(self) -> int:
        return len(self.rows)


def join_pairs(parts: Sequence[Pairs]) -> Pairs:
    """Return all pairs of all parts."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        nothing = np.zeros(0, np.int64)
        return Pairs(nothing, nothing, np.zeros(0), np.zeros(0))
    return Pairs(
        np.concatenate([part.queries for part in parts]),
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.lower for part in parts]),
        np.concatenate([part.upper for part in parts]),
    )


def pick_best(queries: Int64, rows: Int64, values: Float64, k: int) -> tuple[Int64, Int64]:
    """Return the positions of each query's k best pairs, and their ranks from 0.

    Best is the largest value, then the smallest row. Positions are grouped by query.
    """
    query_count = int(queries.max(initial=-1)) + 1
    reach = kth_best(queries, values, query_count, k)
    hopeful = np.flatnonzero(values >= reach[queries])
    order = hopeful[np.lexsort((rows[hopeful], -values[hopeful], queries[hopeful]))]
    grouped = queries[order]
    ranks = np.arange(len(order)) - np.searchsorted(grouped, grouped)
    kept = ranks < k
    return order[kept], ranks[kept]


def kth_best(queries: Int64, values: Float64, query_count: int, k: int) -> Float64:
    """Return each query's k-th largest value (query_count,), -inf where it has fewer."""
    # Values first, then a stable (radix) sort of small numbers: much faster than lexsort.
    order = np.argsort(-values)
    small = np.uint16 if query_count <= 1 << 16 else np.int64
    order = order[np.argsort(queries[order].astype(small), kind="stable")]
    edges = np.searchsorted(queries[order], np.arange(query_count + 1))
    places = edges[:-1] + (k - 1)
    best = np.full(query_count, -np.inf)
    enough = places < edges[1:]
    best[enough] = values[order[places[enough]]]
    return best


def fill_top(
    queries: Int64, rows: Int64, values: Float64, query_count: int, k: int
) -> tuple[Int64, Float64]:
    """Return rows and values (query_count, k) of the best pairs; gaps hold -1 and -inf."""
    positions, ranks = pick_best(queries, rows, values, k)
    top_rows = np.full((query_count, k), -1, np.int64)
    top_values = np.full((query_count, k), -np.inf)
    top_rows[queries[positions], ranks] = rows[positions]
    top_values[queries[positions], ranks] = values[positions]
    return top_rows, top_values
