"""The vocabulary's floor: type aliases that every layer shares."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

# A JSON value as parsed: dict, list, str, int, float, bool or None.
JsonValue = Any
JsonObject = dict[str, Any]
ReadOnlyObject = Mapping[str, Any]

Metric = Literal["cosine", "dot", "euclidean", "hamming"]


@dataclass(frozen=True, slots=True)
class VectorSpec:
    """A named vector of a collection: its dimension (bits, for Hamming) and metric."""

    name: str
    dimension: int
    metric: Metric
