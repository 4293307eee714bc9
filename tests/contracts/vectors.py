"""What every vectors adapter must do; each adapter's test inherits this class."""

import math
from typing import Any

import numpy as np
import pytest

from core.errors import DeadlineError, InvalidRequestError
from core.ports.vectors import VectorBlock, VectorSearch
from core.search.codes import encode
from core.types import Metric

METRICS: tuple[Metric, ...] = ("cosine", "dot", "euclidean", "hamming")


def make_vectors(metric: Metric, count: int, dimension: int, seed: int = 0) -> Any:
    """Return seeded vectors (count, dimension), packed for Hamming."""
    rng = np.random.default_rng(seed)
    if metric == "hamming":
        return rng.integers(0, 256, (count, dimension // 8), dtype=np.uint8)
    return rng.standard_normal((count, dimension), dtype=np.float32)


def make_block(metric: Metric, vectors: Any, *, codes: bool = True) -> VectorBlock:
    """Return a block of these vectors, quantized if asked."""
    dimension = vectors.shape[1] * (8 if metric == "hamming" else 1)
    return VectorBlock(metric, dimension, vectors, encode(vectors, metric) if codes else None)


def independent_score(metric: Metric, query: Any, row: Any) -> float:
    """Return a score by exact summation in pure Python, sharing nothing with the engines."""
    if metric == "hamming":
        pairs = zip(query.tolist(), row.tolist(), strict=True)
        bits: int = sum((a ^ b).bit_count() for a, b in pairs)
        return 1.0 - bits / (8 * len(row))
    left, right = [float(x) for x in query], [float(x) for x in row]
    if metric == "euclidean":
        return 1.0 / (1.0 + math.dist(left, right))
    product: float = math.fsum(a * b for a, b in zip(left, right, strict=True))
    if metric == "dot":
        return product
    norms: float = math.sqrt(math.fsum(a * a for a in left)) * math.sqrt(
        math.fsum(b * b for b in right)
    )
    return product / norms if norms else 0.0


class VectorsContract:
    """Inherit and give `engine`."""

    @pytest.fixture
    def engine(self) -> VectorSearch:
        raise NotImplementedError

    @pytest.mark.parametrize("metric", METRICS)
    def test_scores_and_order_are_those_of_an_independent_comparison(
        self, engine: VectorSearch, metric: Metric
    ) -> None:
        vectors = make_vectors(metric, 400, 40)
        queries = make_vectors(metric, 5, 40, seed=1)
        top = engine.search(make_block(metric, vectors), queries, 7)
        for index, query in enumerate(queries):
            scores = [independent_score(metric, query, row) for row in vectors]
            order = sorted(range(len(scores)), key=lambda row: (-scores[row], row))[:7]
            assert top.rows[index].tolist() == order
            assert top.scores[index] == pytest.approx([scores[row] for row in order], rel=1e-12)
        assert top.exact.all()
        assert top.compared == 400

    @pytest.mark.parametrize("metric", METRICS)
    def test_equal_scores_come_in_row_order(self, engine: VectorSearch, metric: Metric) -> None:
        vectors = np.repeat(make_vectors(metric, 3, 16), 200, axis=0)
        top = engine.search(make_block(metric, vectors), vectors[[250]], 5)
        assert top.rows.tolist() == [[200, 201, 202, 203, 204]]
        assert len(set(top.scores[0].tolist())) == 1

    @pytest.mark.parametrize("metric", METRICS)
    def test_only_masked_rows_are_compared(self, engine: VectorSearch, metric: Metric) -> None:
        vectors = make_vectors(metric, 600, 32)
        mask = np.zeros(600, np.bool_)
        mask[[3, 77, 500]] = True
        top = engine.search(make_block(metric, vectors), vectors[:2], 5, mask)
        assert top.compared == 3
        assert sorted(top.rows[0].tolist()) == [-1, -1, 3, 77, 500]
        assert top.rows[0, 3:].tolist() == [-1, -1]
        assert top.scores[0, 3:].tolist() == [-math.inf, -math.inf]

    @pytest.mark.parametrize("metric", METRICS)
    def test_nothing_to_find_is_an_empty_answer(self, engine: VectorSearch, metric: Metric) -> None:
        vectors = make_vectors(metric, 10, 16)
        block = make_block(metric, vectors)
        nothing = engine.search(block, vectors[:2], 3, np.zeros(10, np.bool_))
        assert nothing.rows.tolist() == [[-1] * 3] * 2
        assert nothing.compared == 0
        assert nothing.exact.tolist() == [True, True]
        assert engine.search(block, vectors[:0], 3).rows.shape == (0, 3)
        assert engine.search(block, vectors[:2], 0).rows.shape == (2, 0)
        empty = engine.search(make_block(metric, vectors[:0]), vectors[:2], 3)
        assert empty.rows.tolist() == [[-1] * 3] * 2

    @pytest.mark.parametrize("metric", METRICS)
    def test_more_asked_than_there_are_gives_all(
        self, engine: VectorSearch, metric: Metric
    ) -> None:
        vectors = make_vectors(metric, 10, 16)
        top = engine.search(make_block(metric, vectors), vectors[:1], 12)
        assert sorted(top.rows[0, :10].tolist()) == list(range(10))
        assert top.rows[0, 10:].tolist() == [-1, -1]

    @pytest.mark.parametrize("metric", ["cosine", "dot"])
    def test_a_zero_vector_scores_zero(self, engine: VectorSearch, metric: Metric) -> None:
        vectors = -np.ones((4, 8), np.float32)
        vectors[2] = 0.0
        ones, zeros = np.ones((1, 8), np.float32), np.zeros((1, 8), np.float32)
        against_zero_row = engine.search(make_block(metric, vectors), ones, 1)
        assert (against_zero_row.rows.item(), against_zero_row.scores.item()) == (2, 0.0)
        zero_query = engine.search(make_block(metric, vectors), zeros, 3)
        assert zero_query.rows.tolist() == [[0, 1, 2]]
        assert zero_query.scores.tolist() == [[0.0, 0.0, 0.0]]

    def test_a_vector_with_itself_has_cosine_one(self, engine: VectorSearch) -> None:
        vectors = make_vectors("cosine", 500, 33) * np.float32(7.3)
        top = engine.search(make_block("cosine", vectors), vectors, 1)
        assert top.rows[:, 0].tolist() == list(range(500))
        assert set(top.scores[:, 0].tolist()) == {1.0}

    def test_wrong_queries_are_refused_with_what_was_wanted(self, engine: VectorSearch) -> None:
        vectors = make_vectors("cosine", 10, 16)
        block = make_block("cosine", vectors)
        for queries in (vectors[:, :15], vectors[0], vectors.astype(np.float64)):
            with pytest.raises(InvalidRequestError, match="16|float32"):
                engine.search(block, queries, 3)
        broken = vectors[:1].copy()
        broken[0, 3] = np.nan
        with pytest.raises(InvalidRequestError, match="NaN"):
            engine.search(block, broken, 3)
        with pytest.raises(InvalidRequestError, match="negative"):
            engine.search(block, vectors[:1], -1)
        with pytest.raises(InvalidRequestError, match="mask"):
            engine.search(block, vectors[:1], 3, np.ones(9, np.bool_))

    @pytest.mark.parametrize("metric", METRICS)
    def test_a_passed_deadline_ends_the_search(self, engine: VectorSearch, metric: Metric) -> None:
        vectors = make_vectors(metric, 10_000, 16)
        with pytest.raises(DeadlineError):
            engine.search(make_block(metric, vectors), vectors[:3], 3, stop=lambda: True)
        assert engine.search(make_block(metric, vectors), vectors[:3], 1).rows.min() >= 0
