"""Scores: one number per pair of vectors, whoever else is scored."""

import numpy as np
import pytest

from core.search.scores import exact_scores, pair_scores
from core.types import Metric
from tests.contracts.vectors import METRICS, independent_score, make_vectors


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dimension", [8, 24, 512, 1032])
def test_a_score_does_not_depend_on_its_company(metric: Metric, dimension: int) -> None:
    rows = make_vectors(metric, 300, dimension)
    queries = make_vectors(metric, 4, dimension, seed=1)
    together = exact_scores(queries[0], rows, metric, dimension)
    alone = [exact_scores(queries[0], rows[[row]], metric, dimension)[0] for row in range(300)]
    strided = exact_scores(queries[0], rows[::-3], metric, dimension)
    which = np.arange(300) % 4
    mixed = pair_scores(queries, which, rows, metric, dimension)
    assert together.tolist() == alone
    assert strided.tolist() == alone[::-3]
    assert mixed[which == 0].tolist() == [alone[row] for row in range(0, 300, 4)]


@pytest.mark.parametrize("metric", METRICS)
def test_scores_are_those_of_exact_summation(metric: Metric) -> None:
    rows = make_vectors(metric, 50, 136)
    query = make_vectors(metric, 1, 136, seed=2)[0]
    found = exact_scores(query, rows, metric, 136)
    wanted = [independent_score(metric, query, row) for row in rows]
    assert found == pytest.approx(wanted, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("magnitude", [1e-45, 1e-38, 3e38])
def test_extreme_magnitudes_neither_overflow_nor_vanish(magnitude: float) -> None:
    vectors = np.array([[1, 0, 1], [1, 1, 1], [-1, 0, -1]], np.float32) * np.float32(magnitude)
    cosine = exact_scores(vectors[0], vectors, "cosine", 3)
    assert cosine.tolist() == pytest.approx([1.0, (2 / 3) ** 0.5, -1.0])
    assert np.isfinite(exact_scores(vectors[0], vectors, "dot", 3)).all()
    assert exact_scores(vectors[0], vectors, "dot", 3)[1] > 0
    euclidean = exact_scores(vectors[0], vectors, "euclidean", 3)
    assert euclidean[0] == 1.0
    assert (euclidean > 0).all()


def test_negative_zero_is_zero() -> None:
    zeros = exact_scores(np.zeros(2, np.float32), -np.ones((3, 2), np.float32), "dot", 2)
    assert not np.signbit(zeros).any()
