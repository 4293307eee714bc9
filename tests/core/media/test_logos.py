"""logo.sift: keypoints of references and queries; skipped where the extra is not installed."""

import random

import numpy as np
import pytest
from PIL import Image, ImageDraw

from core.errors import InvalidRequestError, MediaError, MissingExtraError
from core.media.extraction import extract
from core.media.extractors import LOGO_SIFT
from core.media.rules import ExtractorRules
from tests.core.media.logos import card, logo
from tests.core.media.mutations import mutate
from tests.core.media.pictures import encode

LOGO = encode(logo(1), "PNG")


def _vectors(data: bytes, *, as_query: bool) -> np.ndarray:
    """Return unit vectors (n, 128)."""
    return np.stack([c.vector for c in extract("logo.sift", data, as_query=as_query).chunks])


def test_without_the_extra_a_collection_is_refused_by_its_name() -> None:
    rules = ExtractorRules(absent=frozenset({"cv2"}))
    with pytest.raises(MissingExtraError, match=r"trawl-retriever\[logo\]"):
        rules.check(LOGO_SIFT, {})


class TestWithOpenCV:
    """What needs OpenCV."""

    @pytest.fixture(autouse=True)
    def _opencv(self) -> None:
        pytest.importorskip("cv2", reason="the extra [logo] is not installed")

    def test_a_logo_is_seen_on_light_and_on_dark(self) -> None:
        found = extract("logo.sift", LOGO)
        opaque = encode(card(1, 200, 0, (100, 100)), "PNG")
        assert 150 < len(found.chunks) <= 300
        assert len(extract("logo.sift", opaque).chunks) <= 150
        for chunk in found.chunks:
            assert chunk.vector.shape == (128,) and chunk.vector.dtype == np.float32
            assert np.linalg.norm(chunk.vector) == pytest.approx(1.0, abs=1e-4)
            assert chunk.place is not None and chunk.place.box is not None
            left, top, right, bottom = chunk.place.box
            assert -60 < left < right < 360 and -60 < top < bottom < 360

    def test_a_shape_that_fills_its_picture_is_seen_by_its_outline(self) -> None:
        """Logos fill their pictures; nothing printed ends where they do."""
        frame = Image.new("RGBA", (300, 300), "black")
        ImageDraw.Draw(frame).rectangle((60, 90, 239, 209), fill=(0, 0, 0, 0))
        page = Image.new("RGB", (900, 900), "white")
        page.paste(frame, (300, 300), frame)
        stored = extract("logo.sift", encode(frame, "PNG")).chunks
        met = _vectors(encode(page, "PNG"), as_query=True)
        alike = [(chunk.vector @ met.T).max() > 0.98 for chunk in stored]
        assert sum(alike) >= 8

    @pytest.mark.parametrize(("ink", "other"), [("black", "white"), ("white", "black")])
    def test_a_logo_is_met_in_negative_where_it_could_not_be_seen(
        self, ink: str, other: str
    ) -> None:
        shape = logo(1).getchannel("A")
        stored = Image.new("RGBA", (300, 300), ink)
        stored.putalpha(shape)
        page = Image.new("RGB", (800, 800), ink)
        page.paste(Image.new("RGB", (300, 300), other), (250, 250), shape)
        found = _vectors(encode(stored, "PNG"), as_query=False)
        met = _vectors(encode(page, "PNG"), as_query=True)
        assert ((met @ found.T).max(axis=0) > 0.97).mean() > 0.4

    def test_places_are_in_pixels_of_the_file(self) -> None:
        small, large = (encode(logo(1, side), "PNG") for side in (300, 1200))
        boxes = []
        for data in (small, large):
            chunks = extract("logo.sift", data, as_query=True).chunks
            boxes.append(np.array([c.place.box for c in chunks if c.place and c.place.box]))
        assert boxes[1].max() > 2.5 * boxes[0].max()

    def test_max_chunks_keeps_the_clearest_and_says_so(self) -> None:
        found = extract("logo.sift", LOGO, as_query=True, max_chunks=10)
        assert len(found.chunks) == 10
        assert [each.code for each in found.warnings] == ["chunks_sampled"]

    def test_a_plain_picture_is_no_clean_answer(self) -> None:
        found = extract("logo.sift", encode(Image.new("RGB", (300, 300), "red"), "PNG"))
        assert found.chunks == ()
        assert [each.code for each in found.warnings] == ["low_quality"]

    def test_it_says_the_same_each_time(self) -> None:
        left, right = (extract("logo.sift", LOGO, as_query=True) for _ in range(2))
        assert [c.place for c in left.chunks] == [c.place for c in right.chunks]
        np.testing.assert_array_equal(
            np.stack([c.vector for c in left.chunks]), np.stack([c.vector for c in right.chunks])
        )

    def test_broken_files_are_errors(self) -> None:
        rng = random.Random(4)  # noqa: S311 - which bytes break is no secret
        broken = [mutate(LOGO, rng) for _ in range(60)]
        for data in (*broken, b"", b"%PDF-1.7", LOGO[:100]):
            try:
                found = extract("logo.sift", data, as_query=True)
            except (MediaError, InvalidRequestError):
                continue
            assert found.chunks or found.warnings
