"""What kind of file bytes are, by their first ones; and whether that is what was declared of them.

A name or a header proves nothing: each file goes to the one decoder for the type that it shows.
"""

from typing import Final

from core.errors import MediaError

IMAGES: Final = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/bmp": "BMP",
    "image/tiff": "TIFF",
}
# The only demuxers that are ever opened: formats that hold their media, and name no other file.
RECORDINGS: Final = {
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/flac": "flac",
    "audio/ogg": "ogg",
    "audio/aac": "aac",
    "audio/aiff": "aiff",
    "audio/mp4": "mov",
    "video/mp4": "mov",
    "video/quicktime": "mov",
    "video/webm": "matroska",
    "video/x-matroska": "matroska",
    "video/x-msvideo": "avi",
    "video/mp2t": "mpegts",
    "video/mpeg": "mpeg",
}
_SIGNATURES: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"\x00\x00\x01\xba", "video/mpeg"),
    # Known so that the error can name what came instead.
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
    (b"<svg", "image/svg+xml"),
    (b"<?xml", "text/xml"),
    (b"<!DOCTYPE", "text/html"),
    (b"<html", "text/html"),
    (b"#EXTM3U", "application/vnd.apple.mpegurl"),
)
_ALIASES: Final = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "image/x-ms-bmp": "image/bmp",
    "image/x-bmp": "image/bmp",
    "image/tif": "image/tiff",
    "audio/mp3": "audio/mpeg",
    "audio/x-mp3": "audio/mpeg",
    "audio/x-mpeg": "audio/mpeg",
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/x-aiff": "audio/aiff",
    "audio/aacp": "audio/aac",
    "audio/x-aac": "audio/aac",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/opus": "audio/ogg",
    "audio/vorbis": "audio/ogg",
    "audio/webm": "video/webm",
    "audio/x-matroska": "video/x-matroska",
    "audio/quicktime": "video/quicktime",
    "application/ogg": "audio/ogg",
    "application/mp4": "video/mp4",
    "video/ogg": "audio/ogg",
    "video/x-m4v": "video/mp4",
    "video/3gpp": "video/mp4",
    "video/3gpp2": "video/mp4",
    "video/avi": "video/x-msvideo",
    "video/matroska": "video/x-matroska",
}
# Says nothing about the bytes: what servers send for a file they do not know.
_UNSPECIFIC: Final = frozenset(
    {"", "application/octet-stream", "binary/octet-stream", "image/*", "audio/*", "video/*", "*/*"}
)
_STILL_BRANDS: Final = {
    **dict.fromkeys((b"heic", b"heix", b"mif1"), "image/heic"),
    **dict.fromkeys((b"avif", b"avis"), "image/avif"),
}
_TS_PACKET: Final = 188


def sniff_type(data: bytes) -> str | None:
    """Return the MIME type that the first bytes show, None if they show none we know.

    Of a container with sound and pictures it is the container's usual one: `audio/ogg` may hold
    a film, `video/mp4` only sound.
    """
    for signature, mime in _SIGNATURES:
        if data.startswith(signature):
            return "image/svg+xml" if mime == "text/xml" and b"<svg" in data[:2000] else mime
    if len(data) >= 12 and data[:4] in (b"RIFF", b"FORM"):
        forms = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
        return {**forms, b"AIFF": "audio/aiff", b"AIFC": "audio/aiff"}.get(data[8:12])
    if data[4:8] == b"ftyp":
        return _brand(data[8:12])
    if data.startswith(b"\x1aE\xdf\xa3"):
        return "video/x-matroska" if b"matroska" in data[:64] else "video/webm"
    if data[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "video/quicktime"  # from before there were brands
    return _sniff_stream(data)


def _brand(brand: bytes) -> str:
    """Return the type of an ISO base media file (ISO/IEC 14496-12) by its major brand."""
    if brand in _STILL_BRANDS:
        return _STILL_BRANDS[brand]
    if brand == b"qt  ":
        return "video/quicktime"
    return "audio/mp4" if brand in (b"M4A ", b"M4B ") else "video/mp4"


def _sniff_stream(data: bytes) -> str | None:
    """Return the type of a stream without a header: it begins with a packet's sync word."""
    if len(data) > 2 * _TS_PACKET and data[0 : 2 * _TS_PACKET + 1 : _TS_PACKET] == b"GGG":
        return "video/mp2t"
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    if data[1] & 0xF6 == 0xF0:
        return "audio/aac"  # ADTS: layer bits 00, which MPEG audio reserves
    version, layer, rate = data[1] >> 3 & 3, data[1] >> 1 & 3, data[2] >> 2 & 3
    usable = version != 1 and layer != 0 and rate != 3 and data[2] >> 4 != 15
    return "audio/mpeg" if usable else None


def check_declared(found: str, declared_type: str | None) -> None:
    """Raise `MediaError` if a file is declared as another type than its bytes show.

    Types that share a container pass for each other: whether there is sound or film in it is not
    for the outside to say.
    """
    declared = (declared_type or "").partition(";")[0].strip().lower()
    if declared in _UNSPECIFIC:
        return
    meant = _ALIASES.get(declared, declared)
    if meant == found or (meant in RECORDINGS and RECORDINGS[meant] == RECORDINGS.get(found)):
        return
    raise MediaError(
        f"the file is declared as {declared[:100]} but its bytes are {found}",
        declared=declared[:100],
        found=found,
    )
