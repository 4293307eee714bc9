"""How a preview travels between processes: sizes as JSON, pixels and loudness as plain bytes.

Pixels, never an encoded picture: whoever shows them encodes them anew, so nothing that a file says
reaches another decoder. The reader trusts nothing; see `wire`.
"""

from collections.abc import Mapping
from typing import Any, Final

from core.errors import MediaError
from core.ports.previews import Picture, Preview
from core.types import JsonObject

MAX_SIDE: Final = 512
MAX_PICTURES: Final = 8
MAX_LOUDNESS: Final = 1000


def pack_preview(preview: Preview) -> tuple[JsonObject, bytes]:
    """Return the header, and all pixels followed by the loudness."""
    header = {
        "pictures": [[one.width, one.height, one.at_ms] for one in preview.pictures],
        "duration_ms": preview.duration_ms,
    }
    return header, b"".join(one.rgb for one in preview.pictures) + bytes(preview.loudness)


def unpack_preview(header: Mapping[str, Any], body: bytes) -> Preview:
    """Return the preview; raises `MediaError` unless it is one that could have been made."""
    try:
        pictures, at = [], 0
        for width, height, at_ms in header["pictures"][: MAX_PICTURES + 1]:
            size = 3 * _side(width) * _side(height)
            pictures.append(Picture(width, height, body[at : at + size], _ms(at_ms)))
            at += size
        duration = _ms(header["duration_ms"])
    except (LookupError, TypeError, ValueError) as error:
        raise MediaError("the media process answered something that is no preview") from error
    loudness = tuple(body[at:])
    if at > len(body) or len(pictures) > MAX_PICTURES or len(loudness) > MAX_LOUDNESS:
        raise MediaError("the media process answered a preview of another size than it says")
    return Preview(tuple(pictures), loudness, duration)


def _side(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= MAX_SIDE:
        raise ValueError("a picture has a size that none may have")
    return value


def _ms(value: Any) -> int | None:
    if value is not None and (type(value) is not int or not 0 <= value <= 1 << 40):
        raise ValueError("a time is none")
    return value
