"""audio.chromaprint: which chunks a file has, where they lie, and what is said of the rest."""

import io
from itertools import chain, pairwise, repeat

import av
import numpy as np
import pytest

from core.errors import MediaError, NoTrackError
from core.media import recordings
from core.media.extraction import extract
from core.media.wire import pack_fault, unpack_fault
from core.ports.media import Extraction
from tests.core.media.pictures import distance, encode, landscape
from tests.core.media.recordings import (
    RATE,
    Sound,
    cut,
    encode_film,
    encode_sound,
    encode_tracks,
    film,
    mux_sound,
    tune,
)

NAME = "audio.chromaprint"
TUNE = tune(1, 20)
WAV = encode_sound(TUNE)


def starts(found: Extraction) -> list[int]:
    return [chunk.place.start_ms or 0 for chunk in found.chunks if chunk.place is not None]


def codes(found: Extraction) -> list[str]:
    return [warning.code for warning in found.warnings]


def test_references_hold_every_fourth_window_and_queries_every_one() -> None:
    stored, asked = extract(NAME, WAV), extract(NAME, WAV, as_query=True)
    assert [c.vector.tobytes() for c in stored.chunks] == [
        c.vector.tobytes() for c in asked.chunks[::4]
    ]
    assert len(asked.chunks) == pytest.approx((20 - 3.59) / 0.1238, abs=2)
    assert starts(stored)[:3] == [0, 495, 990]
    assert stored.media.duration_ms == 20_000
    assert (stored.warnings, stored.media.width) == ((), None)


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [
        ("mp3", "libmp3lame", 22_050),
        ("mp4", "aac", 44_100),
        ("ogg", "libopus", 48_000),
        ("flac", "flac", 22_050),
        ("adts", "aac", 22_050),
        ("aiff", "pcm_s16be", 22_050),
        ("matroska", "libopus", 48_000),
        ("mpegts", "aac", 44_100),
    ],
)
def test_whatever_it_is_encoded_in(container: str, codec: str, rate: int) -> None:
    stored = extract(NAME, WAV).chunks
    found = extract(NAME, encode_sound(TUNE, container, codec, rate=rate), as_query=True)
    assert codes(found) == []
    # Encoders put some silence before the sound, so the nearest window is taken.
    nearest = [
        min(distance(asked.vector, one.vector) for asked in found.chunks) for one in stored[1:]
    ]
    assert np.median(nearest) < 20


def test_the_sound_of_a_film_has_the_films_times() -> None:
    data = encode_film(film(1, 8), "mp4", "mpeg4", sound=cut(TUNE, 0, 8))
    found, alone = extract(NAME, data), extract(NAME, encode_sound(cut(TUNE, 0, 8)))
    assert found.media.content_type == "video/mp4"
    pairs = zip(found.chunks, alone.chunks, strict=False)
    assert np.median([distance(ours.vector, theirs.vector) for ours, theirs in pairs]) < 20
    assert abs(starts(found)[1] - starts(alone)[1]) < 60


@pytest.mark.parametrize("seconds", [0.01, 1, 2.6, 3.5])
def test_too_short_is_said_and_is_no_error(seconds: float) -> None:
    found = extract(NAME, encode_sound(cut(TUNE, 0, seconds)), as_query=True)
    assert (found.chunks, codes(found)) == ((), ["too_short"])
    assert extract(NAME, encode_sound(cut(TUNE, 0, 3.7)), as_query=True).chunks


def test_silence_is_compared_with_nothing() -> None:
    found = extract(NAME, encode_sound(0 * TUNE))
    assert (found.chunks, codes(found)) == ((), ["low_quality"])
    half = extract(NAME, encode_sound(np.concatenate([0 * TUNE, TUNE])))
    assert starts(half)[0] > 17_000


