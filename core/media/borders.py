"""The picture inside a film's borders: letterboxes, pillarboxes, a frame of one colour."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.arrays import UInt8

# The standard deviation of encoding's noise within a border, which is worst beside the picture,
# and how much a border may change over time, in levels of 255.
_NOISE = 8.0
_DRIFT = 12.0
# A border is at most this share of a side; more is a dark scene, or a title on a plain ground.
_MOST = 0.4


@dataclass(frozen=True, slots=True)
class Frame:
    """The rows and columns within the borders; `None` ends are the picture's own."""

    top: int = 0
    bottom: int | None = None
    left: int = 0
    right: int | None = None

    def cut(self, luma: UInt8) -> UInt8:
        """Return the picture without its borders."""
        return luma[self.top : self.bottom, self.left : self.right]


FULL = Frame()


class Borders:
    """Watches frames of one size, (h, w) luminances, for lines that never hold anything."""

    def __init__(self) -> None:
        self._rows: _Lines | None = None
        self._columns: _Lines | None = None

    def add(self, luma: UInt8) -> None:
        """Take the next frame."""
        if self._rows is None or self._columns is None:
            self._rows, self._columns = _Lines(luma.shape[0]), _Lines(luma.shape[1])
        self._rows.add(luma)
        self._columns.add(luma.T)

    def inside(self) -> Frame:
        """Return where the picture lies; all of it if there are no borders, or nothing else."""
        if self._rows is None or self._columns is None:
            return FULL
        top, bottom = self._rows.inside()
        left, right = self._columns.inside()
        return Frame(top, bottom, left, right)


class _Lines:
    """What is known of each row (or column) over all frames."""

    def __init__(self, count: int) -> None:
        self._spread = np.zeros(count)
        self._low = np.full(count, 255.0)
        self._high = np.zeros(count)

    def add(self, luma: UInt8) -> None:
        np.maximum(self._spread, luma.std(axis=1), out=self._spread)
        level = luma.mean(axis=1)
        np.minimum(self._low, level, out=self._low)
        np.maximum(self._high, level, out=self._high)

    def inside(self) -> tuple[int, int | None]:
        """Return the first line of the picture and the one after its last, None for the end."""
        empty: NDArray[np.bool_] = (self._spread <= _NOISE) & (self._high - self._low <= _DRIFT)
        if empty.all():
            return 0, None
        first = int(np.argmin(empty))
        after = int(np.argmin(empty[::-1]))
        most = int(_MOST * len(empty))
        if first > most or after > most:
            return 0, None
        return first, -after if after else None
