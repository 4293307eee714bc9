"""Types of files by their first bytes."""

import pytest

from core.media.file_types import RECORDINGS, sniff_type
from tests.core.media.recordings import encode_film, encode_sound, film, tune

SOUND, FILM = tune(2, 0.5), film(2, 0.6)


@pytest.mark.parametrize(
    ("container", "codec", "mime"),
    [
        ("wav", "pcm_s16le", "audio/wav"),
        ("mp3", "libmp3lame", "audio/mpeg"),
        ("flac", "flac", "audio/flac"),
        ("ogg", "libopus", "audio/ogg"),
        ("adts", "aac", "audio/aac"),
        ("aiff", "pcm_s16be", "audio/aiff"),
        ("ipod", "aac", "audio/mp4"),
        ("mpegts", "aac", "video/mp2t"),
    ],
)
def test_sounds_show_what_they_are(container: str, codec: str, mime: str) -> None:
    rate = 48_000 if codec == "libopus" else 44_100
    assert sniff_type(encode_sound(SOUND, container, codec, rate=rate)) == mime


@pytest.mark.parametrize(
    ("container", "codec", "mime"),
    [
        ("mp4", "mpeg4", "video/mp4"),
        ("mov", "mpeg4", "video/quicktime"),
        ("webm", "libvpx-vp9", "video/webm"),
        ("matroska", "mpeg4", "video/x-matroska"),
        ("avi", "mpeg4", "video/x-msvideo"),
        ("mpegts", "mpeg2video", "video/mp2t"),
        ("mpeg", "mpeg2video", "video/mpeg"),
    ],
)
def test_films_show_what_they_are(container: str, codec: str, mime: str) -> None:
    assert sniff_type(encode_film(FILM, container, codec)) == mime


def test_an_mp3_without_tags_is_one_and_other_sync_words_are_not() -> None:
    data = encode_sound(SOUND, "mp3", "libmp3lame")
    bare = data[data.index(b"\xff") :]
    assert sniff_type(bare) == "audio/mpeg"
    assert sniff_type(b"\xff\xff\xff\xff" * 4) is None
    assert sniff_type(b"\xff\xd8\xff\xe0") == "image/jpeg"


@pytest.mark.parametrize(
    "playlist",
    [
        b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:10,\nhttp://127.0.0.1/a.ts\n",
        b"ffconcat version 1.0\nfile http://127.0.0.1/a.ts\n",
        b"<?xml version='1.0'?><MPD></MPD>",
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n",
    ],
)
def test_what_names_other_files_is_never_a_recording(playlist: bytes) -> None:
    assert sniff_type(playlist) not in RECORDINGS