def test_few_chunks_keep_neighbours_together_and_say_what_is_left_out() -> None:
    found = extract(NAME, WAV, as_query=True, max_chunks=12)
    steps = [after - before for before, after in pairwise(starts(found))]
    assert len(found.chunks) == 12
    assert [round(step / 124) for step in steps[:3]] == [1, 1, 1]
    assert max(steps) > 1000
    assert codes(found) == ["chunks_sampled"]
    one = extract(NAME, WAV, as_query=True, max_chunks=1)
    assert (len(one.chunks), codes(one)) == (1, ["chunks_sampled"])


def test_a_sample_that_hears_all_of_the_sound_leaves_nothing_out() -> None:
    found = extract(NAME, WAV, as_query=True, max_chunks=40)
    assert (len(found.chunks), codes(found)) == (40, [])


def test_a_film_without_sound_and_a_picture_are_refused() -> None:
    with pytest.raises(MediaError, match="no sound"):
        extract(NAME, encode_film(film(1, 1), "mp4", "mpeg4"))
    with pytest.raises(MediaError, match=r"not an audio or video file.*image/png"):
        extract(NAME, encode(landscape(1), "PNG"))
    with pytest.raises(MediaError, match="empty"):
        extract(NAME, b"")


def test_a_file_that_lies_about_its_type_is_refused() -> None:
    for lie in ("audio/mpeg", "image/png", "audio/x-unheard-of"):
        with pytest.raises(MediaError, match=f"declared as {lie} but its bytes are audio/wav"):
            extract(NAME, WAV, declared_type=lie)
    for declared in ("audio/wav", "Audio/X-WAV; rate=1", "application/octet-stream", None):
        assert extract(NAME, WAV, declared_type=declared).chunks
    film_of_sound = encode_sound(cut(TUNE, 0, 5), "mp4", "aac")
    assert extract(NAME, film_of_sound, declared_type="audio/x-m4a").chunks


