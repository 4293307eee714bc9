"""The vectors port: exact nearest neighbours in one immutable block of vectors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from core.arrays import Float32, Float64, Int8, Int64, Mask, UInt8
from core.types import Metric


@dataclass(frozen=True, slots=True)
class Codes:
    """An int8 quantization of n vectors, and what proves a search over it.

    Row x (unit length first, for cosine) is approximated by x̂ = scale · values.
    """

    values: Int8  # (n, d)
    scales: Float32  # (n,)
    residuals: Float32  # (n,), ‖x − x̂‖ rounded up
    norms: Float32  # (n,), ‖x‖ rounded up: of the vector that was quantized


@dataclass(frozen=True, slots=True)
class VectorBlock:
    """The vectors of one name in one segment, in document order: a lower row is a smaller id.

    `originals` is (n, dimension) float32 as the user gave them, or (n, dimension / 8) uint8 for
    Hamming (bits packed most significant first). `codes` is None for Hamming and for blocks too
    small to gain. Arrays are read-only and may be memory-mapped.
    """

    metric: Metric
    dimension: int
    originals: Float32 | UInt8
    codes: Codes | None = None


@dataclass(frozen=True, slots=True)
class TopK:
    """The k best rows of each of q queries: score descending, then row ascending.

    Shapes (q, k); missing places hold row -1 and score -inf. Scores are float64 and larger is
    better for every metric: cosine and dot as they are, euclidean 1 / (1 + distance), Hamming
    1 - distance / dimension. `exact[i]` says the answer of query i is proven equal to a full
    comparison; `compared` is how many rows each query was compared with.
    """

    rows: Int64
    scores: Float64
    exact: Mask
    compared: int


class VectorSearch(Protocol):
    """An engine. A row's score never depends on which other queries or rows share the call."""

    def search(
        self,
        block: VectorBlock,
        queries: Float32 | UInt8,
        k: int,
        mask: Mask | None = None,
        *,
        stop: Callable[[], bool] = lambda: False,
    ) -> TopK:
        """Return the top k among the rows where `mask` (n,) is true, all if None.

        `queries` is (q, dimension) float32, finite, or (q, dimension / 8) uint8 for Hamming.
        `stop` is asked between blocks of rows from any thread; once true the call raises
        `DeadlineError`. A wrong dimension raises `InvalidRequestError`.
        """
        ...
