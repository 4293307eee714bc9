"""Places of pictures: packed and read again, sent between processes, and who finds them."""

import base64
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.adapters.media_routing import RoutedMediaExtractor
from core.deadline import NEVER
from core.errors import InvalidRequestError, MediaError, MissingExtraError
from core.media.extractor_info import IMAGE_VERIFICATION, KEYPOINT_BITS
from core.media.extractors import IMAGE_ONNX, IMAGE_PDQ, IMAGE_PDQ_V1
from core.media.rules import ExtractorRules
from core.media.wire import pack_extraction, unpack_extraction
from core.ports.keypoints import (
    MOST_KEYPOINTS,
    is_mirrored,
    pack_keypoints,
    packed_size,
    unpack_keypoints,
)
from core.ports.media import Chunk, Extraction, MediaInfo

VERIFY = {"verify": True}


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 1000),
    count=st.integers(0, 40),
    room=st.integers(0, 40),
    size=st.tuples(st.integers(1, 90_000), st.integers(1, 90_000)),
)
def test_what_is_packed_is_read_again(
    seed: int, count: int, room: int, size: tuple[int, int]
) -> None:
    rng = np.random.default_rng(seed)
    descriptors = rng.integers(0, 256, (count, 16), np.uint8)
    places = np.column_stack([rng.integers(0, 256, (count, 2)), rng.integers(1, 9, count)]).astype(
        np.uint8
    )
    packed = pack_keypoints(descriptors, places, size=size, room=room)
    assert packed.size == packed_size(max(count, room))
    read = unpack_keypoints(packed)
    assert np.array_equal(read.descriptors, descriptors)
    assert read.width == min(size[0], 65_535)
    unit = max(min(side, 65_535) for side in size) / 256
    middles = (read.boxes[:, :2] + read.boxes[:, 2:]) / 2
    assert np.allclose(middles, (places[:, :2] + 0.5) * unit)
    assert (read.boxes[:, 2:] > read.boxes[:, :2]).all()


@settings(derandomize=True, deadline=None, max_examples=200)
@given(raw=st.binary(max_size=200))
def test_any_bytes_are_places_or_refused(raw: bytes) -> None:
    packed = np.frombuffer(raw, np.uint8)
    try:
        read = unpack_keypoints(packed)
    except ValueError:
        assert len(raw) < 4 or (len(raw) - 4) % 19
        return
    assert np.isfinite(read.boxes).all()
    assert len(read) <= (len(raw) - 4) // 19


def test_views_in_a_mirror_are_known_by_name() -> None:
    names = ["flip_horizontal", "transpose+inside", "rotate_90", "original+inside", "transverse"]
    assert [is_mirrored(name) for name in names] == [True, True, False, False, True]


def test_a_score_stays_between_near_and_the_same() -> None:
    rule = IMAGE_VERIFICATION
    scores = [rule.score(inliers) for inliers in range(rule.inliers, 500)]
    assert scores[0] == 1 - IMAGE_PDQ.thresholds.review / 256
    assert scores == sorted(set(scores))
    assert scores[-1] < 1 - IMAGE_PDQ.thresholds.match / 256


def sent(**header: Any) -> Extraction:
    """Return an extraction that has crossed, its header changed."""
    chunk = Chunk(np.zeros(32, np.uint8), keypoints=places(3))
    packed, body = pack_extraction(Extraction((chunk,), MediaInfo("image/png", 1, "00")))
    packed["chunks"][0] |= header
    return unpack_extraction(IMAGE_PDQ, packed, body)


def places(count: int) -> Any:
    """Return so many places, packed."""
    return pack_keypoints(
        np.ones((count, 16), np.uint8), np.ones((count, 3), np.uint8), size=(9, 9)
    )


def test_places_cross_between_processes() -> None:
    (chunk,) = sent().chunks
    assert chunk.keypoints is not None
    assert np.array_equal(chunk.keypoints, places(3))
    assert sent(keypoints=None).chunks[0].keypoints is None


@pytest.mark.parametrize("value", ["", "AAAA", "no base64!", 7, [1], {}])
def test_what_are_no_places_is_a_media_error(value: object) -> None:
    with pytest.raises(MediaError):
        sent(keypoints=value)


def test_more_places_than_there_can_be_are_a_media_error() -> None:
    many = base64.b64encode(places(MOST_KEYPOINTS + 1).tobytes()).decode()
    with pytest.raises(MediaError):
        sent(keypoints=many)


class Named:
    """An extractor that answers with its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def extract(self, extractor: str, data: bytes, **options: Any) -> Any:
        """Return the name."""
        return self.name

    def close(self) -> None:
        """Nothing is open."""


def test_only_who_verifies_is_sent_to_the_child_with_opencv() -> None:
    routed = RoutedMediaExtractor(Named("plain"), {"logo": lambda: Named("logo")})

    def reader(name: str, params: Any) -> Any:
        return routed.extract(name, b"", deadline=NEVER, params=params)

    assert reader("image.pdq", VERIFY) == "logo"
    for params in (None, {}, {"verify": False}):
        assert reader("image.pdq", params) == "plain"
    assert reader("image.pdq@v1", VERIFY) == "plain"


def test_without_opencv_no_collection_can_verify() -> None:
    absent = ExtractorRules(absent=frozenset({"cv2"}))
    with pytest.raises(MissingExtraError, match=r"trawl-retriever\[logo\]"):
        absent.check(IMAGE_PDQ, VERIFY)
    assert absent.check(IMAGE_PDQ, {}) is IMAGE_PDQ
    assert absent.check(IMAGE_PDQ, {"verify": False}) is IMAGE_PDQ
    deployed = ExtractorRules(decodes_here=False)
    with pytest.raises(MissingExtraError, match="media_extras"):
        deployed.check(IMAGE_PDQ, VERIFY)
    with pytest.raises(InvalidRequestError):
        deployed.check(IMAGE_PDQ, {"verify": 1})
    with pytest.raises(InvalidRequestError):
        deployed.check(IMAGE_PDQ_V1, VERIFY)


def test_a_collection_that_verifies_stores_one_vector_more() -> None:
    plain, verifying = IMAGE_PDQ.vectors, IMAGE_PDQ.sized(VERIFY).vectors
    assert verifying[:-1] == plain
    assert (verifying[-1].name, verifying[-1].dimension) == (
        IMAGE_VERIFICATION.stored,
        KEYPOINT_BITS,
    )
    assert IMAGE_PDQ.sized({"verify": False}) is IMAGE_PDQ


def test_collections_with_places_and_without_are_searched_together() -> None:
    assert IMAGE_PDQ.common_parameters([]) == {}
    assert IMAGE_PDQ.common_parameters([{}, {"verify": False}]) == {}
    assert IMAGE_PDQ.common_parameters([{}, VERIFY]) == VERIFY
    assert IMAGE_ONNX.common_parameters([{"model": "a"}, {"model": "b"}]) is None
    assert IMAGE_ONNX.common_parameters([{"model": "a"}, {"model": "a"}]) == {"model": "a"}
