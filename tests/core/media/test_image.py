"""image.pdq version 2: borders and crops of references, and what a query meets of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from core.media.borders import FULL, Frame
from core.media.extraction import extract
from core.media.extractors import IMAGE_CROPS, IMAGE_PDQ
from core.media.margins import picture_inside
from tests.core.media.pictures import distance, encode, landscape

SEEDS = range(1, 13)


def framed(image: Image.Image, width: int, colour: str) -> Image.Image:
    size = (image.width + 2 * width, image.height + 2 * width)
    page = Image.new("RGB", size, colour)
    page.paste(image, (width, width))
    return page


def cropped(image: Image.Image, left: float, top: float, share: float) -> Image.Image:
    width, height = image.size
    box = (left * width, top * height, (left + share) * width, (top + share) * height)
    return image.crop(tuple(round(edge) for edge in box))  # type: ignore[arg-type]  # four of them


def nearest(copy: Image.Image, original: Image.Image) -> tuple[int, str, str]:
    """Return the least distance of a query to a reference, and which views met there."""
    asked = extract("image.pdq", encode(copy, "JPEG", quality=85), as_query=True).chunks
    stored = extract("image.pdq", encode(original, "JPEG", quality=95)).chunks
    return min(
        (distance(left.vector, right.vector), left.variant, right.variant)
        for left in asked
        for right in stored
    )


@pytest.mark.parametrize("colour", ["white", "black", "#7a2020"])
def test_a_copy_in_a_border_meets_the_whole_reference(colour: str) -> None:
    for seed in SEEDS:
        photo = landscape(seed)
        bits, asked, stored = nearest(framed(photo, 20, colour), photo)
        assert bits <= 31, seed
        assert (asked, stored) == ("original+inside", "original")


def test_a_copy_without_the_references_border_meets_what_is_inside() -> None:
    for seed in SEEDS:
        photo = landscape(seed)
        bits, _, stored = nearest(photo, framed(photo, 20, "white"))
        assert (bits <= 31, stored) == (True, "inside"), seed


@pytest.mark.parametrize(("left", "top"), [(0.025, 0.025), (0, 0), (0.05, 0), (0, 0.05), (0.05, 0)])
def test_a_copy_without_a_strip_of_its_edges_is_near_a_crop(left: float, top: float) -> None:
    distances = [nearest(cropped(landscape(n), left, top, 0.95), landscape(n)) for n in SEEDS]
    assert max(bits for bits, _, _ in distances) <= 31
    assert {stored for _, _, stored in distances} <= {"original", *IMAGE_CROPS}


def test_strangers_stay_strangers() -> None:
    bits = [nearest(landscape(n), landscape(m))[0] for n in range(6) for m in range(6) if n != m]
    assert min(bits) > IMAGE_PDQ.thresholds.review


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    height=st.integers(8, 120),
    width=st.integers(8, 120),
    contrast=st.integers(60, 255),
)
def test_a_picture_without_a_border_is_never_trimmed(
    seed: int, height: int, width: int, contrast: int
) -> None:
    rng = np.random.default_rng(seed)
    luma = (rng.integers(0, 2, (height, width)) * contrast).astype(np.uint8)
    # A line of noise may be plain by chance; each edge gets one pixel row that is not.
    for edge in (luma[0], luma[-1], luma[:, 0], luma[:, -1]):
        edge[::2], edge[1::2] = 0, contrast
    assert picture_inside(luma) == FULL


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    sides=st.tuples(*[st.integers(0, 35)] * 4),
    colour=st.integers(0, 255),
)
def test_exactly_the_border_is_trimmed(
    seed: int, sides: tuple[int, int, int, int], colour: int
) -> None:
    top, bottom, left, right = sides
    rng = np.random.default_rng(seed)
    # Its edges differ from the border in each line, whatever its colour is.
    inner = ((rng.integers(60, 196, (60, 60)) + colour) % 256).astype(np.uint8)
    page = np.full((60 + top + bottom, 60 + left + right), colour, np.uint8)
    page[top : 60 + top, left : 60 + left] = inner
    ends = (-side if side else None for side in (bottom, right))
    bottom_end, right_end = ends
    assert picture_inside(page) == Frame(top, bottom_end, left, right_end)


@pytest.mark.parametrize("share", [0.45, 0.9])
def test_a_small_thing_on_a_plain_ground_is_not_cut_out(share: float) -> None:
    luma = np.full((200, 200), 255, np.uint8)
    luma[round(200 * share) :, :] = np.asarray(landscape(1, 200, 200).convert("L"))[
        round(200 * share) :, :
    ]
    assert picture_inside(luma) == FULL


def test_a_sky_that_grows_darker_is_no_border() -> None:
    luma = np.asarray(landscape(3, 200, 200).convert("L")).copy()
    luma[:60] = np.linspace(90, 210, 60).astype(np.uint8)[:, None]
    frame = picture_inside(luma)
    assert frame.top <= 4


def test_a_crop_without_detail_has_no_hash_and_the_rest_has() -> None:
    photo = Image.new("RGB", (400, 400), "white")
    draw = ImageDraw.Draw(photo)
    # All that is to be seen lies in a strip along the edges.
    for at in range(0, 400, 8):
        draw.rectangle((at, 0, at + 3, 7), "black")
        draw.rectangle((at, 392, at + 3, 399), "black")
        draw.rectangle((0, at, 7, at + 3), "black")
        draw.rectangle((392, at, 399, at + 3), "black")
    found = extract("image.pdq", encode(photo, "PNG"))
    assert "centre_90" not in [chunk.variant for chunk in found.chunks]
    assert bool(found.chunks) == (found.warnings == ())
