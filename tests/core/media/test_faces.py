"""face.dlib: faces of drawn people; skipped where the extra is not installed."""

import random
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.adapters.fetch_rules import FetchRules
from core.adapters.media_choice import choose_extractors
from core.adapters.media_process import ProcessMediaExtractor
from core.deadline import Deadline
from core.errors import InvalidRequestError, MediaError, MissingExtraError
from core.media.extraction import extract
from core.media.extractors import FACE_DLIB
from core.media.rules import ExtractorRules
from core.ports.media import Extraction
from tests.core.media.faces import face, group
from tests.core.media.mutations import mutate
from tests.core.media.pictures import encode, landscape

FACE = encode(face(3), "PNG")


def boxes(found: Extraction) -> list[tuple[int, int, int, int]]:
    return [c.place.box for c in found.chunks if c.place is not None and c.place.box is not None]


def apart(left: Extraction, right: Extraction) -> float:
    return float(np.linalg.norm(left.chunks[0].vector - right.chunks[0].vector))


def test_without_the_extra_a_collection_is_refused_by_its_name() -> None:
    for absent in ("dlib", "face_recognition_models"):
        rules = ExtractorRules(faces=True, absent=frozenset({absent}))
        with pytest.raises(MissingExtraError, match=r"trawl-retriever\[face\]"):
            rules.check(FACE_DLIB, {})


@pytest.mark.parametrize("decodes_here", [True, False])
def test_until_the_operator_allows_it_faces_are_refused(decodes_here: bool) -> None:
    rules = ExtractorRules(decodes_here=decodes_here, deployed_extras=("face",))
    with pytest.raises(MissingExtraError, match=r"docs/faces\.md.*TRAWL_FACES=allowed"):
        rules.check(FACE_DLIB, {})
    assert Path("docs/faces.md").is_file()


def test_a_collection_from_when_it_was_allowed_is_refused_too() -> None:
    fetch = FetchRules(max_bytes=1, max_seconds=1)
    made = choose_extractors(ExtractorRules(), fetch)
    deployed = {"face": lambda: pytest.fail("a face was read elsewhere")}
    elsewhere = choose_extractors(ExtractorRules(), fetch, decoding=made, deployed=deployed)
    for extractor in (made, elsewhere):
        with pytest.raises(MissingExtraError, match=r"docs/faces\.md"):
            extractor.extract("face.dlib", FACE, deadline=Deadline.after(10))
    made.close()


