"""The embedded engine: the contract, and agreement with the reference on whatever hurts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.adapters import vectors_embedded
from core.adapters.vectors_embedded import EmbeddedVectors
from core.adapters.vectors_reference import ReferenceVectors
from core.ports.vectors import TopK, VectorBlock, VectorSearch
from core.search import hamming, passes, plain, products, scan
from core.search.rescoring import score_all
from core.types import Metric
from tests.contracts.vectors import METRICS, VectorsContract, make_block, make_vectors

ENGINE = EmbeddedVectors(2)
REFERENCE = ReferenceVectors()


class TestEmbeddedVectors(VectorsContract):
    @pytest.fixture
    def engine(self) -> Iterator[VectorSearch]:
        engine = EmbeddedVectors(2)
        yield engine
        engine.close()


class TestWithoutNumkong(VectorsContract):
    @pytest.fixture
    def engine(self, monkeypatch: pytest.MonkeyPatch) -> VectorSearch:
        monkeypatch.setattr(passes, "load_numkong", lambda: None)
        monkeypatch.setattr(hamming, "load_numkong", lambda: None)
        return EmbeddedVectors(1)


def assert_same(found: TopK, wanted: TopK) -> None:
    """Both engines must agree to the last bit, and the answer must be called exact."""
    np.testing.assert_array_equal(found.rows, wanted.rows)
    np.testing.assert_array_equal(found.scores.view(np.int64), wanted.scores.view(np.int64))
    assert found.exact.all()
    assert found.compared == wanted.compared


def spread_norms(rng: np.random.Generator, vectors: Any) -> Any:
    return vectors * np.exp(rng.standard_normal((len(vectors), 1)) * 4).astype(np.float32)


def one_giant(rng: np.random.Generator, vectors: Any) -> Any:
    vectors[rng.integers(len(vectors))] *= np.float32(1e12)
    return vectors


def some_extreme(rng: np.random.Generator, vectors: Any) -> Any:
    factors = rng.choice([1.0, 1.0, 1e-40, 1e-18, 1e18, 3e37], (len(vectors), 1))
    return vectors * factors.astype(np.float32)


def near_duplicates(rng: np.random.Generator, vectors: Any) -> Any:
    copies = np.repeat(vectors[: len(vectors) // 50 + 1], 50, axis=0)[: len(vectors)]
    return copies + np.float32(1e-7) * rng.standard_normal(copies.shape, dtype=np.float32)


def shifted_far(rng: np.random.Generator, vectors: Any) -> Any:
    return vectors * np.float32(1e-3) + np.float32(100.0)


# What the data may be like; each makes (n, d) float32 of standard normal vectors.
SHAPES: dict[str, Any] = {
    "normal": lambda rng, vectors: vectors,
    "lattice": lambda rng, vectors: np.rint(vectors),
    "tiny lattice": lambda rng, vectors: np.rint(vectors) * np.float32(1e-12),
    "all equal": lambda rng, vectors: np.broadcast_to(vectors[0], vectors.shape).copy(),
    "norms from 1e-7 to 1e7": spread_norms,
    "one giant": one_giant,
    "some extreme": some_extreme,
    "near duplicates": near_duplicates,
    "denormal": lambda rng, vectors: vectors * np.float32(1e-40),
    "enormous": lambda rng, vectors: np.clip(vectors, -3, 3) * np.float32(1e38),
    "far from the origin": shifted_far,
    "some zero": lambda rng, vectors: vectors * (rng.random((len(vectors), 1)) < 0.5),
    "one hot": lambda rng, vectors: vectors == vectors.max(axis=1, keepdims=True),
}


@dataclass(frozen=True)
class Case:
    """One generated search."""

    metric: Metric
    shape: str
    count: int
    dimension: int
    query_count: int
    k: int
    allowed: float | None
    codes: bool
    seed: int

    def make(self) -> tuple[VectorBlock, Any, Any]:
        """Return the block, the queries and the mask."""
        rng = np.random.default_rng(self.seed)
        if self.metric == "hamming":
            # Few distinct rows: many ties.
            distinct = make_vectors("hamming", 1 + self.seed % 300, self.dimension, self.seed)
            vectors = distinct[rng.integers(0, len(distinct), self.count)]
            queries = make_vectors("hamming", self.query_count, self.dimension, self.seed + 1)
        else:
            normal = make_vectors(self.metric, self.count, self.dimension, self.seed)
            vectors = SHAPES[self.shape](rng, normal).astype(np.float32)
            queries = vectors[rng.integers(0, self.count, self.query_count)].copy()
            queries[::2] *= rng.choice([1.0, 0.9], queries[::2].shape)
        mask = None if self.allowed is None else rng.random(self.count) < self.allowed
        return make_block(self.metric, vectors, codes=self.codes), queries, mask


CASES = st.builds(
    Case,
    metric=st.sampled_from(METRICS),
    shape=st.sampled_from(sorted(SHAPES)),
    count=st.sampled_from([1, 2, 255, 300, 1000, 4097, 6000]),
    dimension=st.sampled_from([8, 16, 24, 72, 128]),
    query_count=st.sampled_from([1, 2, 3, 9, 20]),
    k=st.sampled_from([1, 2, 10, 100]),
    allowed=st.sampled_from([None, 0.9, 0.3, 0.02]),
    codes=st.booleans(),
    seed=st.integers(0, 1 << 30),
)


@settings(derandomize=True, deadline=None, max_examples=250)
@given(CASES)
def test_agrees_with_the_reference(case: Case) -> None:
    block, queries, mask = case.make()
    found = ENGINE.search(block, queries, case.k, mask)
    assert_same(found, REFERENCE.search(block, queries, case.k, mask))


@settings(derandomize=True, deadline=None, max_examples=250)
@given(CASES, st.sampled_from([1, 128]))
def test_agrees_when_blocks_and_samples_are_small(case: Case, dense: int) -> None:
    """As above, but so that even thousands of rows take every path that millions take."""
    block, queries, mask = case.make()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "_SAMPLE", 16)
        patch.setattr(scan, "_MOST_SAMPLE", 128)
        patch.setattr(products, "BLOCK_ELEMENTS", 1)
        patch.setattr(products, "_FEW", 1)
        patch.setattr(products, "_DENSE", dense * 1000)
        patch.setattr(plain, "_BLOCK_ELEMENTS", 1)
        found = ENGINE.search(block, queries, case.k, mask)
    assert_same(found, REFERENCE.search(block, queries, case.k, mask))


@pytest.mark.parametrize("metric", METRICS)
def test_a_batch_is_its_single_searches(metric: Metric) -> None:
    vectors = make_vectors(metric, 9000, 48)
    block = make_block(metric, vectors)
    queries = make_vectors(metric, 23, 48, seed=5)
    together = ENGINE.search(block, queries, 10)
    for index in range(len(queries)):
        alone = ENGINE.search(block, queries[index : index + 1], 10)
        assert_same(
            alone,
            TopK(together.rows[[index]], together.scores[[index]], together.exact[[index]], 9000),
        )


@pytest.mark.parametrize("metric", METRICS)
def test_sorted_rows_do_not_break_the_running_threshold(metric: Metric) -> None:
    """The best rows come last, so every block beats the ones before."""
    vectors = make_vectors(metric, 20_000, 32)
    query = make_vectors(metric, 1, 32, seed=9)
    order = REFERENCE.search(make_block(metric, vectors), query, len(vectors)).rows[0]
    block = make_block(metric, np.ascontiguousarray(vectors[order[::-1]]))
    queries = np.concatenate([query, make_vectors(metric, 15, 32, seed=10)])
    assert_same(ENGINE.search(block, queries, 10), REFERENCE.search(block, queries, 10))


@pytest.mark.parametrize("metric", METRICS)
def test_crowded_queries_fall_through_to_tighter_passes(
    metric: Metric, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One query sits among thousands of ties, its siblings do not: all stay exact."""
    monkeypatch.setattr(passes, "_LEAST_LIMIT", 40)
    monkeypatch.setattr(passes, "_CODES_SHARE", 10_000)
    monkeypatch.setattr(passes, "_FLOAT_SHARE", 10_000)
    used: list[int] = []

    def count_and_score(*args: Any) -> Any:
        used.append(1)
        return score_all(*args)

    monkeypatch.setattr(passes, "score_all", count_and_score)
    vectors = make_vectors(metric, 8000, 32)
    vectors[1000:7000] = vectors[1000]
    queries = np.concatenate([vectors[[1000]], make_vectors(metric, 9, 32, seed=3)])
    block = make_block(metric, vectors)
    for mask in (None, np.arange(8000) % 3 > 0):
        found = ENGINE.search(block, queries, 2, mask)
        assert_same(found, REFERENCE.search(block, queries, 2, mask))
    assert used


