"""Vectors as users write them, checked and turned into arrays."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.arrays import Float32, UInt8
from core.errors import InvalidRequestError, Problem
from core.types import VectorSpec

MAX_DIMENSION: Final = 65_536
MAX_VECTOR_NAMES: Final = 64
_HEX: Final = re.compile("[0-9a-fA-F]*")
_FLOAT32_MAX: Final = float(np.finfo(np.float32).max)


class _FaultError(ValueError):
    """What is wrong with one vector."""


def parse_vector(value: object, spec: VectorSpec, path: str) -> NDArray[Any] | Problem:
    """Return `value` as (dimension,) float32, or (dimension / 8,) uint8 for Hamming.

    Floats come as a list of numbers. A Hamming vector comes as a list of 0 and 1, as dimension / 4
    hex digits, or as dimension / 8 bytes; the first bit is the most significant. An array that has
    the right type and shape is accepted too. What is wrong comes back as a `Problem` at `path`.
    """
    try:
        if spec.metric == "hamming":
            bits = _parse_bits(value)
            _check_length(bits.size * 8, spec.dimension, "bits")
            return bits
        floats = _parse_floats(value)
        _check_length(floats.size, spec.dimension, "dimensions")
        return floats
    except _FaultError as fault:
        return Problem(path, f"vector {spec.name!r}: {fault}", "vector_error")


def _check_length(got: int, wanted: int, unit: str) -> None:
    if got != wanted:
        raise _FaultError(f"expected {wanted} {unit}, got {got}")


def infer_spec(name: str, value: object) -> VectorSpec | None:
    """Return what the first vector under an undeclared name declares, None if it cannot say.

    Numbers are compared by cosine, a uint8 array by Hamming distance of its bits.
    """
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype == np.uint8:
        return VectorSpec(name, value.size * 8, "hamming") if value.size else None
    if isinstance(value, list | tuple | np.ndarray) and len(value):
        return VectorSpec(name, len(value), "cosine")
    return None


def check_specs(specs: Sequence[VectorSpec]) -> None:
    """Raise `InvalidRequestError` with every fault of a collection's declared vectors."""
    problems: list[Problem] = []
    seen: set[str] = set()
    for index, spec in enumerate(specs):
        path = f"vectors.{index}"
        if not spec.name or spec.name in seen:
            problems.append(Problem(f"{path}.name", f"empty or repeated name {spec.name!r}"))
        seen.add(spec.name)
        if not 1 <= spec.dimension <= MAX_DIMENSION:
            message = f"dimension must lie in 1..{MAX_DIMENSION}, got {spec.dimension}"
            problems.append(Problem(f"{path}.dimension", message))
        elif spec.metric == "hamming" and spec.dimension % 8:
            message = f"hamming needs a multiple of 8 bits, got {spec.dimension}"
            problems.append(Problem(f"{path}.dimension", message))
    if len(specs) > MAX_VECTOR_NAMES:
        problems.append(Problem("vectors", f"at most {MAX_VECTOR_NAMES} named vectors"))
    if problems:
        raise InvalidRequestError("invalid vector definitions", problems)


def specs_by_name(specs: Sequence[VectorSpec]) -> Mapping[str, VectorSpec]:
    """Return the specs under their names."""
    return {spec.name: spec for spec in specs}


def _parse_floats(value: object) -> Float32:
    if isinstance(value, np.ndarray):
        if value.ndim != 1 or value.dtype.kind not in "fiu":
            raise _FaultError(f"expected numbers, got {value.dtype} of shape {value.shape}")
    # Asking for float64 straight away would read "1.5" and true as numbers.
    elif not isinstance(value, list | tuple) or not set(map(type, value)) <= {int, float}:
        raise _FaultError("expected a flat list of numbers")
    try:
        wide = np.array(value, np.float64)
    except OverflowError:
        raise _FaultError("a number is too large for float32") from None
    if not np.isfinite(wide).all():
        index = int(np.flatnonzero(~np.isfinite(wide))[0])
        kind = "NaN" if np.isnan(wide[index]) else "infinite"
        raise _FaultError(f"element {index} is {kind}")
    if wide.size and float(np.abs(wide).max()) > _FLOAT32_MAX:
        raise _FaultError("a number is too large for float32")
    return wide.astype(np.float32)


def _parse_bits(value: object) -> UInt8:
    if isinstance(value, np.ndarray):
        if value.ndim != 1 or value.dtype != np.uint8:
            raise _FaultError(f"expected packed uint8 bits, got {value.dtype} {value.shape}")
        # A copy: the caller may go on writing to his.
        return value.copy()
    if isinstance(value, bytes | bytearray | memoryview):
        return np.frombuffer(bytes(value), np.uint8)
    if isinstance(value, str):
        # Not left to fromhex: it skips spaces.
        if not _HEX.fullmatch(value) or len(value) % 2:
            raise _FaultError("expected two hex digits a byte")
        return np.frombuffer(bytes.fromhex(value), np.uint8)
    if not isinstance(value, list | tuple):
        raise _FaultError(f"expected 0 and 1, hex digits or bytes, got {type(value).__name__}")
    if not all(type(bit) is int and bit in (0, 1) for bit in value):
        raise _FaultError("expected a flat list of 0 and 1")
    if len(value) % 8:
        raise _FaultError(f"expected a multiple of 8 bits, got {len(value)}")
    return np.packbits(np.array(value, np.uint8))
