"""Hamming distances of packed bits to many rows, by the fastest way this machine has."""

import functools
from typing import Any

import numpy as np

from core.arrays import Float64, Int8, Int32, Mask, UInt8
from core.search.bounds import Rows, row_indices
from core.search.pairs import Pairs
from core.search.products import BLOCK_ELEMENTS, Int8Product, find_true, load_numkong

_FEW = 2  # up to here numpy's popcount beats packed kernels
_POPCOUNT_ROWS = 8192
_EXPANDED_ROWS = 512  # what stays in cache beside the table of bits


class HammingBounds:
    """The key of a pair is minus its distance, exactly: both bounds are the same."""

    def __init__(self, originals: UInt8, queries: UInt8) -> None:
        """Search `originals` (n, d / 8) for `queries` (q, d / 8)."""
        self._originals = originals
        self.query_count = len(queries)
        self._kernel = _choose_kernel(queries)
        self.block_rows = self._kernel.block_rows

    def bracket(self, rows: Rows) -> tuple[Float64, Float64]:
        """See `Bounds`."""
        block = np.ascontiguousarray(self._originals[rows])
        keys = -self._kernel.distances(block).astype(np.float64)
        return keys, keys

    def survivors(self, rows: Rows, thresholds: Float64) -> Pairs:
        """See `Bounds`."""
        block = np.ascontiguousarray(self._originals[rows])
        limits = np.clip(np.floor(-thresholds), -1.0, 2.0**30)
        places, queries, distances = self._kernel.within(block, limits)
        keys = -distances.astype(np.float64)
        return Pairs(queries, row_indices(rows)[places], keys, keys)


def popcount_distances(block: UInt8, query: UInt8) -> Int32:
    """Return the distance (b,) of one query (d / 8,) to each row of `block` (b, d / 8)."""
    width = block.shape[1]
    if width % 8 or not block.flags.c_contiguous:
        bits = np.bitwise_count(np.bitwise_xor(block, query))
        return np.asarray(bits.sum(axis=1, dtype=np.int32))
    words = width // 8
    distances = np.zeros(len(block), np.int32)
    rows = min(len(block), _POPCOUNT_ROWS)
    tiled = np.tile(query.view(np.uint64), rows)
    different = np.empty(rows * words, np.uint64)
    counted = np.empty(rows * words, np.uint8)
    for start in range(0, len(block), _POPCOUNT_ROWS):
        part = block[start : start + _POPCOUNT_ROWS].reshape(-1).view(np.uint64)
        size = len(part)
        np.bitwise_xor(part, tiled[:size], out=different[:size])
        counts = np.bitwise_count(different[:size], out=counted[:size]).reshape(-1, words)
        total = distances[start : start + _POPCOUNT_ROWS]
        for word in range(words):  # a sum over so short an axis is four times slower
            total += counts[:, word]
    return distances


class _Popcount:
    """numpy, one query after the other: for very few queries, or without numkong."""

    block_rows = 1 << 16

    def __init__(self, queries: UInt8) -> None:
        self._queries = np.ascontiguousarray(queries)

    def distances(self, block: UInt8) -> Any:
        return np.stack([popcount_distances(block, query) for query in self._queries], axis=1)

    def within(self, block: UInt8, limits: Float64) -> tuple[Any, Any, Any]:
        distances = self.distances(block)
        return _pick(distances, distances <= limits.astype(np.int32))


class _Packed:
    """numkong's popcount kernel."""

    def __init__(self, queries: UInt8) -> None:
        self._numkong = load_numkong()
        self._packed = self._numkong.hammings_pack(np.ascontiguousarray(queries))
        self.block_rows = max(1024, BLOCK_ELEMENTS // len(queries))

    def distances(self, block: UInt8) -> Any:
        return np.asarray(self._numkong.hammings_packed(block, self._packed))

    def within(self, block: UInt8, limits: Float64) -> tuple[Any, Any, Any]:
        distances = self.distances(block)
        hits = distances <= np.maximum(limits, 0.0).astype(distances.dtype)
        hits &= limits >= 0.0
        return _pick(distances, hits)


class _Tiles:
    """AMX: distance = ‖q‖ - x·(2q - 1) for bits q, x in {0, 1}, as an int8 product.

    Bits are expanded to bytes block by block, by a table of 16 bits at a time (a third of the
    time of np.unpackbits). Measured on 1,000,000 rows of 256 bits and 50 queries, one thread:
    105 ms of CPU for the search, faiss.IndexBinaryFlat 68, numkong's popcount kernel 82 for
    the distances alone.
    """

    def __init__(self, queries: UInt8) -> None:
        bits = np.unpackbits(queries, axis=1)
        self._weights = bits.sum(axis=1, dtype=np.int32)
        self._product = Int8Product((2 * bits.astype(np.int8) - 1).astype(np.int8))
        self._count = len(queries)
        self._spare: list[Any] = []
        self.block_rows = self._product.block_rows

    def distances(self, block: UInt8) -> Any:
        product = self._product.compute(_expand_bits(block))
        return self._weights - product[:, : self._count].astype(np.int32)

    def within(self, block: UInt8, limits: Float64) -> tuple[Any, Any, Any]:
        # A buffer that lives on: page faults of fresh ones double the time of the expansion.
        buffer = self._borrow()
        if buffer is None or len(buffer) != len(block):
            buffer = np.empty((len(block), block.shape[1] * 8), np.int8)
        bits = _expand_bits(block, buffer)
        places, queries, values = self._product.find_above(bits, self._weights - limits)
        self._spare.append(buffer)
        return places, queries, self._weights[queries] - values

    def _borrow(self) -> Any:
        try:
            return self._spare.pop()
        except IndexError:
            return None


def _choose_kernel(queries: UInt8) -> _Popcount | _Packed | _Tiles:
    numkong = load_numkong()
    if numkong is None or len(queries) <= _FEW:
        return _Popcount(queries)
    # Below 16 queries a tile is mostly empty, and the expansion is not paid back.
    if numkong.get_capabilities().get("sapphireamx") and len(queries) >= 8:
        return _Tiles(queries)
    return _Packed(queries)


@functools.cache
def _bit_table() -> "np.typing.NDArray[np.complex128]":
    """Return the 16 bytes, each 0 or 1, of every 16-bit word: 1 MB, made once per process."""
    words = np.arange(1 << 16, dtype=np.uint16)
    return np.unpackbits(words.view(np.uint8)).view(np.complex128)


def _expand_bits(block: UInt8, out: Int8 | None = None) -> Int8:
    """Return bits as bytes 0 and 1 (b, d) of packed rows (b, d / 8), in `out` if it is given."""
    if block.shape[1] % 2:
        return np.unpackbits(block, axis=1).view(np.int8)
    if out is None:
        out = np.empty((len(block), block.shape[1] * 8), np.int8)
    words, wide = block.view(np.uint16), out.view(np.complex128)
    for start in range(0, len(block), _EXPANDED_ROWS):
        part = slice(start, start + _EXPANDED_ROWS)
        # Every 16-bit word is in the table: "clip" only spares the bounds check.
        np.take(_bit_table(), words[part], out=wide[part], mode="clip")
    return out


def _pick(distances: Any, hits: Mask) -> tuple[Any, Any, Any]:
    flat = find_true(hits)
    places, queries = np.divmod(flat, distances.shape[1])
    return places, queries, distances.reshape(-1)[flat]
