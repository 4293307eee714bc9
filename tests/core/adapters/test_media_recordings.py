"""Audio and film in the child process: what it decodes there, and what hostile files do not do."""

import random
import socket
import sys
from collections.abc import Iterator

import pytest

from core.adapters.media_process import ProcessLimits, ProcessMediaExtractor
from core.deadline import Deadline
from core.errors import MediaError
from core.media.extraction import extract
from core.ports.media import Extraction
from tests.contracts.media import vectors
from tests.core.adapters.filtered import run_filtered
from tests.core.media.mutations import films, mutate, sounds

AUDIO, VIDEO = "audio.chromaprint", "video.vpdq"
SOUNDS, FILMS = sounds(), films()

linux = pytest.mark.skipif(sys.platform != "linux", reason="the filter is Linux's")


@pytest.fixture(scope="module")
def child() -> Iterator[ProcessMediaExtractor]:
    extractor = ProcessMediaExtractor(workers=2, limits=ProcessLimits(wall_seconds=10))
    yield extractor
    extractor.close()


def read(child: ProcessMediaExtractor, name: str, data: bytes) -> Extraction:
    return child.extract(name, data, deadline=Deadline.after(60), as_query=True)


@pytest.mark.parametrize("name", [*SOUNDS, *FILMS])
def test_locked_in_it_decodes_what_it_does_outside(child: ProcessMediaExtractor, name: str) -> None:
    extractor, data = (AUDIO, SOUNDS[name]) if name in SOUNDS else (VIDEO, FILMS[name])
    found, expected = read(child, extractor, data), extract(extractor, data, as_query=True)
    assert vectors(found) == vectors(expected) != []
    assert [c.place for c in found.chunks] == [c.place for c in expected.chunks]
    assert (found.media, found.warnings) == (expected.media, expected.warnings)


@pytest.mark.parametrize(("extractor", "files"), [(AUDIO, SOUNDS), (VIDEO, FILMS)])
def test_mutated_files_never_hurt_the_parent(
    child: ProcessMediaExtractor, extractor: str, files: dict[str, bytes]
) -> None:
    rng = random.Random(11)  # noqa: S311 - which bytes to break
    originals = list(files.values())
    refused = 0
    for turn in range(300):
        data = mutate(originals[turn % len(originals)], rng)
        try:
            assert read(child, extractor, data).media.size_bytes == len(data)
        except MediaError as error:
            refused += 1
            assert len(error.message) < 500
            assert "\n" not in error.message
    assert 10 < refused < 290
    assert read(child, extractor, originals[0]).chunks


@linux
def test_a_decoder_that_tries_the_network_is_refused() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)
        address = f"127.0.0.1:{server.getsockname()[1]}"
        tries = (
            f"for name in ('http://{address}/a.mp4', 'tcp://{address}', 'file:/etc/passwd',\n"
            "             '/etc/passwd'):\n"
            "    try: av.open(name, timeout=5)\n"
            "    except (av.error.FFmpegError, OSError): os.write(1, b'refused ')\n"
            "    else: os.write(1, b'opened ')"
        )
        assert run_filtered("import av", tries) == ["refused"] * 4
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("demuxer", ["hls", "concat", "dash", "rtsp"])
def test_a_file_that_names_another_is_not_opened(
    child: ProcessMediaExtractor, demuxer: str
) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        text = {
            "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}\n#EXT-X-ENDLIST\n",
            "concat": f"ffconcat version 1.0\nfile '{url}'\n",
            "dash": f"<?xml version='1.0'?><MPD><BaseURL>{url}</BaseURL></MPD>",
            "rtsp": f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\na=control:{url}\r\n",
        }[demuxer]
        for extractor in (AUDIO, VIDEO):
            with pytest.raises(MediaError, match="not an audio or video file"):
                read(child, extractor, text.encode())
            # Behind the first bytes of another format it is that format, and broken.
            with pytest.raises(MediaError):
                read(child, extractor, b"RIFF\xff\xff\0\0WAVE" + text.encode())
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_film_of_huge_frames_is_refused_before_they_are_decoded(
    child: ProcessMediaExtractor,
) -> None:
    data = bytearray(FILMS["mpeg4"])
    # The size in an AVI's stream format (BITMAPINFOHEADER).
    at = data.index(b"strf") + 12
    assert int.from_bytes(data[at : at + 4], "little") == 96
    data[at : at + 8] = (60_000).to_bytes(4, "little") * 2
    try:
        found = read(child, VIDEO, bytes(data))
    except MediaError:
        return
    assert (found.media.width, found.media.height) == (96, 72)  # the stream itself knew better


def test_a_warm_child_answers_for_images_too(child: ProcessMediaExtractor) -> None:
    from tests.contracts.media import FILE

    assert read(child, "image.pdq", FILE).chunks
