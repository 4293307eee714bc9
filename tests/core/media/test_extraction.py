"""Extraction: one chunk for a reference, eight views for a query, and never a silent nothing."""

import hashlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.arrays import Float32, UInt8
from core.errors import InvalidRequestError
from core.media.extraction import extract
from core.media.extractors import IMAGE_CROPS
from tests.core.media.pictures import distance, encode, landscape

PHOTO = landscape(1)
FILE = encode(PHOTO, "PNG")


def hash_of(data: bytes) -> Float32 | UInt8:
    """Return the hash of the whole image."""
    return extract("image.pdq", data).chunks[0].vector


def test_a_reference_is_the_whole_image_and_its_crops_with_its_facts() -> None:
    found = extract("image.pdq", FILE)
    assert [chunk.variant for chunk in found.chunks] == ["original", *IMAGE_CROPS]
    (old,) = extract("image.pdq@v1", FILE).chunks
    assert (old.vector == found.chunks[0].vector).all()
    chunk = found.chunks[0]
    assert chunk.vector.shape == (32,)
    assert chunk.vector.dtype == np.uint8
    assert chunk.variant == "original"
    assert chunk.quality is not None
    assert chunk.quality >= 50
    assert found.warnings == ()
    media = found.media
    assert (media.content_type, media.width, media.height) == ("image/png", 320, 240)
    assert (media.size_bytes, media.sha256) == (len(FILE), hashlib.sha256(FILE).hexdigest())


def test_a_query_has_eight_views_the_reference_first() -> None:
    found = extract("trawl://image.pdq@v2/hash", FILE, as_query=True, max_chunks=1)
    assert len({chunk.vector.tobytes() for chunk in found.chunks}) == 8
    assert found.chunks[0].variant == "original"
    assert distance(found.chunks[0].vector, hash_of(FILE)) == 0
    old = extract("image.pdq@v1", FILE, as_query=True)
    assert [chunk.variant for chunk in old.chunks] == [chunk.variant for chunk in found.chunks]


@pytest.mark.parametrize(
    ("turn", "variant"),
    [
        (Image.Transpose.FLIP_LEFT_RIGHT, "flip_horizontal"),
        (Image.Transpose.ROTATE_90, "rotate_270"),
        (Image.Transpose.ROTATE_180, "rotate_180"),
    ],
)
def test_one_view_of_a_turned_copy_matches(turn: Image.Transpose, variant: str) -> None:
    reference = hash_of(FILE)
    copy = encode(PHOTO.transpose(turn), "JPEG", quality=60)
    views = extract("image.pdq", copy, as_query=True).chunks
    best = min(views, key=lambda chunk: distance(chunk.vector, reference))
    assert best.variant == variant
    assert distance(best.vector, reference) <= 16


@pytest.mark.parametrize("size", [(160, 120), (640, 480), (200, 200)])
def test_a_resized_copy_matches(size: tuple[int, int]) -> None:
    assert distance(hash_of(encode(PHOTO.resize(size), "PNG")), hash_of(FILE)) <= 16


def test_views_that_are_equal_are_given_once() -> None:
    side = np.asarray(landscape(4, 64, 64).convert("L")).astype(np.int32)
    once = np.triu(side) + np.triu(side, 1).T
    views = extract(
        "image.pdq", encode(Image.fromarray(once.astype(np.uint8)), "PNG"), as_query=True
    )
    names = [chunk.variant for chunk in views.chunks]
    assert names[0] == "original"
    assert "transpose" not in names
    assert len({chunk.vector.tobytes() for chunk in views.chunks}) == len(names)


@pytest.mark.parametrize("image", [Image.new("RGB", (300, 300), "navy"), Image.new("L", (3, 3))])
@pytest.mark.parametrize("as_query", [False, True])
@pytest.mark.parametrize("extractor", ["image.pdq@v1", "image.pdq@v2"])
def test_too_little_detail_is_a_warning_not_a_clean_nothing(
    image: Image.Image, as_query: bool, extractor: str
) -> None:
    found = extract(extractor, encode(image, "PNG"), as_query=as_query)
    assert found.chunks == ()
    (warning,) = found.warnings
    assert warning.code == "low_quality"
    assert "too little detail to fingerprint" in warning.message


def test_a_few_pixels_are_too_few_however_they_contrast() -> None:
    checks = Image.fromarray((np.indices((4, 4)).sum(axis=0) % 2 * 255).astype(np.uint8))
    found = extract("image.pdq", encode(checks, "PNG"))
    assert [warning.code for warning in found.warnings] == ["low_quality"]


@pytest.mark.parametrize(
    "wrong", [{"extractor": "image.x"}, {"params": {"side": 64}}, {"max_chunks": 0}]
)
def test_a_wrong_request_is_the_callers(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        extract(**{"extractor": "image.pdq", "data": FILE, **wrong})
