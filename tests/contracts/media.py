"""What every `MediaExtractor` must do: inherit `MediaExtractorContract` and give it one."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from core.deadline import Deadline
from core.errors import DeadlineError, InvalidRequestError, MediaError, UnavailableError
from core.media.extraction import extract
from core.ports.media import Extraction, MediaExtractor
from tests.core.media.pictures import encode, landscape
from tests.core.media.test_decode import png_of_size

FILE = encode(landscape(1), "JPEG", quality=90)


def soon() -> Deadline:
    return Deadline.after(60)


def read(extractor: MediaExtractor, data: bytes = FILE) -> Extraction:
    return extractor.extract("image.pdq", data, deadline=soon())


def vectors(found: Extraction) -> list[bytes]:
    return [chunk.vector.tobytes() for chunk in found.chunks]


class MediaExtractorContract:
    """Fixture an adapter's test gives: `extractor`, closed by it afterwards."""

    @pytest.fixture
    def extractor(self) -> MediaExtractor:
        raise NotImplementedError

    @pytest.mark.parametrize("as_query", [False, True])
    def test_it_finds_what_this_process_would(
        self, extractor: MediaExtractor, as_query: bool
    ) -> None:
        got = extractor.extract("image.pdq", FILE, deadline=soon(), as_query=as_query)
        expected = extract("image.pdq", FILE, as_query=as_query)
        assert vectors(got) == vectors(expected)
        assert [c.variant for c in got.chunks] == [c.variant for c in expected.chunks]
        assert (got.media, got.warnings) == (expected.media, expected.warnings)

    def test_a_file_without_detail_comes_with_a_warning(self, extractor: MediaExtractor) -> None:
        from PIL import Image

        got = read(extractor, encode(Image.new("RGB", (64, 64)), "PNG"))
        assert got.chunks == ()
        assert [warning.code for warning in got.warnings] == ["low_quality"]

    def test_faults_arrive_as_what_they_are(self, extractor: MediaExtractor) -> None:
        with pytest.raises(MediaError, match="cannot be decoded") as caught:
            read(extractor, FILE[:2000])
        assert (caught.value.blame, caught.value.retryable) == ("media", False)
        with pytest.raises(MediaError, match=r"image/png.*image/jpeg"):
            extractor.extract("image.pdq", FILE, deadline=soon(), declared_type="image/png")
        with pytest.raises(InvalidRequestError, match="takes no parameter"):
            extractor.extract("image.pdq", FILE, deadline=soon(), params={"side": 1})
        with pytest.raises(InvalidRequestError, match="unknown extractor"):
            extractor.extract("image.x", FILE, deadline=soon())
        assert read(extractor).chunks

    def test_one_bad_file_among_many_fails_alone(self, extractor: MediaExtractor) -> None:
        files = [FILE, FILE[:3000], FILE, b"MZ", FILE, png_of_size(60_000, 60_000), FILE]

        def outcome(file: bytes) -> bool:
            try:
                return bool(read(extractor, file).chunks)
            except MediaError:
                return False

        with ThreadPoolExecutor(7) as pool:
            found = list(pool.map(outcome, files))
        assert found == [True, False, True, False, True, False, True]

    def test_a_passed_deadline_is_told(self, extractor: MediaExtractor) -> None:
        with pytest.raises(DeadlineError):
            extractor.extract("image.pdq", FILE, deadline=Deadline.after(0))

    def test_a_closed_one_is_unavailable(self, extractor: MediaExtractor) -> None:
        extractor.close()
        with pytest.raises(UnavailableError):
            read(extractor)
        extractor.close()