class TestWithDlib:
    """What needs dlib and its models."""

    @pytest.fixture(autouse=True)
    def _dlib(self) -> None:
        pytest.importorskip("dlib", reason="the extra [face] is not installed")

    def test_a_face_is_found_and_where_it_is(self) -> None:
        (chunk,) = extract("face.dlib", FACE).chunks
        assert chunk.vector.shape == (128,) and chunk.vector.dtype == np.float32
        ((left, top, right, bottom),) = boxes(extract("face.dlib", FACE, as_query=True))
        assert 20 < left < 110 and 190 < right < 280
        assert 40 < top < 130 and 200 < bottom < 290

    def test_each_face_has_the_box_and_the_numbers_that_are_its_own(self) -> None:
        seeds = [29, 3, 18]
        found = extract("face.dlib", encode(group(seeds), "PNG"))
        alone = [extract("face.dlib", encode(face(seed), "PNG")) for seed in seeds]
        assert len(found.chunks) == 3 and found.warnings == ()
        for chunk, (left, _, right, _) in zip(found.chunks, boxes(found), strict=True):
            at = left // 300
            assert at * 300 <= left < right <= (at + 1) * 300
            nearest = [float(np.linalg.norm(chunk.vector - a.chunks[0].vector)) for a in alone]
            assert int(np.argmin(nearest)) == at and min(nearest) < 0.45

    def test_boxes_are_in_pixels_of_the_file_as_it_is_shown(self) -> None:
        for side in (300, 1200, 2600):
            ((left, top, right, bottom),) = boxes(
                extract("face.dlib", encode(face(3, side), "PNG"))
            )
            assert 0.5 * side < right - left < 0.9 * side and 0.5 * side < bottom - top < 0.9 * side
        wide = Image.new("RGB", (900, 400), "white")
        wide.paste(face(3), (580, 50))
        tags = Image.Exif()
        tags[0x0112] = 6  # shown turned to the right
        lying = wide.rotate(90, expand=True)
        found = extract("face.dlib", encode(lying, "JPEG", exif=tags))
        assert (found.media.width, found.media.height) == (900, 400)
        ((left, top, right, bottom),) = boxes(found)
        assert 580 <= left < right <= 880 and 50 <= top < bottom <= 350

    def test_altered_it_is_the_same_and_another_is_not(self) -> None:
        ours, copy, other = (
            extract("face.dlib", data)
            for data in (
                encode(face(3, 600), "PNG"),
                encode(face(3, 600).resize((240, 240)), "JPEG", quality=50),
                encode(face(29, 600), "PNG"),
            )
        )
        assert apart(ours, copy) < 0.3 and apart(ours, other) > 0.55

    @pytest.mark.parametrize("size", [(400, 400), (1, 1), (1, 5000), (3000, 2)])
    def test_without_a_face_nothing_was_compared_and_it_says_so(
        self, size: tuple[int, int]
    ) -> None:
        found = extract("face.dlib", encode(landscape(5, 64, 64).resize(size), "PNG"))
        assert found.chunks == ()
        assert [each.code for each in found.warnings] == ["no_face"]
        assert "nothing was compared" in found.warnings[0].message

    def test_max_chunks_keeps_the_largest_and_says_so(self) -> None:
        page = group([29, 3], 200)
        page.paste(face(18, 150), (25, 25))
        found = extract("face.dlib", encode(page, "PNG"), as_query=True, max_chunks=1)
        ((left, _, right, _),) = boxes(found)
        assert 200 <= left < right <= 400
        assert [each.code for each in found.warnings] == ["chunks_sampled"]

    def test_it_says_the_same_each_time_in_the_child_too(self) -> None:
        child = ProcessMediaExtractor(workers=1, libraries="face")
        try:
            for data in (encode(group([29, 3]), "PNG"), FACE):
                here = extract("face.dlib", data)
                there = child.extract("face.dlib", data, deadline=Deadline.after(60))
                assert [c.place for c in here.chunks] == [c.place for c in there.chunks]
                for ours, theirs in zip(here.chunks, there.chunks, strict=True):
                    np.testing.assert_allclose(ours.vector, theirs.vector, atol=1e-6)
        finally:
            child.close()

    def test_only_the_two_models_that_may_be_used_are_read(self, tmp_path: Path) -> None:
        from core.media.faces import FaceModels

        spec = find_spec("face_recognition_models")
        assert spec is not None and spec.submodule_search_locations
        models = Path(spec.submodule_search_locations[0]) / "models"
        for name in (
            "shape_predictor_5_face_landmarks.dat",
            "dlib_face_recognition_resnet_model_v1.dat",
        ):
            (tmp_path / name).symlink_to(models / name)
        FaceModels(tmp_path).warm_up()

    def test_the_package_of_models_is_not_imported(self) -> None:
        code = (
            "import sys; from core.media.faces import face_models; face_models();"
            "sys.exit('face_recognition_models' in sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - written above

    def test_broken_files_are_errors(self) -> None:
        for data in broken():
            try:
                found = extract("face.dlib", data, as_query=True)
            except (MediaError, InvalidRequestError):
                continue
            assert found.chunks or found.warnings
            assert all(np.isfinite(chunk.vector).all() for chunk in found.chunks)


def broken() -> Iterator[bytes]:
    """Yield files that are none, and a few hundred that were pictures of faces."""
    yield from (b"", b"%PDF-1.7", FACE[:100])
    rng = random.Random(4)  # noqa: S311 - which bytes break is no secret
    found, too_small = face(3, 120), face(3, 40)
    for kind in ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"):
        for image, count in ((found, 10), (too_small, 30)):
            data = encode(image, kind)
            yield from (mutate(data, rng) for _ in range(count))
