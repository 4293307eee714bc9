"""What a user is told of a broken file: what it is, what is wrong with it, what to do."""

import io
import struct

import pytest
from PIL import Image

from core.errors import MediaError
from core.media.extraction import extract
from tests.core.media.pictures import encode, landscape
from tests.core.media.recordings import encode_film, encode_sound, film, tune

PNG = encode(landscape(2, 96, 72), "PNG")
JPEG = encode(landscape(2, 96, 72), "JPEG")


def told(extractor: str, data: bytes) -> str:
    """Return the error's message, or the warnings' where nothing was compared."""
    try:
        found = extract(extractor, data)
    except MediaError as error:
        return error.message
    assert found.chunks == ()
    assert found.warnings
    return "; ".join(warning.message for warning in found.warnings)


def changed(data: bytes, mark: bytes) -> bytes:
    """Return the file with a byte changed a little behind a mark."""
    broken = bytearray(data)
    broken[data.index(mark) + 20] ^= 0xFF
    return bytes(broken)


def avif() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(out, "AVIF")
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        (b"", ("empty", "0 bytes", "again")),
        (b"just some words", ("plain text", "image/jpeg", "not in its name")),
        ("Ä".encode() * 150, ("plain text",)),
        (b"\x01\x02\x03\x04" * 9, ("no known type",)),
        (JPEG[: len(JPEG) // 2], ("image/jpeg", "cut short", "again")),
        (changed(PNG, b"IDAT"), ("image/png", "damaged", "again")),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", ("image/svg+xml", "save it as PNG")),
        (b"<?xml version='1.0'?>\n<svg/>", ("image/svg+xml", "save it as PNG")),
        (b"<?xml version='1.0'?>\n<rss/>", ("text/xml",)),
        (b"%PDF-1.7", ("application/pdf", "pages as pictures")),
        (b"\0\0\0\x18ftypheic" + bytes(40), ("image/heic", "JPEG or PNG")),
        (encode_sound(tune(1, 1)), ("audio/wav", "extractor of audio files")),
    ],
)
def test_a_picture_that_is_none(data: bytes, parts: tuple[str, ...]) -> None:
    message = told("image.pdq", data)
    assert all(part in message for part in parts), message


def test_avif_is_not_called_heic() -> None:
    message = told("image.pdq", avif())
    assert "image/avif" in message and "heic" not in message


def test_a_recording_torn_in_its_first_frames_is_not_called_short() -> None:
    mp3 = encode_sound(tune(1, 5), "mp3", "libmp3lame")
    for torn in (mp3[:60], mp3[:500]):
        message = told("audio.chromaprint", torn)
        assert "audio/mpeg" in message and "again" in message and "too short" not in message
        assert "Errno" not in message and "<none>" not in message


def test_a_film_without_its_index_or_with_protection() -> None:
    whole = encode_film(film(1, 2, 96, 72), "mp4", "libx264")
    at = whole.index(b"moov") - 4
    (size,) = struct.unpack_from(">I", whole, at)
    for broken in (whole[:at] + whole[at + size :], whole[: len(whole) // 2]):
        message = told("video.vpdq", broken)
        assert "video/mp4" in message and "no index (moov)" in message
    message = told("video.vpdq", whole.replace(b"avc1", b"encv"))
    assert "copy-protected" in message and "H.264" in message
