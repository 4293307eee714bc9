"""The embedded engine: the exact top k at the speed of int8, proven for every answer."""

from collections.abc import Callable

import numpy as np

from core.arrays import Float32, Mask, UInt8
from core.ports.vectors import TopK, VectorBlock
from core.search.crew import Crew, Effort
from core.search.passes import Search
from core.search.requests import check_request
from core.search.scan import Selection

# Candidates that a pass may hold at once, some 100 bytes each while they are sorted out.
_MOST_CANDIDATES = 1 << 22


class EmbeddedVectors:
    """All queries of a call go through the rows in one pass; `core/search/` holds the parts.

    What int8 bounds cannot decide is searched with float bounds, and what these cannot, by
    scoring every row: so every answer is proven, and `exact` is always true.
    """

    def __init__(self, threads: int | None = None) -> None:
        """Use `threads` threads for each search, one per CPU by default."""
        self._crew = Crew(threads)

    def close(self) -> None:
        """End the threads."""
        self._crew.close()

    def search(
        self,
        block: VectorBlock,
        queries: Float32 | UInt8,
        k: int,
        mask: Mask | None = None,
        *,
        stop: Callable[[], bool] = lambda: False,
    ) -> TopK:
        """See `VectorSearch`."""
        check_request(block, queries, k, mask)
        selection = Selection.of(len(block.originals), mask)
        rows = np.full((len(queries), k), -1, np.int64)
        scores = np.full((len(queries), k), -np.inf)
        found = min(k, selection.count)
        effort = Effort(self._crew, stop)
        for part in _slices(len(queries), found) if found else ():
            search = Search(block, queries[part], found, selection, effort)
            rows[part, :found], scores[part, :found] = search.run()
        return TopK(rows, scores, np.ones(len(queries), np.bool_), selection.count)


def _slices(query_count: int, k: int) -> list[slice]:
    """Return the queries in runs whose candidates fit in memory: one run, unless k is large."""
    step = max(1, _MOST_CANDIDATES // (16 * k))
    return [slice(start, start + step) for start in range(0, query_count, step)]
