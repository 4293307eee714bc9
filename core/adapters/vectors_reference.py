"""Vector search by comparing everything with everything: slow, small, and obviously right."""

from collections.abc import Callable

import numpy as np

from core.arrays import Float32, Mask, UInt8
from core.errors import DeadlineError
from core.ports.vectors import TopK, VectorBlock
from core.search.requests import check_request
from core.search.scores import exact_scores


class ReferenceVectors:
    """The port in a dozen lines: what `EmbeddedVectors` must always agree with."""

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
        allowed = np.arange(len(block.originals)) if mask is None else np.flatnonzero(mask)
        rows = np.full((len(queries), k), -1, np.int64)
        scores = np.full((len(queries), k), -np.inf)
        for index, query in enumerate(queries):
            if stop():
                raise DeadlineError("time ran out during a vector search")
            found = exact_scores(query, block.originals[allowed], block.metric, block.dimension)
            best = np.lexsort((allowed, -found))[:k]
            rows[index, : len(best)] = allowed[best]
            scores[index, : len(best)] = found[best]
        return TopK(rows, scores, np.ones(len(queries), np.bool_), len(allowed))
