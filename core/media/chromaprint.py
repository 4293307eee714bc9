"""Chromaprint, the acoustic fingerprint behind AcoustID, in numpy: https://acoustid.org/chromaprint.

The published default algorithm (TEST2): power spectra of 0.37 s, every 0.12 s, folded onto the
twelve notes of an octave; sixteen filters over 2 s of that image, two bits each. It knows the same
recording again, re-encoded or noisy, not another performance of the same piece.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.arrays import UInt8

SAMPLE_RATE: Final = 11_025  # Hz, mono, signed 16 bit
FRAME: Final = 4096
HOP: Final = 1365
WINDOW: Final = 8  # sub-fingerprints in one vector: 256 bits
_NOTES: Final = 12
_SMOOTHING: Final = (0.25, 0.75, 1.0, 0.75, 0.25)
_FILTER_ROWS: Final = 16
_SILENCE: Final = 0.01  # below that energy, at most 1 a sample, a row of notes says nothing
# Spectra that are worked out at once: bounds memory, 4 MB.
_BLOCK: Final = 128

# (type, first note, notes, rows), and the three thresholds between the four levels of its answer.
_CLASSIFIERS: Final = (
    ((0, 4, 3, 15), (1.98215, 2.35817, 2.63523)),
    ((4, 4, 6, 15), (-1.03809, -0.651211, -0.282167)),
    ((1, 0, 4, 16), (-0.298702, 0.119262, 0.558497)),
    ((3, 8, 2, 12), (-0.105439, 0.0153946, 0.135898)),
    ((3, 4, 4, 8), (-0.142891, 0.0258736, 0.200632)),
    ((4, 0, 3, 5), (-0.826319, -0.590612, -0.368214)),
    ((1, 2, 2, 9), (-0.557409, -0.233035, 0.0534525)),
    ((2, 7, 3, 4), (-0.0646826, 0.00620476, 0.0784847)),
    ((2, 6, 2, 16), (-0.192387, -0.029699, 0.215855)),
    ((2, 1, 3, 2), (-0.0397818, -0.00568076, 0.0292026)),
    ((5, 10, 1, 15), (-0.53823, -0.369934, -0.190235)),
    ((3, 6, 2, 10), (-0.124877, 0.0296483, 0.139239)),
    ((2, 1, 1, 14), (-0.101475, 0.0225617, 0.231971)),
    ((3, 5, 6, 4), (-0.0799915, -0.00729616, 0.063262)),
    ((1, 9, 2, 12), (-0.272556, 0.019424, 0.302559)),
    ((3, 4, 2, 14), (-0.164292, -0.0321188, 0.0846339)),
)
_GRAY: Final = np.array([0, 1, 3, 2], np.uint32)

_Array = NDArray[np.float64]
# The audio behind one vector, in samples: frames overlap, filters and vectors look ahead.
_SPAN: Final = (WINDOW - 1 + _FILTER_ROWS - 1 + len(_SMOOTHING) - 1) * HOP + FRAME
SPAN_SECONDS: Final = _SPAN / SAMPLE_RATE  # 3.59


@dataclass(frozen=True, slots=True)
class AudioFingerprint:
    """Sub-fingerprints, (n,) uint32, one each 0.124 s, as `fpcalc -raw` prints them.

    `loud`, (n,), is the share of each one's rows of notes that are not silent, 0–1.
    """

    values: NDArray[np.uint32]
    loud: _Array

    def windows(self) -> UInt8:
        """Return the vectors, (n - 7, 32) uint8: eight sub-fingerprints each, in order."""
        if len(self.values) < WINDOW:
            return np.empty((0, 4 * WINDOW), np.uint8)
        runs = np.lib.stride_tricks.sliding_window_view(self.values, WINDOW)
        return np.ascontiguousarray(runs, ">u4").view(np.uint8)

    def window_loudness(self) -> _Array:
        """Return how much of each vector's audio is not silent, (n - 7,), 0–1."""
        if len(self.loud) < WINDOW:
            return np.empty(0)
        runs = np.lib.stride_tricks.sliding_window_view(self.loud, WINDOW)
        return np.asarray(runs.mean(axis=1))


def place_ms(window: int) -> tuple[int, int]:
    """Return where in the audio a vector lies, in ms from its beginning."""
    first = window * HOP
    return round(1000 * first / SAMPLE_RATE), round(1000 * (first + _SPAN) / SAMPLE_RATE)


