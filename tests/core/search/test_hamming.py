"""Hamming kernels: each must count the same bits."""

from typing import Any

import numpy as np
import pytest

from core.search import hamming
from core.search.hamming import popcount_distances


@pytest.mark.parametrize("kernel", ["_Popcount", "_Packed", "_Tiles"])
@pytest.mark.parametrize("width", [1, 2, 3, 8, 13, 32, 64])
def test_kernels_count_bits(kernel: str, width: int) -> None:
    rng = np.random.default_rng(width)
    rows = rng.integers(0, 256, (1500, width), dtype=np.uint8)
    rows[:2] = [[0], [255]]
    queries = np.concatenate([rows[:4], rng.integers(0, 256, (15, width), dtype=np.uint8)])
    wanted = np.bitwise_count(rows[:, None] ^ queries[None]).sum(axis=2, dtype=np.int64)
    made: Any = getattr(hamming, kernel)(queries)
    np.testing.assert_array_equal(made.distances(rows), wanted)
    limits = np.full(len(queries), 3.0 * width)
    limits[2] = -1.0  # a query that wants nothing
    places, which, distances = made.within(rows, limits)
    hits = wanted <= limits
    np.testing.assert_array_equal((places, which), np.nonzero(hits))
    np.testing.assert_array_equal(distances, wanted[hits])


def test_popcount_takes_rows_that_are_not_contiguous() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (20_000, 32), dtype=np.uint8)
    query = rows[5]
    wanted = np.bitwise_count(rows ^ query).sum(axis=1)
    np.testing.assert_array_equal(popcount_distances(rows, query), wanted)
    np.testing.assert_array_equal(popcount_distances(rows[::3], query), wanted[::3])
