"""Hamming distances of packed bits to many rows, by the fastest way this machine has."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.arrays import Float64, Int8, Int32, Mask, UInt8
from core.search.bounds import Rows, row_indices
from core.search.pairs import Pairs
from core.search.products import BLOCK_ELEMENTS, find_true, load_numkong

_FEW = 2  # up to here numpy's popcount beats packed kernels
_POPCOUNT_ROWS = 8192
_TILE = 16  # queries that AMX multiplies at a time
_SCALE = 64  # of the products of `_Tiles`
_INT32_MAX = 2.0**31 - 1
_DENSE = 32  # one hit in so many: all distances again cost less than those of the hits
_GROUP = 64  # rows masked in one run
_STEP_ROWS = 2048  # at most so many rows, and bytes of expanded rows, at a time
_STEP_BYTES = 1 << 19
_STEPS = 8  # in a block


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

    The bits of a row become bytes by copying its words eight times and masking each copy with
    one bit. That bit keeps its place value 2^j: the queries have 2^(6-j), so every product is
    64 times too large. Bit 7 would be a sign: it is shifted to place 6 first.
    Blocks have two sizes: what is expanded and multiplied at once stays in the second-level
    cache, and what a thread takes at once is larger, to ask for the interpreter's lock less
    often. Measured on 1,000,000 rows of 256 bits and 50 queries, two threads: 65 ms, twice that
    block size 61, half of it 80; faiss.IndexBinaryFlat 34 to 39.
    """

    def __init__(self, queries: UInt8) -> None:
        self._queries = queries
        self._weights = np.bitwise_count(queries).sum(axis=1, dtype=np.int32)
        self._count = len(queries)
        self._width = -(-self._count // _TILE) * _TILE
        self._layout = _Layout.of(queries.shape[1], self._width)
        padded = np.zeros((self._width, 8 * self._layout.padded), np.int8)
        padded[: self._count] = self._layout.expand_queries(queries)
        self._packed = load_numkong().dots_pack(padded, dtype="int8")
        self._spare: list[_Scratch] = []
        self.block_rows = self._layout.block_rows

    def distances(self, block: UInt8) -> Any:
        scratch = self._borrow()
        found = np.empty((len(block), self._count), np.int32)
        for start in range(0, len(block), self.block_rows):
            part = found[start : start + self.block_rows]
            scratch.load(block[start : start + self.block_rows])
            for at in range(0, len(part), self._layout.step):
                target = part[at : at + self._layout.step]
                product = scratch.multiply(at, self._packed)[: len(target), : self._count]
                np.subtract(self._weights, product // _SCALE, out=target)
        self._spare.append(scratch)
        return found

    def within(self, block: UInt8, limits: Float64) -> tuple[Any, Any, Any]:
        scratch = self._borrow()
        floors = np.full(self._width, _INT32_MAX)  # nothing of the padding is a hit
        floors[: self._count] = np.maximum(_SCALE * (self._weights - limits), -_INT32_MAX)
        scratch.floors[:] = floors
        scratch.load(block)
        for at in range(0, len(block), self._layout.step):
            scratch.compare(at, self._packed)
        flat = find_true(scratch.hits[: len(block)])
        self._spare.append(scratch)
        places, queries = np.divmod(flat, self._width)
        if len(flat) > len(block) * self._count // _DENSE:
            return places, queries, self.distances(block)[places, queries]
        different = np.bitwise_xor(block[places], self._queries[queries])
        return places, queries, np.bitwise_count(different).sum(axis=1, dtype=np.int32)

    def _borrow(self) -> "_Scratch":
        try:
            return self._spare.pop()
        except IndexError:
            return _Scratch(self._layout, self._width)


@dataclass(frozen=True, slots=True)
class _Layout:
    """How rows of `width` bytes are expanded: chunk by chunk, all bits of one place together."""

    width: int
    padded: int  # bytes of a row, whole chunks
    chunk: int  # bytes copied at a time
    step: int  # rows expanded at a time
    block_rows: int

    @classmethod
    def of(cls, width: int, query_count: int) -> "_Layout":
        padded = -(-width // 8) * 8
        chunk = math.gcd(padded, 32)
        fitting = min(_STEP_BYTES // (8 * padded), BLOCK_ELEMENTS // query_count)
        step = max(_GROUP, min(_STEP_ROWS, fitting // _GROUP * _GROUP))
        return cls(width, padded, chunk, step, _STEPS * step)

    def expand_queries(self, queries: UInt8) -> Int8:
        """Return (q, 8 · padded) signs of the bits, times what makes the place values equal."""
        full = np.zeros((len(queries), self.padded), np.uint8)
        full[:, : self.width] = queries
        bits = np.unpackbits(full, axis=1, bitorder="little").astype(np.int8)
        factors = np.array([64, 32, 16, 8, 4, 2, 1, 1], np.int8)
        signed = (2 * bits - 1).reshape(len(queries), -1, self.chunk, 8) * factors
        return np.ascontiguousarray(signed.swapaxes(2, 3).reshape(len(queries), -1))


class _Scratch:
    """One thread's buffers: page faults of fresh ones would double the time."""

    def __init__(self, layout: _Layout, width: int) -> None:
        self._layout = layout
        rows, step, padded = layout.block_rows, layout.step, layout.padded
        item = np.dtype((np.void, layout.chunk))
        self._words = np.zeros((2, rows, padded), np.uint8)  # the rows, and shifted by one bit
        self._chunks = self._words.reshape(-1).view(item)
        per_row = padded // layout.chunk
        self._sources = np.repeat(np.arange(step * per_row), 8)
        self._sources[7::8] += rows * per_row
        self._expanded = np.empty((step, 8 * padded), np.int8)
        self._target = self._expanded.reshape(-1).view(item)
        places = np.array([1, 2, 4, 8, 16, 32, 64, 64], np.uint8)
        one = np.tile(np.repeat(places, layout.chunk), per_row)
        # Masks and floors in long runs: numpy's loop over single rows would cost more than these.
        self._mask = np.tile(one, _GROUP).view(np.uint64)
        self._groups = self._expanded.view(np.uint64).reshape(-1, len(self._mask))
        self.floors = np.empty((_GROUP, width), np.int32)
        self.hits = np.empty((rows, width), np.bool_)
        self._tensor = load_numkong().zeros((step, width), dtype="int32")
        self._products: Int32 = np.asarray(self._tensor)

    def load(self, block: UInt8) -> None:
        """Take at most `block_rows` rows; what the rows behind them hold does not matter."""
        self._words[0, : len(block), : self._layout.width] = block
        words = self._words.view(np.uint64)
        np.right_shift(words[0, : len(block)], 1, out=words[1, : len(block)])

    def multiply(self, at: int, packed: Any) -> Int32:
        """Return the products (step, width) of the rows from `at`, a multiple of `step`."""
        # Every source exists: "clip" only spares the bounds check.
        chunks = self._chunks[at * self._layout.padded // self._layout.chunk :]
        np.take(chunks, self._sources, out=self._target, mode="clip")
        np.bitwise_and(self._groups, self._mask, out=self._groups)
        load_numkong().dots_packed(self._expanded, packed, out=self._tensor)
        return self._products

    def compare(self, at: int, packed: Any) -> None:
        """Set `hits` of the `step` rows from `at`: which products reach `floors`."""
        hits = self.hits[at : at + self._layout.step].reshape(-1, self.floors.size)
        products = self.multiply(at, packed).reshape(hits.shape)
        np.greater_equal(products, self.floors.reshape(-1), out=hits)


def _choose_kernel(queries: UInt8) -> _Popcount | _Packed | _Tiles:
    numkong = load_numkong()
    if numkong is None or len(queries) <= _FEW:
        return _Popcount(queries)
    # Below 16 queries a tile is mostly empty, and the expansion is not paid back.
    if numkong.get_capabilities().get("sapphireamx") and len(queries) >= 8:
        return _Tiles(queries)
    return _Packed(queries)


def _pick(distances: Any, hits: Mask) -> tuple[Any, Any, Any]:
    flat = find_true(hits)
    places, queries = np.divmod(flat, distances.shape[1])
    return places, queries, distances.reshape(-1)[flat]