class Fingerprinter:
    """Fingerprints a stream of samples; holds 96 bytes for each 0.124 s of it."""

    def __init__(self) -> None:
        self._rest = np.empty(0, np.int16)
        self._rows: list[_Array] = []

    def feed(self, samples: NDArray[np.int16]) -> None:
        """Take the next samples, (n,), mono at `SAMPLE_RATE`."""
        self._rest = np.concatenate([self._rest, samples])
        while len(self._rest) >= FRAME + (_BLOCK - 1) * HOP:
            self._fold(_BLOCK)

    def finish(self) -> AudioFingerprint:
        """Return the fingerprint of all that was fed: empty below 2.7 s."""
        whole = (len(self._rest) - FRAME) // HOP + 1
        if whole > 0:
            self._fold(whole)
        notes = np.concatenate([np.empty((0, _NOTES)), *self._rows])
        return _fingerprint(notes)

    def _fold(self, count: int) -> None:
        """Fold the next `count` frames onto the notes."""
        frames = np.lib.stride_tricks.sliding_window_view(self._rest, FRAME)[: count * HOP : HOP]
        spectra = np.fft.rfft(frames * _hamming(), axis=1)
        first, bands = _bands()
        part = spectra[:, first : first + len(bands)]
        self._rows.append((part.real**2 + part.imag**2) @ bands)
        self._rest = self._rest[count * HOP :].copy()


def _fingerprint(notes: _Array) -> AudioFingerprint:
    """Return the sub-fingerprints of rows of note energies, (n, 12)."""
    rows = len(notes) - len(_SMOOTHING) + 1
    count = rows - _FILTER_ROWS + 1
    if count < 1:
        return AudioFingerprint(np.empty(0, np.uint32), np.empty(0))
    smooth = sum(
        (weight * notes[at : at + rows] for at, weight in enumerate(_SMOOTHING)),
        np.zeros((rows, _NOTES)),
    )
    norm = np.sqrt((smooth**2).sum(axis=1, keepdims=True))
    silent = norm < _SILENCE
    image = np.where(silent, 0.0, smooth / np.where(silent, 1.0, norm))
    # Sums over any rectangle from four corners (Viola and Jones).
    corners = np.zeros((rows + 1, _NOTES + 1))
    corners[1:, 1:] = image.cumsum(axis=0).cumsum(axis=1)
    values = np.zeros(count, np.uint32)
    for shape, thresholds in _CLASSIFIERS:
        level = np.searchsorted(np.array(thresholds), _apply(corners, count, shape), "right")
        values = values << np.uint32(2) | _GRAY[level]
    audible = np.concatenate([[0.0], np.cumsum(~silent[:, 0])])
    loud = (audible[_FILTER_ROWS:] - audible[:-_FILTER_ROWS]) / _FILTER_ROWS
    return AudioFingerprint(values, loud)


def _apply(corners: _Array, count: int, shape: tuple[int, int, int, int]) -> _Array:
    """Return one filter's answer at each of `count` rows: log(1 + ours) - log(1 + theirs)."""
    kind, note, height, width = shape

    def area(left: int, bottom: int, right: int, top: int) -> _Array:
        low, high = corners[left : left + count], corners[right : right + count]
        y, z = note + bottom, note + top
        result: _Array = high[:, z] - low[:, z] - high[:, y] + low[:, y]
        return result

    whole = area(0, 0, width, height)
    half, middle = width // 2, height // 2
    if kind == 0:
        ours, theirs = whole, np.zeros(count)
    elif kind == 1:  # upper notes against lower
        theirs = area(0, 0, width, middle)
        ours = area(0, middle, width, height)
    elif kind == 2:  # later against earlier
        theirs = area(0, 0, half, height)
        ours = area(half, 0, width, height)
    elif kind == 3:  # one diagonal against the other
        ours = area(0, middle, half, height) + area(half, 0, width, middle)
        theirs = area(0, 0, half, middle) + area(half, middle, width, height)
    elif kind == 4:  # middle notes against the others
        third = height // 3
        ours = area(0, third, width, 2 * third)
        theirs = area(0, 0, width, third) + area(0, 2 * third, width, height)
    else:  # the middle in time against the rest
        third = width // 3
        ours = area(third, 0, 2 * third, height)
        theirs = area(0, 0, third, height) + area(2 * third, 0, width, height)
    answer: _Array = np.log1p(ours) - np.log1p(theirs)
    return answer


@lru_cache(maxsize=1)
def _hamming() -> _Array:
    window: _Array = np.hamming(FRAME) / 32_767
    return window


@lru_cache(maxsize=1)
def _bands() -> tuple[int, NDArray[Any]]:
    """Return the first frequency that counts, 28 Hz, and (frequencies to 3,520 Hz, 12) of 0 and 1:
    which belongs to which note."""
    first, last = (round(FRAME * hz / SAMPLE_RATE) for hz in (28, 3520))
    octaves = np.log2(np.arange(first, last) * SAMPLE_RATE / FRAME / (440 / 16))
    note = (_NOTES * (octaves % 1)).astype(int)
    return first, np.eye(_NOTES)[note]
