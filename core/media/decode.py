"""From image bytes that nobody vouches for to a small grey picture: run only where a crash is safe.

The type is read from the bytes, never from a name, and size is checked before pixels are decoded.
"""

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.errors import MediaError, MissingExtraError
from core.media.file_types import IMAGES, check_declared, sniff_type
from core.media.refusals import empty_file, undecodable, unknown_kind
from core.ports.media import MediaWarning

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 100_000_000
# Every image is brought to this square first, as Meta's own tool does with large ones: sampling
# 64 × 64 places of a picture depends on its size, and copies differ in size more than in anything
# else. Measured on 49 photographs: copies at half size within 31 bits rise from 83 % to 100 %.
SIDE = 512


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded image: luminances 0–255 (SIDE, SIDE), and its own width and height as shown."""

    luma: NDArray[np.uint8]
    content_type: str
    width: int
    height: int
    warnings: tuple[MediaWarning, ...]


def decode_picture(data: bytes, declared_type: str | None = None) -> Picture:
    """Decode the first frame, upright, transparency on white (as a page would show it).

    Raises `MediaError` for anything that cannot be read, is not what `declared_type` says, or
    would be more than `MAX_PIXELS`, and `MissingExtraError` without Pillow.
    """
    mime = _checked_type(data, declared_type)
    if mime == "image/webp":
        # Pillow allocates a WebP's whole canvas on opening it, so its size is read here first.
        _check_pixels(_webp_size(data))
    with _faults_named(mime):
        image = _open(data, mime)
        _check_pixels(image.size)
        notes = _frame_warnings(image)
        size = image.size
        if mime == "image/jpeg":
            image.draft("L", (2 * SIDE, 2 * SIDE))
        small = _shrink(image)
        # Asked only now: Pillow turns a TIFF upright itself while loading, and drops the tag.
        orientation = _orientation(image)
        small = _turn(small, orientation)
        width, height = size if orientation < 5 else size[::-1]
        return Picture(np.asarray(small, np.uint8), mime, width, height, notes)


def decode_colours(data: bytes, side: int) -> tuple[int, int, bytes]:
    """Return the first frame as (width, height, RGB), upright, at most `side` px wide or high.

    For people to look at; transparency on white. Raises as `decode_picture`.
    """
    mime = _checked_type(data, None)
    if mime == "image/webp":
        _check_pixels(_webp_size(data))
    with _faults_named(mime):
        from PIL import Image

        image = _open(data, mime)
        _check_pixels(image.size)
        share = min(1.0, side / max(image.size))
        size = max(1, round(image.width * share)), max(1, round(image.height * share))
        if mime == "image/jpeg":
            image.draft("RGB", (2 * side, 2 * side))
        if image.mode.startswith("I") or image.mode == "F":
            image.load()  # only a loaded TIFF says what its numbers are
            small = _eight_bits(image).resize(size, reducing_gap=2.0)
        elif image.has_transparency_data:
            clear = image.convert("RGBA").resize(size, reducing_gap=2.0)
            small = Image.alpha_composite(Image.new("RGBA", size, "white"), clear)
        else:
            small = image.convert("RGB").resize(size, reducing_gap=2.0)
        upright = _turn(small.convert("RGB"), _orientation(image))
        return upright.width, upright.height, upright.tobytes()


@dataclass(frozen=True, slots=True)
class GreyPicture:
    """A decoded image: luminances (h, w) on each ground asked for, each different one once, and its
    own width and height as shown."""

    planes: tuple[NDArray[np.uint8], ...]
    content_type: str
    width: int
    height: int
    warnings: tuple[MediaWarning, ...]


def decode_grey(
    data: bytes, side: int, declared_type: str | None = None, *, grounds: tuple[int, ...] = (255,)
) -> GreyPicture:
    """Decode the first frame, upright, at most `side` px wide or high, on grounds of these greys.

    Raises as `decode_picture`.
    """
    mime = _checked_type(data, declared_type)
    if mime == "image/webp":
        _check_pixels(_webp_size(data))
    with _faults_named(mime):
        from PIL import Image

        image = _open(data, mime)
        _check_pixels(image.size)
        notes = _frame_warnings(image)
        full = image.size
        share = min(1.0, side / max(full))
        size = max(1, round(full[0] * share)), max(1, round(full[1] * share))
        if mime == "image/jpeg":
            image.draft("L", (2 * side, 2 * side))
        if image.mode.startswith("I") or image.mode == "F":
            image.load()  # only a loaded TIFF says what its numbers are
            made = [_eight_bits(image).resize(size, reducing_gap=2.0)]
        elif image.has_transparency_data:
            clear = image.convert("RGBA").resize(size, reducing_gap=2.0)
            made = [
                Image.alpha_composite(Image.new("RGBA", size, (grey, grey, grey, 255)), clear)
                for grey in grounds
            ]
        else:
            made = [image.convert("L").resize(size, reducing_gap=2.0)]
        orientation = _orientation(image)
        planes = [np.asarray(_turn(each.convert("L"), orientation), np.uint8) for each in made]
        distinct = {plane.tobytes(): plane for plane in planes}
        width, height = full if orientation < 5 else full[::-1]
        return GreyPicture(tuple(distinct.values()), mime, width, height, notes)


def _checked_type(data: bytes, declared_type: str | None) -> str:
    if not data:
        raise empty_file()
    mime = sniff_type(data)
    if mime not in IMAGES:
        raise unknown_kind("an image", data, mime, IMAGES)
    check_declared(mime, declared_type)
    return mime


def _check_pixels(size: tuple[int, int]) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise MediaError(f"the image has no pixels ({width} x {height})")
    if width * height > MAX_PIXELS:
        raise MediaError(
            f"the image is {width} x {height} pixels; at most {MAX_PIXELS} are decoded",
            width=width,
            height=height,
        )


def _webp_size(data: bytes) -> tuple[int, int]:
    """Return the size in a WebP's header (RFC 9649), of its canvas if it is extended."""
    kind, head = data[12:16], data[20:30]
    try:
        if kind == b"VP8X":
            wide, high = head[4:7], head[7:10]
            return 1 + int.from_bytes(wide, "little"), 1 + int.from_bytes(high, "little")
        if kind == b"VP8L":
            (bits,) = struct.unpack("<I", head[1:5])
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        if kind == b"VP8 ":
            width, height = struct.unpack("<HH", head[6:10])
            return width & 0x3FFF, height & 0x3FFF
    except struct.error as error:
        raise MediaError("the image/webp file is truncated") from error
    raise MediaError("the image/webp file has no image in it")


