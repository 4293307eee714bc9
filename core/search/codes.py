"""The int8 quantization of a block of vectors, with the norms that prove a search over it."""

import numpy as np

from core.arrays import Float32, Float64, UInt8
from core.ports.vectors import Codes
from core.types import Metric

LEVELS = 127.0
# Above these, int32 sums (127 * 127 * d) or float32 norms could overflow.
MAX_DIMENSION = 131_072
MAX_NORM = 1e30

_CHUNK_ELEMENTS = 1 << 19
_EPSILON = 2.0**-52


def encode(originals: Float32 | UInt8, metric: Metric) -> Codes | None:
    """Quantize (n, d) float32 vectors row by row; `originals` may be memory-mapped.

    Row x (x / ‖x‖ for cosine) becomes scale · values with scale = max|x| / 127 in float32.
    `residuals` and `norms` are upper bounds on the real ‖x − x̂‖ and ‖x‖, rounding included.
    Returns None where codes cannot be used: Hamming, a dimension above `MAX_DIMENSION`, or a
    norm above `MAX_NORM`. Works in chunks: the memory needed beyond the result is a few MB.
    """
    if metric == "hamming" or originals.ndim != 2:
        return None
    count, dimension = originals.shape
    if not 0 < dimension <= MAX_DIMENSION:
        return None
    codes = Codes(
        values=np.zeros((count, dimension), np.int8),
        scales=np.zeros(count, np.float32),
        residuals=np.zeros(count, np.float32),
        norms=np.zeros(count, np.float32),
    )
    step = max(1, _CHUNK_ELEMENTS // dimension)
    for start in range(0, count, step):
        part = slice(start, start + step)
        wide = np.array(originals[part], dtype=np.float64, order="C")
        if not _encode_chunk(wide, metric, codes, part):
            return None
    return codes


def _encode_chunk(wide: Float64, metric: Metric, codes: Codes, part: slice) -> bool:
    """Write one chunk; False if a norm is out of range. Overwrites `wide`.

    Rounding: sums of d float64 squares are within (d + 4)ε of the real ones, a unit vector's
    components within 4ε of theirs plus half the norm's error, so both bounds are widened by
    (d + 8)ε of the row's norm; then float32 is rounded towards infinity.
    """
    norms = np.sqrt(np.square(wide).sum(axis=1))
    if not norms.max(initial=0.0) <= MAX_NORM:
        return False
    if metric == "cosine":
        np.divide(wide, norms[:, None], out=wide, where=norms[:, None] > 0.0)
        norms = (norms > 0.0).astype(np.float64)
    # + 0.0: a row of negative zeros must not get a scale of -0.0, whose reciprocal is -inf.
    largest = np.maximum(wide.max(axis=1), -wide.min(axis=1)) + 0.0
    scales = (largest / LEVELS).astype(np.float32)
    steps = scales.astype(np.float64)[:, None]
    values = np.divide(wide, steps, out=np.zeros_like(wide), where=steps > 0.0)
    np.clip(np.rint(values, out=values), -LEVELS, LEVELS, out=values)
    codes.values[part] = values
    codes.scales[part] = scales
    values *= steps
    np.subtract(wide, values, out=wide)
    slack = (wide.shape[1] + 8) * _EPSILON
    residuals = np.sqrt(np.square(wide, out=wide).sum(axis=1))
    codes.residuals[part] = round_up(residuals * (1.0 + slack) + norms * slack)
    codes.norms[part] = round_up(norms * (1.0 + slack))
    return True


def round_up(values: Float64) -> Float32:
    """Return the smallest float32 not below each of `values`."""
    narrow = values.astype(np.float32)
    low = narrow.astype(np.float64) < values
    return np.where(low, np.nextafter(narrow, np.float32(np.inf)), narrow)
