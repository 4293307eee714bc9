"""logo.sift: places of a picture that look the same when it is scaled, turned or printed (SIFT).

Each becomes a vector of its own, with the square around it. One alone proves nothing: a search
looks for several whose places agree (`core/stages/_geometry.py`). It finds this artwork, not this
brand: redrawn it is another one, and in one colour what is left of it is its outline. Lowe 2004;
RootSIFT: Arandjelović, Zisserman 2012.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

import numpy as np

from core.arrays import Float32, UInt8
from core.errors import MissingExtraError
from core.media.decode import decode_grey
from core.ports.media import Chunk, Extraction, MediaInfo, MediaWarning, Place

# Keypoints of a reference on each ground, and of a query; the strongest.
REFERENCE_KEYPOINTS: Final = 150
QUERY_KEYPOINTS: Final = 800
# The longer side, in px, that pictures are brought to: logos are plain, scenes hold small ones.
_REFERENCE_SIDE: Final = 384
_QUERY_SIDE: Final = 1280
# A logo without a ground of its own is printed on light things and on dark ones.
_GROUNDS: Final = (255, 0)
# Logos end where their picture ends; what is printed has room around it, and the places along its
# edge show that room. This share of the longer side is put around references.
_ROOM: Final = 0.25
# Weaker and more edge-like than Lowe's 0.04 and 10: flat shapes have few places, and what agrees by
# accident is kept out later. Set on logos that none of the figures reported is of.
_LEAST_CONTRAST, _MOST_EDGE_LIKE = 0.01, 30
# A dark logo shows less than this share of its places on a dark ground, a white one on a white
# ground: there it is printed in negative.
_INVISIBLE: Final = 0.25
# Fewer are not recognised by: a search asks for as many to agree.
_FEWEST: Final = 6


def extract_logo(
    data: bytes, *, as_query: bool, declared_type: str | None, max_chunks: int | None
) -> Extraction:
    """Return a picture's keypoints, strongest first; see `extraction.extract`."""
    require_opencv()
    side = _QUERY_SIDE if as_query else _REFERENCE_SIDE
    grey = decode_grey(data, side, declared_type, grounds=_GROUNDS[:1] if as_query else _GROUNDS)
    media = MediaInfo(
        content_type=grey.content_type,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        width=grey.width,
        height=grey.height,
    )
    scale = grey.width / grey.planes[0].shape[1]
    if as_query:
        found = list(_keypoints(grey.planes[0], QUERY_KEYPOINTS, scale))
    else:
        found = _reference_keypoints(grey.planes, scale)
    notes = list(grey.warnings)
    if len(found) < _FEWEST:
        message = f"only {len(found)} places with detail, needs {_FEWEST}: nothing was compared"
        return Extraction((), media, (*notes, MediaWarning("low_quality", message)))
    total = None
    if max_chunks is not None and len(found) > max_chunks:
        notes.append(
            MediaWarning(
                "chunks_sampled",
                f"{max_chunks} of {len(found)} places were searched, the clearest (max_chunks)",
            )
        )
        total, found = len(found), found[:max_chunks]
    return Extraction(tuple(found), media, tuple(notes), total)


def require_opencv() -> None:
    """Raise `MissingExtraError` if OpenCV is not installed."""
    try:
        import cv2  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise MissingExtraError(
            "logo.sift needs OpenCV: install trawl-retriever[logo]", extra="logo"
        ) from error


def _reference_keypoints(planes: Sequence[UInt8], scale: float) -> list[Chunk]:
    """Return the keypoints on each ground; on one where a logo is not seen, of its negative."""
    room = round(_ROOM * max(planes[0].shape))
    # One that is the same on each ground has none of them; what surrounds it goes on.
    grounds = _GROUNDS if len(planes) > 1 else (None,)
    seen = [
        list(_keypoints(plane, REFERENCE_KEYPOINTS, scale, room, ground))
        for plane, ground in zip(planes, grounds, strict=True)
    ]
    if len(seen) > 1:
        fewer, more = sorted(range(len(seen)), key=lambda n: len(seen[n]))
        if len(seen[fewer]) < _INVISIBLE * len(seen[more]):
            seen[fewer] = [replace(each, vector=_negative(each.vector)) for each in seen[more]]
    return [chunk for chunks in seen for chunk in chunks]


def _keypoints(
    plane: UInt8, most: int, scale: float, room: int = 0, ground: int | None = None
) -> Iterator[Chunk]:
    """Yield the strongest keypoints of a picture, with `room` px around it: of a grey, else
    of what its edges have."""
    import cv2

    opencv: Any = cv2
    if room:
        how = opencv.BORDER_REPLICATE if ground is None else opencv.BORDER_CONSTANT
        plane = opencv.copyMakeBorder(plane, room, room, room, room, how, value=ground or 0)
    points, descriptors = _detector().detectAndCompute(plane, None)
    if descriptors is None:
        return
    order = sorted(range(len(points)), key=lambda n: -points[n].response)[:most]
    roots = _root_sift(np.asarray(descriptors, np.float32)[order])
    for vector, n in zip(roots, order, strict=True):
        (x, y), size = points[n].pt, max(points[n].size, 2.0)
        x, y = x - room, y - room
        box = tuple(round(scale * at) for at in (x - size, y - size, x + size, y + size))
        if vector.any():
            yield Chunk(vector, Place(box=(box[0], box[1], box[2], box[3])))


def _negative(vector: Float32 | UInt8) -> Float32:
    """Return the descriptor, (128,), of the same place in the negative of the picture.

    All gradients turn around, so its own direction does: seen from there the 4 × 4 cells are in
    reverse order, each with the same 8 directions.
    """
    return np.ascontiguousarray(vector.reshape(4, 4, 8)[::-1, ::-1], np.float32).reshape(-1)


def _root_sift(descriptors: Float32) -> Float32:
    total = descriptors.sum(axis=1, keepdims=True)
    roots: Float32 = np.sqrt(descriptors / np.maximum(total, 1e-7)).astype(np.float32)
    return roots


@lru_cache(maxsize=1)
def _detector() -> Any:
    import cv2

    opencv: Any = cv2  # its own description of itself lacks SIFT
    opencv.setNumThreads(1)
    opencv.ocl.setUseOpenCL(False)
    # All of them: its own limit leaves out places of the same strength by chance.
    return opencv.SIFT_create(contrastThreshold=_LEAST_CONTRAST, edgeThreshold=_MOST_EDGE_LIKE)
