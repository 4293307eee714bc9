"""The picture inside a still image's border: a page's margin, a frame, the bars of a screenshot."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.arrays import UInt8
from core.media.borders import FULL, Frame

# How far a border's lines may be from the outermost one, and how much one line may vary: what
# JPEG leaves of a plain colour, worst beside the picture. In levels of 255.
_DRIFT: Final = 6.0
_NOISE: Final = 8.0
# A border is at most this share of a side; more is a small thing on a plain ground.
_MOST: Final = 0.4


def picture_inside(luma: UInt8) -> Frame:
    """Return where the picture lies within lines of one colour; `FULL` if there are none.

    Of an image in one colour it is `FULL` too: it has no picture.
    """
    top, bottom = _lines(luma)
    left, right = _lines(luma.T)
    return Frame(top, bottom, left, right)


def _lines(luma: UInt8) -> tuple[int, int | None]:
    """Return the first row that is no border, and, from the end, the one after the last."""
    level, spread = _levels(luma)
    plain = spread <= _NOISE
    if plain.all():
        return FULL.top, FULL.bottom
    before = _border(plain, level)
    after = _border(plain[::-1], level[::-1])
    return before, -after if after else None


def _levels(luma: UInt8) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each row's mean and standard deviation, without a copy of the picture in floats."""
    mean = luma.mean(axis=1)
    squares = np.einsum("ij,ij->i", luma, luma, dtype=np.float64) / luma.shape[1]
    return mean, np.sqrt(np.maximum(squares - mean**2, 0.0))


def _border(plain: NDArray[np.bool_], level: NDArray[np.float64]) -> int:
    """Return how many lines from the first on are of its colour; 0 for too many."""
    like_first = plain & (np.abs(level - level[0]) <= _DRIFT)
    width = int(np.argmin(like_first))
    return 0 if width > _MOST * len(plain) else width
