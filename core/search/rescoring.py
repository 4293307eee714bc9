"""From candidates to the answer: exact scores for as few pairs as the proof needs."""

import numpy as np

from core.arrays import Float32, Float64, Int64, UInt8
from core.ports.vectors import VectorBlock
from core.search.bounds import rounding_slack, score_ceiling
from core.search.crew import Effort
from core.search.pairs import Pairs, fill_top, kth_best, pick_best
from core.search.scan import Selection
from core.search.scores import exact_scores, pair_scores

_ROWS_PER_TASK = 1024
_EXHAUSTIVE_ROWS = 1 << 14


def rescore_pairs(
    pairs: Pairs,
    block: VectorBlock,
    queries: Float32,
    k: int,
    effort: Effort,
) -> tuple[Int64, Float64]:
    """Return the top k (q, k) rows and exact scores of queries (q, d), given candidate pairs.

    The k best by their bounds' middle are scored first; with t the worst of these, every other
    pair whose score could still reach t is scored too. No other row can be in the top k: the
    pairs left out are proven below t, and those that the scan left out were below the k-th.
    """

    def score(chosen: Pairs) -> Float64:
        tasks = [slice(at, at + _ROWS_PER_TASK) for at in range(0, len(chosen), _ROWS_PER_TASK)]
        scores = np.empty(len(chosen))

        def work(part: slice) -> None:
            scores[part] = pair_scores(
                queries,
                chosen.queries[part],
                block.originals[chosen.rows[part]],
                block.metric,
                block.dimension,
            )

        effort.run(tasks, work)
        return scores

    middle = 0.5 * (pairs.lower + pairs.upper)
    positions, _ = pick_best(pairs.queries, pairs.rows, middle, k)
    first = pairs.keep(positions)
    first_scores = score(first)
    reach = kth_best(first.queries, first_scores, len(queries), k)
    left = np.ones(len(pairs), np.bool_)
    left[positions] = False
    others = pairs.keep(left)
    squares = np.square(queries.astype(np.float64)).sum(axis=1)
    slack = rounding_slack(block.dimension, 0.0)
    ceilings = score_ceiling(others.upper, squares[others.queries], slack, block.metric)
    others = others.keep(ceilings >= reach[others.queries])
    return fill_top(
        np.concatenate([first.queries, others.queries]),
        np.concatenate([first.rows, others.rows]),
        np.concatenate([first_scores, score(others)]),
        len(queries),
        k,
    )


def score_all(
    block: VectorBlock,
    query: Float32 | UInt8,
    selection: Selection,
    k: int,
    effort: Effort,
) -> tuple[Int64, Float64]:
    """Return the top k rows and scores of one query by scoring every allowed row.

    For queries with more near-ties than bounds can tell apart.
    """

    def work(rows: slice | Int64) -> tuple[Int64, Float64]:
        if isinstance(rows, slice):
            rows = np.arange(rows.start, rows.stop)
        if selection.mask is not None:
            rows = rows[selection.mask[rows]]
        scores = exact_scores(query, block.originals[rows], block.metric, block.dimension)
        return _best_of(rows, scores, k)

    step = max(256, min(_EXHAUSTIVE_ROWS, (1 << 20) // max(1, block.dimension)))
    parts = effort.run(selection.blocks(step), work)
    rows, scores = _best_of(
        np.concatenate([part[0] for part in parts]),
        np.concatenate([part[1] for part in parts]),
        k,
    )
    return rows, scores


def _best_of(rows: Int64, scores: Float64, k: int) -> tuple[Int64, Float64]:
    positions, _ = pick_best(np.zeros(len(rows), np.int64), rows, scores, k)
    return rows[positions], scores[positions]
