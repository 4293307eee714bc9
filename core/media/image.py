"""image.pdq: from an image file to its hashes.

Version 2 hashes a reference several times, so that a copy which lost its border, or a strip along
its edges, meets a hash of what is left. Version 1 hashes it once: what was stored by it is searched
as it always was.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from core.arrays import UInt8
from core.media.borders import FULL
from core.media.decode import Picture, decode_picture
from core.media.extractors import IMAGE_CROPS, INSIDE, Crop
from core.media.margins import picture_inside
from core.media.pdq import MIN_QUALITY, MIN_SIDE, dihedral_hashes, fingerprint
from core.ports.keypoints import is_mirrored
from core.ports.media import Chunk, Extraction, MediaInfo, MediaWarning

# Behind the name of a query's view if it is one of the picture inside a border.
_WITHIN: Final = f"+{INSIDE}"


def extract_image(
    data: bytes, *, as_query: bool, declared_type: str | None, verify: bool = False
) -> Extraction:
    """Return an image's hashes by version 2; see `extraction.extract`.

    A reference's are of the whole image, of the picture inside its border if it has one, and of
    the crops of that picture: the variant names which. A query's are the eight views of the whole
    image, and of the picture inside its border. What has too little detail has no hash.

    With `verify` the first chunk has the picture's places too, and of a query's the first that is
    mirrored those of the mirror image. `MissingExtraError` without OpenCV.
    """
    picture = decode_picture(data, declared_type)
    chunks = list(_query(picture) if as_query else _reference(picture))
    if verify:
        chunks = _with_keypoints(picture, chunks, as_query=as_query)
    return _extraction(picture, data, chunks)


def extract_image_v1(data: bytes, *, as_query: bool, declared_type: str | None) -> Extraction:
    """Return an image's hashes by version 1: one of a reference, eight views of a query."""
    picture = decode_picture(data, declared_type)
    luma = picture.luma
    chunks = list(_views(picture, luma) if as_query else _hashed(picture, luma, "original"))
    return _extraction(picture, data, chunks)


def _with_keypoints(picture: Picture, chunks: list[Chunk], *, as_query: bool) -> list[Chunk]:
    from core.media.keypoints import query_keypoints, reference_keypoints

    if not as_query:
        first = [replace(each, keypoints=reference_keypoints(picture)) for each in chunks[:1]]
        return first + chunks[1:]
    seen: set[bool] = set()
    found = []
    for chunk in chunks:
        mirrored = is_mirrored(chunk.variant)
        keypoints = None if mirrored in seen else query_keypoints(picture, mirrored=mirrored)
        seen.add(mirrored)
        found.append(replace(chunk, keypoints=keypoints))
    return found


def _reference(picture: Picture) -> Iterator[Chunk]:
    inside = picture_inside(picture.luma)
    part = inside.cut(picture.luma)
    yield from _hashed(picture, picture.luma, "original")
    if inside != FULL:
        yield from _hashed(picture, part, INSIDE)
    for name, crop in IMAGE_CROPS.items():
        yield from _hashed(picture, _cut(part, crop), name)


def _hashed(picture: Picture, luma: UInt8, variant: str) -> Iterator[Chunk]:
    found = fingerprint(luma)
    if _is_enough(picture, found.quality):
        yield Chunk(found.hash, quality=float(found.quality), variant=variant)


def _query(picture: Picture) -> Iterator[Chunk]:
    inside = picture_inside(picture.luma)
    yield from _views(picture, picture.luma)
    if inside != FULL:
        # What looks like a border may be a part of the picture: both are looked for.
        yield from _views(picture, inside.cut(picture.luma), _WITHIN)


def _views(picture: Picture, luma: UInt8, suffix: str = "") -> Iterator[Chunk]:
    quality = fingerprint(luma).quality
    if not _is_enough(picture, quality):
        return
    views = dihedral_hashes(luma)
    # A symmetric picture has fewer than eight different views: equal hashes find the same.
    distinct = {vector.tobytes(): name for name, vector in reversed(views.items())}
    for name, vector in views.items():
        if distinct[vector.tobytes()] == name:
            yield Chunk(vector, quality=float(quality), variant=name + suffix)


def _is_enough(picture: Picture, quality: int) -> bool:
    return quality >= MIN_QUALITY and not _is_tiny(picture)


def _is_tiny(picture: Picture) -> bool:
    return min(picture.width, picture.height) < MIN_SIDE


def _cut(luma: UInt8, crop: Crop) -> UInt8:
    height, width = luma.shape
    (top, bottom), (left, right) = (
        (round(side * start), round(side * (start + crop.share)))
        for side, start in ((height, crop.top), (width, crop.left))
    )
    return luma[top:bottom, left:right]


def _extraction(picture: Picture, data: bytes, chunks: list[Chunk]) -> Extraction:
    media = MediaInfo(
        content_type=picture.content_type,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        width=picture.width,
        height=picture.height,
    )
    warnings = picture.warnings
    if not chunks:
        quality = 0 if _is_tiny(picture) else fingerprint(picture.luma).quality
        message = (
            f"too little detail to fingerprint (quality {quality} of 100, needs {MIN_QUALITY}):"
            " nothing was compared"
        )
        warnings = (*warnings, MediaWarning("low_quality", message))
    return Extraction(tuple(chunks), media, warnings)
