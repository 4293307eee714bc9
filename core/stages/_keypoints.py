"""Which stored pictures have places that lie in a query's picture as they lie in them."""

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from core.arrays import Float32, UInt8
from core.hits import QueryChunk
from core.ports.keypoints import Keypoints, VerifyRule
from core.ports.media import GeometryRule
from core.stages._geometry import Sighting, StoredPlace, find_sightings

# Places look alike up to so many of 128 bits, if the next best is clearly farther (Lowe 2004).
_ALIKE_BITS: Final = 30
_NEXT_BEST: Final = 0.85
_NO_VECTOR: Final = np.zeros(0, np.uint8)


def sighted_pictures(
    rule: VerifyRule, query: Keypoints, stored: Mapping[int, Keypoints]
) -> dict[int, Sighting]:
    """Return, by their numbers, the pictures of which at least `rule.inliers` places are in the
    query's and agree on one scaling, turning and moving."""
    needed = GeometryRule(
        min_score=-np.inf, near=1, review=rule.inliers, match=rule.inliers, chunks=len(query)
    )
    bits = _signs(query.descriptors)
    sightings: dict[int, Sighting] = {}
    for number, picture in stored.items():
        alike = list(_alike(bits, picture.descriptors))
        if len(alike) < rule.inliers:
            continue
        chunks = [QueryChunk(_NO_VECTOR, box=_box(query, place)) for place, _, _ in alike]
        found = [[((str(other), ""), -distance)] for _, other, distance in alike]
        places = {(str(other), ""): StoredPlace("", _box(picture, other)) for _, other, _ in alike}
        seen = find_sightings(needed, chunks, found, places)
        if seen:
            sightings[number] = seen[0]
    return sightings


def _alike(bits: Float32, descriptors: UInt8) -> Iterator[tuple[int, int, float]]:
    """Yield pairs of places, each the other's nearest, and how many bits they are apart."""
    if not len(bits) or not len(descriptors):
        return
    others = _signs(descriptors)
    apart = (bits.shape[1] - bits @ others.T) / 2
    nearest, back = apart.argmin(axis=1), apart.argmin(axis=0)
    rows = np.arange(len(bits))
    least = apart[rows, nearest]
    mutual = np.flatnonzero((back[nearest] == rows) & (least <= _ALIKE_BITS))
    if len(descriptors) > 1:
        # Of strangers few are left: to look for the next best of all took longer than the rest.
        second = np.partition(apart[mutual], 1, axis=1)[:, 1]
        mutual = mutual[least[mutual] <= _NEXT_BEST * second]
    for place in mutual.tolist():
        yield place, int(nearest[place]), float(least[place])


def _signs(descriptors: UInt8) -> Float32:
    """Return bits (n, 8 · width) as ±1: products of such are exact in float32."""
    return np.unpackbits(descriptors, axis=1).astype(np.float32) * 2 - 1


def _box(picture: Keypoints, place: int) -> tuple[float, float, float, float]:
    left, top, right, bottom = picture.boxes[place].tolist()
    return left, top, right, bottom
