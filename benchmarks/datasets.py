"""The vectors that benchmarks search: structured, as embeddings are, and a harder isotropic set."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Unit vectors (n, d) and queries (q, d), float32."""

    name: str
    vectors: Vectors
    queries: Vectors


def make_structured(
    count: int, dimension: int, queries: int, *, clusters: int = 2000, seed: int = 7
) -> Dataset:
    """Clusters, each on its own low-dimensional subspace, plus noise; queries perturb members.

    Rows are in random order, as documents sorted by id are.
    """
    rng = np.random.default_rng(seed)
    rank = 12
    centers = rng.standard_normal((clusters, dimension), dtype=np.float32)
    bases = rng.standard_normal((64, rank, dimension), dtype=np.float32) / np.sqrt(np.float32(rank))
    member = rng.integers(0, clusters, count)
    vectors = np.empty((count, dimension), np.float32)
    for basis in range(len(bases)):
        rows = np.flatnonzero(member % len(bases) == basis)
        weights = rng.standard_normal((len(rows), rank), dtype=np.float32)
        vectors[rows] = centers[member[rows]] + np.float32(0.7) * (weights @ bases[basis])
    for start in range(0, count, 8192):
        part = vectors[start : start + 8192]
        part += np.float32(0.15) * rng.standard_normal(part.shape, dtype=np.float32)
    return _finish("structured", vectors, queries, 0.2, rng)


def make_isotropic(
    count: int, dimension: int, queries: int, *, clusters: int = 2000, seed: int = 11
) -> Dataset:
    """Round clusters whose members are as far apart as noise can make them: no structure helps."""
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((clusters, dimension), dtype=np.float32)
    vectors = centers[rng.integers(0, clusters, count)]
    for start in range(0, count, 8192):
        part = vectors[start : start + 8192]
        part += rng.standard_normal(part.shape, dtype=np.float32)
    return _finish("isotropic", vectors, queries, 0.8, rng)


def _finish(
    name: str, vectors: Vectors, queries: int, noise: float, rng: np.random.Generator
) -> Dataset:
    _normalize(vectors)
    chosen = vectors[rng.choice(len(vectors), queries, replace=False)]
    spread = noise / np.sqrt(vectors.shape[1])
    chosen = chosen + np.float32(spread) * rng.standard_normal(chosen.shape, dtype=np.float32)
    _normalize(chosen)
    return Dataset(name, vectors, chosen)


def _normalize(vectors: Vectors) -> None:
    for start in range(0, len(vectors), 8192):
        part = vectors[start : start + 8192]
        part /= np.linalg.norm(part, axis=1, keepdims=True)


def make_bits(
    count: int, bits: int, queries: int, *, seed: int = 13
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Random packed fingerprints (count, bits / 8), and queries with about a tenth flipped."""
    rng = np.random.default_rng(seed)
    vectors = rng.integers(0, 256, (count, bits // 8), dtype=np.uint8)
    flips = np.packbits(rng.random((queries, bits)) < 0.1, axis=1)
    return vectors, vectors[rng.choice(count, queries, replace=False)] ^ flips