def test_memory_mapped_blocks_are_searched_as_they_are(tmp_path: Any) -> None:
    vectors = make_vectors("cosine", 5000, 64)
    np.save(tmp_path / "vectors.npy", vectors)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    found = ENGINE.search(make_block("cosine", mapped), vectors[:20], 10)
    assert_same(found, REFERENCE.search(make_block("cosine", vectors), vectors[:20], 10))


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
def test_rows_of_negative_zeros_hide_nothing(metric: Metric) -> None:
    """Their scale was once -0.0, and dividing by it turned "everything passes" into nothing."""
    vectors = make_vectors(metric, 5000, 16)
    vectors[::2] *= np.float32(0.0)
    block = make_block(metric, vectors)
    queries = np.concatenate([-vectors[1::2][:5], np.zeros((5, 16), np.float32)])
    assert_same(ENGINE.search(block, queries, 10), REFERENCE.search(block, queries, 10))
    assert block.codes is not None
    assert not np.signbit(block.codes.scales).any()


def test_euclidean_scores_that_round_to_the_same_come_in_row_order() -> None:
    """Distances of 1e-17 and less all score 1.0: then the smaller row wins, not the nearer."""
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((5000, 16)).astype(np.float32) * np.float32(1e-19)
    block = make_block("euclidean", vectors)
    found = ENGINE.search(block, vectors[4000:4001], 3)
    assert found.rows.tolist() == [[0, 1, 2]]
    assert_same(found, REFERENCE.search(block, vectors[4000:4001], 3))


