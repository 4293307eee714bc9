"""The embedded engine: the exact top k at the speed of int8, proven for every answer."""

from collections.abc import Callable

import numpy as np

from core.ports.vectors import TopK, VectorBlock
from core.search.crew import Crew, Effort
from core.search.passes import Search
from core.search.requests import check_request
from core.search.scan import Selection
from core.types import Float32, Mask, UInt8


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
        if found and len(queries):
            search = Search(block, queries, found, selection, Effort(self._crew, stop))
            rows[:, :found], scores[:, :found] = search.run()
        return TopK(rows, scores, np.ones(len(queries), np.bool_), selection.count)