@contextmanager
def _faults_named(mime: str) -> Iterator[None]:
    """Turn whatever a decoder raises on a broken file into a `MediaError` that says so."""
    try:
        with warnings.catch_warnings():
            # Decoders warn about oddities that change nothing here (corrupt EXIF, many pixels:
            # those are bounded above); a strict parent must not turn them into failures.
            warnings.simplefilter("ignore")
            yield
    except (MediaError, MissingExtraError, MemoryError):
        raise
    except Exception as error:
        # Decoders raise anything on hostile bytes: SyntaxError, KeyError, struct.error, ...
        raise undecodable(mime, b"", error) from error


def require_pillow() -> None:
    """Raise `MissingExtraError` if Pillow is not installed."""
    try:
        import PIL.Image  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise MissingExtraError(
            "images need Pillow: install trawl-retriever[media]", extra="media"
        ) from error


def _open(data: bytes, mime: str) -> "Image.Image":
    require_pillow()
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(io.BytesIO(data), formats=[IMAGES[mime]])
    except Image.DecompressionBombError as error:
        raise MediaError(f"the image has more than {MAX_PIXELS} pixels") from error
    except UnidentifiedImageError as error:
        # Pillow's own words would show an address in memory.
        raise MediaError(f"the {mime} file's header is damaged or of an unknown kind") from error


def _frame_warnings(image: "Image.Image") -> tuple[MediaWarning, ...]:
    # The further pictures in a camera's JPEG (MPO) are previews and depth maps of the first.
    if image.format in ("MPO", "JPEG") or not getattr(image, "is_animated", False):
        return ()
    return (MediaWarning("first_frame_only", "only the first frame of several was read"),)


def _orientation(image: "Image.Image") -> int:
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:
        # Browsers show an image whose EXIF block is corrupt as it lies; so do we.
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _turn(image: "Image.Image", orientation: int) -> "Image.Image":
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image


def _shrink(image: "Image.Image") -> "Image.Image":
    """Return the image as 8-bit luminance (mode L), SIDE × SIDE."""
    from PIL import Image

    size, how = (SIDE, SIDE), Image.Resampling.BILINEAR
    if image.has_transparency_data:
        small = image.convert("RGBA").resize(size, how, reducing_gap=2.0)
        page = Image.new("RGBA", size, "white")
        return Image.alpha_composite(page, small).convert("L")
    if image.mode.startswith("I") or image.mode == "F":
        grey = _eight_bits(image)
    elif image.mode in ("1", "L", "P", "RGB", "YCbCr"):
        grey = image.convert("L")
    else:
        grey = image.convert("RGB").convert("L")
    return grey.resize(size, how, reducing_gap=2.0)


def _eight_bits(image: "Image.Image") -> "Image.Image":
    """Return a 16-bit, 32-bit or float image as 8-bit grey.

    16 bits keep their scale. Wider ones have none that a file states: their range is stretched to
    0–255, which changes no comparison between frequencies.
    """
    from PIL import Image

    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray((values >> 8).astype(np.uint8))
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise MediaError("the image holds values that are not finite")
    scaled = (values.astype(np.float32) - low) * (255.0 / (high - low) if high > low else 0.0)
    return Image.fromarray(np.clip(scaled, 0, 255).astype(np.uint8))
