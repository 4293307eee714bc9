"""Places of a picture that a copy has too, packed: as they are stored beside its hashes and travel.

Four bytes of width and height, in px, then 19 bytes a place: a 128-bit descriptor, where it lies
in 256ths of the picture's longer side, and its octave from 1 on; 0 is room that is not used.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from core.arrays import Float64, UInt8

DESCRIPTOR_BYTES: Final = 16
PLACE_BYTES: Final = DESCRIPTOR_BYTES + 3
# Of a query; a reference has fewer.
MOST_KEYPOINTS: Final = 500
_HEAD_BYTES: Final = 4
_OCTAVES: Final = 8
# The side of the square that ORB describes, at its first octave and of a picture of 512 px, and by
# how much octaves differ.
_PATCH, _SIDE, _STEP = 31.0, 512.0, 1.2
_MOST_SIDE: Final = (1 << 16) - 1
_MIRRORED: Final = ("flip_vertical", "flip_horizontal", "transpose", "transverse")


def is_mirrored(variant: str) -> bool:
    """Say whether a view shows a picture's mirror image, turned or not."""
    return variant.startswith(_MIRRORED)


@dataclass(frozen=True, slots=True)
class VerifyRule:
    """Which documents are too far away to be called near, and near enough to be looked at by their
    places, and how many places that agree verify one.

    `stored` is the name of the vector that holds a document's places. Documents that score from
    `least_score` up to `found_from`, which is near by itself, are candidates, the `checked` nearest
    of them. One with `inliers` such places scores `found_from`, with more of them more, and never
    `most_score`: that is left to what is as near as the same file.
    """

    stored: str
    least_score: float
    found_from: float
    most_score: float
    checked: int
    inliers: int

    def score(self, inliers: int) -> float:
        """Return what a document with so many agreeing places scores."""
        more = (inliers - self.inliers) / inliers
        return self.found_from + (self.most_score - self.found_from) * more


@dataclass(frozen=True, slots=True)
class Keypoints:
    """n places: descriptors (n, 16) uint8, and squares (n, 4) left, top, right, bottom in px of a
    picture of this width."""

    width: int
    descriptors: UInt8
    boxes: Float64

    def __len__(self) -> int:
        return len(self.boxes)


def packed_size(places: int) -> int:
    """Return how many bytes so many places take."""
    return _HEAD_BYTES + PLACE_BYTES * places


def pack_keypoints(
    descriptors: UInt8, places: UInt8, *, size: tuple[int, int], room: int | None = None
) -> UInt8:
    """Return descriptors (n, 16) and places (n, 3) as bytes (k,), of `room` places at least."""
    count = len(descriptors)
    packed = np.zeros(packed_size(max(count, room or 0)), np.uint8)
    sides = np.minimum(size, _MOST_SIDE).astype(">u2")
    packed[:_HEAD_BYTES] = np.frombuffer(sides.tobytes(), np.uint8)
    table = packed[_HEAD_BYTES:].reshape(-1, PLACE_BYTES)
    table[:count, :DESCRIPTOR_BYTES] = descriptors
    table[:count, DESCRIPTOR_BYTES:] = places
    return packed


def unpack_keypoints(packed: UInt8) -> Keypoints:
    """Return what was packed. Any bytes of such a length mean something: nobody vouches for them.

    Raises `ValueError` for any other length.
    """
    if packed.size < _HEAD_BYTES or (packed.size - _HEAD_BYTES) % PLACE_BYTES:
        raise ValueError(f"{packed.size} bytes are no keypoints")
    width, height = (int(side) for side in packed[:_HEAD_BYTES].view(">u2"))
    table = packed[_HEAD_BYTES:].reshape(-1, PLACE_BYTES)
    table = table[table[:, -1] > 0]
    unit = max(width, height, 1) / 256
    middles = (table[:, DESCRIPTOR_BYTES:-1].astype(np.float64) + 0.5) * unit
    octaves = np.minimum(table[:, -1], _OCTAVES).astype(np.float64) - 1
    halves = (_PATCH * _STEP**octaves * (256 * unit / _SIDE))[:, None]
    boxes = np.concatenate([middles - halves, middles + halves], axis=1)
    return Keypoints(width, np.ascontiguousarray(table[:, :DESCRIPTOR_BYTES]), boxes)
