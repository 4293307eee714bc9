"""logo.sift: places of a picture that look the same when it is scaled, turned or printed (SIFT).

Each becomes a vector of its own, with the square around it. One alone proves nothing: a search
looks for several whose places agree (`core/stages/_geometry.py`). It finds this artwork, not this
brand: recoloured or redrawn it is another one. Lowe 2004; RootSIFT: Arandjelović, Zisserman 2012.
"""

import hashlib
from collections.abc import Iterator
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
    most = QUERY_KEYPOINTS if as_query else REFERENCE_KEYPOINTS
    found = [chunk for plane in grey.planes for chunk in _keypoints(plane, most, scale)]
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


def _keypoints(plane: UInt8, most: int, scale: float) -> Iterator[Chunk]:
    points, descriptors = _detector(most).detectAndCompute(plane, None)
    if descriptors is None:
        return
    order = sorted(range(len(points)), key=lambda n: -points[n].response)[:most]
    roots = _root_sift(np.asarray(descriptors, np.float32)[order])
    for vector, n in zip(roots, order, strict=True):
        (x, y), size = points[n].pt, max(points[n].size, 2.0)
        box = tuple(round(scale * at) for at in (x - size, y - size, x + size, y + size))
        if vector.any():
            yield Chunk(vector, Place(box=(box[0], box[1], box[2], box[3])))


def _root_sift(descriptors: Float32) -> Float32:
    total = descriptors.sum(axis=1, keepdims=True)
    roots: Float32 = np.sqrt(descriptors / np.maximum(total, 1e-7)).astype(np.float32)
    return roots


@lru_cache(maxsize=2)
def _detector(most: int) -> Any:
    import cv2

    opencv: Any = cv2  # its own description of itself lacks SIFT
    opencv.setNumThreads(1)
    opencv.ocl.setUseOpenCL(False)
    return opencv.SIFT_create(nfeatures=most)
