"""Decoding: every accepted kind of image gives its picture, every bad file says why not."""

import io
import re
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.errors import MediaError
from core.media.decode import MAX_PIXELS, SIDE, decode_picture
from core.media.file_types import IMAGES, sniff_type
from core.media.pdq import fingerprint
from tests.core.media.pictures import distance, encode, landscape

PHOTO = landscape(1)
ALL: dict[str, dict[str, Any]] = {
    "PNG": {},
    "BMP": {},
    "TIFF": {},
    "WEBP": {"lossless": True},
    "JPEG": {"quality": 95},
    "GIF": {},
}


def hash_of(data: bytes) -> Any:
    return fingerprint(decode_picture(data).luma).hash


REFERENCE = hash_of(encode(PHOTO, "PNG"))


def png_chunk(kind: bytes, body: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + checksum


def png_of_size(width: int, height: int, pixels: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(pixels))
    return b"\x89PNG\r\n\x1a\n" + body + png_chunk(b"IEND", b"")


@pytest.mark.parametrize("format_name", ALL)
def test_every_accepted_type_gives_the_same_picture(format_name: str) -> None:
    data = encode(PHOTO, format_name, **ALL[format_name])
    picture = decode_picture(data)
    assert IMAGES[picture.content_type] == format_name
    assert (picture.width, picture.height) == PHOTO.size
    assert picture.luma.shape == (SIDE, SIDE)
    assert picture.warnings == ()
    # 256 colours band the soft slopes of this picture.
    near = 40 if format_name == "GIF" else 12
    assert distance(fingerprint(picture.luma).hash, REFERENCE) <= near


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_pixel_mode_gives_nearly_the_same_picture(mode: str) -> None:
    if mode in ("I;16", "I", "F"):
        wide = np.asarray(PHOTO.convert("L")).astype(np.uint16) * 257
        kinds = {"I;16": np.uint16, "I": np.int32, "F": np.float32}
        data = encode(Image.fromarray(wide.astype(kinds[mode])), "TIFF")
    else:
        data = encode(PHOTO.convert(mode), "TIFF" if mode == "CMYK" else "PNG")
    assert Image.open(io.BytesIO(data)).mode == mode
    assert distance(hash_of(data), REFERENCE) <= (40 if mode in ("1", "P") else 8)


def test_a_cmyk_jpeg_is_read() -> None:
    data = encode(PHOTO.convert("CMYK"), "JPEG", quality=95)
    assert distance(hash_of(data), REFERENCE) <= 8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_applied(orientation: int, format_name: str) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = PHOTO.transpose(undo[orientation]) if orientation in undo else PHOTO
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode_picture(encode(stored, format_name, exif=exif))
    assert (picture.width, picture.height) == PHOTO.size
    assert distance(fingerprint(picture.luma).hash, REFERENCE) <= 24


def test_a_corrupt_exif_block_changes_nothing() -> None:
    data = encode(PHOTO, "JPEG", quality=95, exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff junk")
    assert distance(hash_of(data), REFERENCE) <= 12


def test_transparency_lies_on_white() -> None:
    ghost = PHOTO.convert("RGBA")
    ghost.putalpha(0)
    assert int(decode_picture(encode(ghost, "PNG")).luma.min()) == 255
    palette = Image.new("P", (50, 50), 0)
    assert int(decode_picture(encode(palette, "PNG", transparency=0)).luma.min()) == 255


@pytest.mark.parametrize("format_name", ["GIF", "WEBP", "TIFF", "PNG"])
def test_an_animation_gives_its_first_frame_and_says_so(format_name: str) -> None:
    data = encode(PHOTO, format_name, save_all=True, append_images=[landscape(2), landscape(3)])
    picture = decode_picture(data)
    assert [warning.code for warning in picture.warnings] == ["first_frame_only"]
    first = hash_of(encode(PHOTO, format_name))
    assert distance(fingerprint(picture.luma).hash, first) <= 12


@pytest.mark.parametrize("format_name", ALL)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_a_truncated_file_is_an_error(format_name: str, share: float) -> None:
    data = encode(PHOTO, format_name, **ALL[format_name])
    with pytest.raises(MediaError):
        decode_picture(data[: int(len(data) * share)])


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"BM", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8X"])
def test_a_file_that_only_begins_is_an_error(data: bytes) -> None:
    with pytest.raises(MediaError):
        decode_picture(data)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"%PDF-1.7 ...", "application/pdf"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
        (b"\0\0\0\x20ftypheic\0\0\0\0mif1", "image/heic"),
        (b"\0\0\0\x20ftypisom\0\0\0\0isom", "video/mp4"),
        (b"#!/bin/sh\nrm -rf /\n", "plain text"),
    ],
)
def test_what_is_no_image_is_named(data: bytes, found: str) -> None:
    with pytest.raises(MediaError, match=re.escape(found)):
        decode_picture(data)


def test_a_file_that_lies_about_its_type_is_refused_naming_both() -> None:
    data = encode(PHOTO, "PNG")
    with pytest.raises(MediaError, match=r"image/jpeg.*image/png"):
        decode_picture(data, "image/jpeg")
    with pytest.raises(MediaError, match=r"text/html.*image/png"):
        decode_picture(data, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    "declared", [None, "", "image/png", "IMAGE/PNG; a=b", "image/x-png", "application/octet-stream"]
)
def test_an_honest_or_vague_type_is_fine(declared: str | None) -> None:
    assert decode_picture(encode(PHOTO, "PNG"), declared).content_type == "image/png"


@pytest.mark.parametrize(
    "data",
    [
        png_of_size(60_000, 60_000),
        png_of_size(10_001, 10_000),
        png_of_size(2**31 - 1, 2**31 - 1),
        b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + encode(PHOTO, "GIF")[10:],
        b"RIFF\0\0\0\0WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\xff\xff" * 2,
        b"RIFF\0\0\0\0WEBPVP8L" + bytes(4) + b"\x2f" + b"\xff\xff\xff\x0f" + bytes(20),
        b"RIFF\0\0\0\0WEBPVP8 " + bytes(4) + b"\0\0\0\x9d\x01\x2a\xff\x3f\xff\x3f" + bytes(20),
        b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, 60_000, 60_000, 1, 24, 0) + bytes(20),
    ],
    ids=["png", "just over", "png int", "gif", "webp", "webp lossless", "webp lossy", "bmp"],
)
def test_huge_dimensions_are_refused_before_decoding(data: bytes) -> None:
    with pytest.raises(MediaError, match=str(MAX_PIXELS)):
        decode_picture(data)


def test_an_empty_size_is_an_error() -> None:
    with pytest.raises(MediaError):
        decode_picture(png_of_size(0, 10))


def test_too_little_data_for_the_size_is_an_error() -> None:
    with pytest.raises(MediaError, match="image/png"):
        decode_picture(png_of_size(9_000, 9_000, bytes(1000)))


def test_values_that_are_not_finite_are_an_error() -> None:
    values = np.full((40, 40), np.nan, np.float32)
    with pytest.raises(MediaError, match="finite"):
        decode_picture(encode(Image.fromarray(values), "TIFF"))


def test_messages_are_short_and_show_no_addresses() -> None:
    with pytest.raises(MediaError) as caught:
        decode_picture(b"II*\x00" + b"\xff" * 1_000_000)
    assert len(caught.value.message) < 400
    assert "0x" not in caught.value.message


def test_sniffing_needs_few_bytes() -> None:
    assert sniff_type(b"") is None
    assert sniff_type(b"RIFF") is None
    assert sniff_type(b"RIFF\0\0\0\0WAVE") == "audio/wav"
