"""video.vpdq: which frames are hashed, where they lie, borders, and what is said of the rest."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MediaError
from core.media import video
from core.media.borders import FULL, Borders, Frame
from core.media.extraction import extract
from core.media.sampling import sample_runs
from core.ports.media import Chunk, Extraction, Place
from tests.core.media.pictures import distance, encode, landscape
from tests.core.media.recordings import (
    FPS,
    encode_film,
    encode_sound,
    film,
    letterboxed,
    mirrored,
    tune,
)

NAME = "video.vpdq"
SCENES = film(1, 10)
MP4 = encode_film(SCENES, "mp4", "mpeg4")
# A film that the other one is compared with: as far from it as strangers are.
OTHER = encode_film(film(2, 10), "mp4", "mpeg4")


def spans(found: Extraction) -> list[tuple[int | None, int | None]]:
    return [(c.place.start_ms, c.place.end_ms) for c in found.chunks if c.place is not None]


def codes(found: Extraction) -> list[str]:
    return [warning.code for warning in found.warnings]


def nearest(asked: Chunk, stored: Extraction) -> tuple[int, int]:
    """Return the index of the stored chunk that is nearest, and its distance."""
    bits = [distance(asked.vector, one.vector) for one in stored.chunks]
    return int(np.argmin(bits)), min(bits)


def hits(query: bytes, stored: Extraction, variant: str = "original") -> list[int]:
    """Return, second by second, which stored chunk lies within the threshold of that view."""
    found = extract(NAME, query, as_query=True)
    own = [c for c in found.chunks if c.variant.partition("+")[0] == variant]
    near = [nearest(chunk, stored) for chunk in own]
    return [index for index, bits in near if bits <= 31]


def test_one_frame_a_second_each_with_its_place() -> None:
    found = extract(NAME, MP4)
    assert spans(found) == [(1000 * n, 1000 * n + 1000) for n in range(10)]
    assert all(chunk.quality is not None and chunk.quality >= 50 for chunk in found.chunks)
    assert {chunk.variant for chunk in found.chunks} == {"original"}
    media = found.media
    assert (media.width, media.height, media.duration_ms) == (160, 120, 10_000)


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("mp4", "libx264"),
        ("webm", "libvpx-vp9"),
        ("mp4", "libsvtav1"),
        ("avi", "mpeg4"),
        ("mpegts", "mpeg2video"),
    ],
)
def test_whatever_it_is_encoded_in(container: str, codec: str) -> None:
    found = extract(NAME, encode_film(SCENES, container, codec))
    stored = extract(NAME, MP4)
    assert [nearest(chunk, stored)[0] for chunk in found.chunks] == list(range(10))
    assert max(nearest(chunk, stored)[1] for chunk in found.chunks) <= 31


def test_strangers_are_far_away() -> None:
    assert hits(OTHER, extract(NAME, MP4)) == []


@pytest.mark.parametrize("rows", [10, 30])
def test_letterboxed_on_either_side(rows: int) -> None:
    boxed = encode_film(letterboxed(SCENES, rows), "mp4", "mpeg4")
    assert hits(boxed, extract(NAME, MP4)) == list(range(10))
    assert set(hits(MP4, extract(NAME, boxed))) == set(range(10))


def test_mirrored_films_are_found_by_their_view() -> None:
    turned = encode_film(mirrored(SCENES), "mp4", "mpeg4")
    stored = extract(NAME, MP4)
    assert hits(turned, stored, "flip_horizontal") == list(range(10))
    assert hits(turned, stored) == []


def test_a_picture_that_stands_still_is_one_chunk() -> None:
    still = [SCENES[0]] * (5 * FPS) + SCENES[2 * FPS : 4 * FPS]
    found = extract(NAME, encode_film(still, "mp4", "mpeg4"))
    assert spans(found)[0] == (0, 5000)
    assert len(found.chunks) == 3


def test_frames_without_detail_are_left_out() -> None:
    black = [np.zeros_like(SCENES[0])] * (3 * FPS)
    found = extract(NAME, encode_film(black + SCENES[: 2 * FPS], "mp4", "mpeg4"))
    assert spans(found)[0][0] == 3000
    nothing = extract(NAME, encode_film(black, "mp4", "mpeg4"))
    assert (nothing.chunks, codes(nothing)) == ((), ["low_quality"])


def test_max_chunks_counts_frames_and_says_what_it_leaves_out() -> None:
    found = extract(NAME, MP4, as_query=True, max_chunks=4)
    assert sorted(set(spans(found))) == [(1000 * n, 1000 * n + 1000) for n in (0, 3, 6, 9)]
    assert codes(found) == ["chunks_sampled"]
    assert len(found.chunks) == 32


@pytest.mark.parametrize("codec", ["libx264", "libvpx-vp9"])
def test_a_film_too_large_is_read_by_its_key_frames(
    codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "MAX_DECODED_PIXELS", 160 * 120 * 45)
    data = encode_film(
        SCENES, "matroska", codec, options={"g": str(3 * FPS), "sc_threshold": "0", "bf": "0"}
    )
    found = extract(NAME, data)
    assert [start for start, _ in spans(found)] == [0, 3000, 6000, 9000]
    assert codes(found) == ["chunks_sampled"]
    assert "key frames" in found.warnings[0].message


def test_a_film_larger_than_its_header_says_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "_is_large", lambda *_: False)
    monkeypatch.setattr(video, "MAX_DECODED_PIXELS", 160 * 120 * 10)
    found = extract(NAME, MP4)
    assert (len(found.chunks), codes(found)) == (4, ["cut_off"])


def test_a_truncated_film_gives_what_is_there() -> None:
    data = encode_film(SCENES, "matroska", "libx264")
    found = extract(NAME, data[: len(data) // 2])
    assert 3 <= len(found.chunks) <= 7
    assert codes(found) == ["damaged"]
    with pytest.raises(MediaError, match="cannot be decoded"):
        extract(NAME, MP4[: len(MP4) // 2])


def test_what_is_no_film_is_refused() -> None:
    with pytest.raises(MediaError, match="no film"):
        extract(NAME, encode_sound(tune(1, 1)))
    with pytest.raises(MediaError, match="not an audio or video file"):
        extract(NAME, encode(landscape(1), "GIF"))


def test_borders_are_what_stays_plain() -> None:
    noise = np.random.default_rng(0)
    seen = Borders()
    assert seen.inside() == FULL
    for _ in range(5):
        picture = np.zeros((64, 64), np.uint8)
        picture[8:60, 4:64] = noise.integers(0, 255, (52, 60))
        seen.add(picture)
    assert seen.inside() == Frame(8, -4, 4, None)


def test_a_dark_film_is_no_border() -> None:
    dark = Borders()
    dark.add(np.full((64, 64), 3, np.uint8))
    assert dark.inside() == FULL
    mostly = np.zeros((64, 64), np.uint8)
    mostly[30:34, 30:34] = 255
    dark.add(mostly)
    assert dark.inside() == FULL


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.integers(0, 300), st.integers(1, 60), st.integers(1, 8))
def test_samples_keep_their_number_and_order(count: int, most: int, run: int) -> None:
    chosen = sample_runs(list(range(count)), most, run)
    assert len(chosen) <= most
    assert all(before < after for before, after in pairwise(chosen))
    assert bool(chosen) == bool(count)
    if count <= most:
        assert chosen == list(range(count))
    elif most >= 2 * run:
        assert (chosen[0], chosen[-1]) == (0, count - 1)
        assert len(chosen) > most - 2 * run


def test_a_film_most_of_which_shows_nothing_is_not_wholly_compared() -> None:
    dark = [np.zeros_like(SCENES[0])] * (12 * FPS)
    found = extract(NAME, encode_film([*SCENES, *dark], "mp4", "mpeg4"), as_query=True)
    assert "low_quality" in codes(found)
    half = extract(NAME, encode_film([*SCENES, *dark[: 5 * FPS]], "mp4", "mpeg4"), as_query=True)
    assert "low_quality" not in codes(half)


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_no_place_lies_beyond_the_end_of_the_film(container: str) -> None:
    data = encode_film(film(3, 6.2), container, "mpeg4")
    for whole in (data, data[: 2 * len(data) // 3] if container == "matroska" else data):
        found = extract(NAME, whole)
        last = found.chunks[-1].place
        assert last is not None
        assert found.media.duration_ms is not None
        assert (last.start_ms or 0) < (last.end_ms or 0)
        assert (last.end_ms or 0) <= found.media.duration_ms + 1000 // FPS
    assert extract(NAME, data).chunks[-1].place == Place(6000, 6200)