def test_large_k_is_searched_for_a_few_queries_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    # All at once, the candidates of 500 queries for the best 5,000 took more than a gigabyte.
    monkeypatch.setattr(vectors_embedded, "_MOST_CANDIDATES", 16 * 300 * 3)
    block = make_block("dot", make_vectors("dot", 3_000, 16))
    queries = make_vectors("dot", 8, 16, seed=5)
    sizes: list[int] = []
    run = passes.Search.run

    def watched(search: passes.Search) -> Any:
        sizes.append(len(search.queries))
        return run(search)

    monkeypatch.setattr(passes.Search, "run", watched)
    assert_same(ENGINE.search(block, queries, 300), REFERENCE.search(block, queries, 300))
    assert sizes == [3, 3, 2]


def test_stopping_halfway_ends_every_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(scan, "_SAMPLE", 64)
    vectors = make_vectors("dot", 200_000, 8)
    block = make_block("dot", vectors)

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 2

    with pytest.raises(Exception, match="time ran out"):
        ENGINE.search(block, vectors[:50], 3, stop=stop)
    before = len(asked)
    assert before <= 4
    assert ENGINE.search(block, vectors[:50], 1).compared == 200_000
    assert len(asked) == before


def test_several_callers_may_share_an_engine() -> None:
    from concurrent.futures import ThreadPoolExecutor

    vectors = make_vectors("cosine", 20_000, 32)
    block: VectorBlock = make_block("cosine", vectors)
    with ThreadPoolExecutor(4) as pool:
        parts = [vectors[at : at + 7] for at in range(0, 140, 7)]
        tops = list(pool.map(lambda part: ENGINE.search(block, part, 5), parts))
    for part, top in zip(parts, tops, strict=True):
        assert_same(top, REFERENCE.search(block, part, 5))
