"""The vocabulary's floor: type aliases that every layer shares."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

# A JSON value as parsed: dict, list, str, int, float, bool or None.
JsonValue = Any
JsonObject = dict[str, Any]
ReadOnlyObject = Mapping[str, Any]

Metric = Literal["cosine", "dot", "euclidean", "hamming"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int8 = NDArray[np.int8]
UInt8 = NDArray[np.uint8]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class VectorSpec:
    """A named vector of a collection: its dimension (bits, for Hamming) and metric."""

    name: str
    dimension: int
    metric: Metric