@pytest.mark.parametrize(
    ("container", "codec"), [("wav", "pcm_s16le"), ("flac", "flac"), ("mp3", "libmp3lame")]
)
def test_a_truncated_file_gives_what_is_there(container: str, codec: str) -> None:
    data = encode_sound(TUNE, container, codec)
    found = extract(NAME, data[: len(data) // 2], as_query=True)
    assert 40 < len(found.chunks) < 60
    assert codes(found) == ["damaged"]


def encode_mp3(sound: Sound, rate: int, options: dict[str, str], *, header: bool = True) -> bytes:
    out = io.BytesIO()
    muxer = {"write_xing": str(int(header))}
    with av.open(out, "w", format="mp3", options=muxer) as file:
        stream = file.add_stream("libmp3lame", rate=rate, layout="mono", options=options)
        mux_sound(file, stream, sound)
    return out.getvalue()


MP3S = {
    "constant": {"b": "64000"},
    "variable": {"q": "6"},
    "average": {"abr": "1", "b": "64000"},
}


@pytest.mark.parametrize("options", MP3S.values(), ids=MP3S)
@pytest.mark.parametrize("rate", [22_050, 44_100])
def test_an_mp3_that_was_cut_says_so_and_how_long_it_is(options: dict[str, str], rate: int) -> None:
    """The length that its encoder wrote stands before sound that is not there."""
    data = encode_mp3(TUNE, rate, options)
    whole = extract(NAME, data)
    assert codes(whole) == []
    assert whole.media.duration_ms == pytest.approx(20_000, abs=100)
    for share in (0.3, 0.5, 0.75, 0.93):
        found = extract(NAME, data[: int(share * len(data))])
        assert codes(found) == ["damaged"]
        assert "20." in found.warnings[0].message
        assert found.media.duration_ms == pytest.approx(share * 20_000, abs=700)


TAILS = {
    "id3v1": b"TAG" + bytes(125),
    "ape": b"APETAGEX" + (2000).to_bytes(4, "little") * 2 + bytes(3000),
    "zeros": bytes(5000),
    "noise": np.random.default_rng(5).bytes(5000),
}


@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS)
def test_what_stands_behind_the_sound_is_not_missing(tail: bytes) -> None:
    for data in (*(encode_mp3(TUNE, RATE, {"q": "4"}, header=header) for header in (True, False)),):
        found = extract(NAME, data + tail)
        assert codes(found) == []
        assert found.media.duration_ms == pytest.approx(20_000, abs=100)
    assert codes(extract(NAME, encode_sound(TUNE, "adts", "aac") + tail)) == []


def test_a_length_that_is_a_guess_accuses_no_mp3() -> None:
    """By its first second, which is quiet, a demuxer takes this for far longer than it is."""
    sound = np.concatenate([0 * TUNE[:RATE], TUNE])
    data = encode_mp3(sound, RATE, {"q": "2"}, header=False)
    assert data.find(b"Info") == data.find(b"Xing") == -1
    found = extract(NAME, data)
    assert codes(found) == []
    assert found.media.duration_ms == pytest.approx(21_000, abs=100)


@pytest.mark.parametrize("container", ["adts", "mpegts"])
def test_a_stream_that_ends_within_a_frame_says_so(container: str) -> None:
    data = encode_sound(TUNE, container, "aac", rate=44_100)
    for share in (0.31, 0.5, 0.9):
        found = extract(NAME, data[: int(share * len(data))])
        assert codes(found) == ["damaged"]
        assert found.media.duration_ms == pytest.approx(share * 20_000, abs=900)


def test_a_truncated_mp4_is_an_error() -> None:
    data = encode_sound(TUNE, "mp4", "aac")
    with pytest.raises(MediaError, match="cannot be decoded"):
        extract(NAME, data[: len(data) // 2])


def test_a_damaged_file_says_so() -> None:
    data = bytearray(encode_sound(TUNE, "mp4", "aac"))
    at = data.index(b"mdat") + 20_000
    data[at : at + 40_000] = bytes(40_000)
    found = extract(NAME, bytes(data))
    assert codes(found) == ["damaged"]
    assert found.chunks


def test_a_sample_rate_that_no_sound_has_is_refused() -> None:
    data = bytearray(WAV)
    at = data.index(b"fmt ") + 12
    data[at : at + 4] = (1).to_bytes(4, "little")
    with pytest.raises(MediaError, match="at 1 Hz is not decoded"):
        extract(NAME, bytes(data))


def test_a_file_that_takes_too_long_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    late = chain(repeat(False, 20), repeat(True))
    monkeypatch.setattr(recordings.Recording, "out_of_time", lambda _: next(late))
    found = extract(NAME, encode_sound(TUNE, "flac", "flac"))
    assert codes(found)[0] == "cut_off"
    assert "0.0 s" not in found.warnings[0].message


def test_a_file_without_sound_says_so_where_its_header_names_every_track() -> None:
    silent = encode_film(film(1, 3), "mp4", "mpeg4")
    with pytest.raises(NoTrackError, match="no sound"):
        extract(NAME, silent)
    stream = encode_film(film(1, 3), "mpegts", "mpeg2video")
    with pytest.raises(MediaError) as caught:
        extract(NAME, stream)  # sound may begin further on
    assert not isinstance(caught.value, NoTrackError)
    song = encode_sound(tune(1, 3), "ogg", "libopus", rate=48_000)
    with pytest.raises(NoTrackError, match="no film"):
        extract("video.vpdq", song)
    with pytest.raises(MediaError) as caught:
        extract("video.vpdq", song + song)  # another part follows, which may be anything
    assert not isinstance(caught.value, NoTrackError)
    assert type(unpack_fault(pack_fault(NoTrackError("x")))) is NoTrackError


def test_further_tracks_are_told() -> None:
    """Who hides a recording in a second track must not get a clean answer."""
    found = extract(NAME, encode_tracks(tune(1, 8), tune(2, 8)), as_query=True)
    assert codes(found) == ["first_track_only"]
