"""What is said of a file that is not read: what it is, what is wrong with it, and what to do."""

import re
from collections.abc import Iterable
from typing import Final

from core.errors import MediaError
from core.media.file_types import IMAGES, RECORDINGS

_ADVICE: Final = {
    "image/heic": "save it as JPEG or PNG",
    "image/avif": "save it as JPEG or PNG",
    "image/svg+xml": "a drawing has no pixels until it is drawn: save it as PNG",
    "application/pdf": "save its pages as pictures",
    "application/zip": "unpack it, and give the files in it",
    "application/gzip": "unpack it, and give the file in it",
    "application/vnd.apple.mpegurl": "a playlist holds no film: give the film itself",
    "text/html": "a page is no file of media: give the address of the file itself",
}
_RENAMED: Final = "a file's type is in its bytes, not in its name: save it anew as one of these"
_AGAIN: Final = "fetch or save the file again"
# What FFmpeg's bindings put around its words.
_NOISE: Final = re.compile(r"\[Errno -?\d+\] |: '<none>'")
_CUT: Final = re.compile(r"truncat|end of file|EOFError", re.IGNORECASE)
_BOX: Final = 8  # bytes of a box's length and name


def empty_file() -> MediaError:
    """Return the error for a file of no bytes."""
    return MediaError("the file is empty (0 bytes): fetch or upload it again")


def unknown_kind(
    wanted: str, data: bytes, found: str | None, accepted: Iterable[str]
) -> MediaError:
    """Return the error for bytes that are not `wanted`, such as `an image`: `found` is their type
    as `sniff_type` has it."""
    shown = found or ("plain text" if _is_text(data) else "no known type")
    advice = _ADVICE.get(found or "", _RENAMED)
    if found in IMAGES or found in RECORDINGS:
        advice = f"search and store it with an extractor of {found.partition('/')[0]} files"
    return MediaError(
        f"not {wanted} that can be read: its bytes show {shown}; accepted: {', '.join(accepted)}"
        f" ({advice})",
        found=found,
    )


def undecodable(mime: str, data: bytes, error: Exception) -> MediaError:
    """Return the error for a file of a known type that its decoder gave up."""
    reason = _NOISE.sub("", f"{type(error).__name__}: {error}").replace("\n", " ")[:200]
    if data[4:8] == b"ftyp" and b"moov" not in _boxes(data):
        why = "it has no index (moov), as when a recording or a download was broken off"
    elif _CUT.search(reason):
        why = "it is cut short"
    else:
        why = "it is damaged"
    return MediaError(f"the {mime} file cannot be decoded: {why}; {_AGAIN} ({reason})")


def unknown_codec(kind: str, codec: str | None) -> MediaError:
    """Return the error for a track whose codec is not opened; None is one that FFmpeg does not
    know, as copies under protection have."""
    name = codec or "of an unknown kind, or copy-protected (DRM)"
    return MediaError(
        f"the file's {kind} is {name}, which is not decoded here: give a copy in a usual codec,"
        " such as H.264 or AAC"
    )


def _is_text(data: bytes) -> bool:
    start = data[:200]
    try:
        text = start.decode()
    except UnicodeDecodeError as error:
        # A character may be cut in two at the end.
        text = start[: error.start].decode() if error.start > len(start) - 4 else ""
    return bool(text) and all(each.isprintable() or each.isspace() for each in text)


def _boxes(data: bytes) -> set[bytes]:
    """Return the names of a file's outermost boxes that are whole (ISO/IEC 14496-12)."""
    names, at = set(), 0
    while at + _BOX <= len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        elif size == 0:
            size = len(data) - at
        if size < _BOX or at + size > len(data):
            break
        names.add(name)
        at += size
    return names
