"""What a content value refers to: an https URL, an S3 object, a data URI, or base64 itself."""

import base64
import binascii
import re
from dataclasses import dataclass, field
from urllib.parse import unquote, unquote_to_bytes

from core.errors import FetchError, InvalidRequestError, MediaError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_BLANKS = str.maketrans("", "", " \t\r\n")
_ACCEPTED = "an https:// URL, s3://bucket/key, a data: URI, or base64"


@dataclass(frozen=True, slots=True)
class UrlRef:
    """A URL to fetch; whether it may be is the fetcher's to say."""

    url: str


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """An object in S3."""

    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class InlineRef:
    """The bytes themselves, and the MIME type that a data URI declares for them."""

    data: bytes = field(repr=False)
    declared_type: str | None = None


ContentRef = UrlRef | ObjectRef | InlineRef


def parse_content(value: str, *, max_bytes: int) -> ContentRef:
    """Read a content value. Bytes that come inline are decoded, at most `max_bytes` of them.

    Raises `InvalidRequestError` for a value that is none of the four or malformed, `FetchError`
    for a scheme that is never fetched, `MediaError` for inline bytes that are too many.
    """
    value = value.strip()
    match = _SCHEME.match(value)
    if match is None:
        return InlineRef(_decode_base64(value, max_bytes))
    scheme = match[1].lower()
    if scheme == "data":
        return _parse_data_uri(value[5:], max_bytes)
    if scheme == "s3":
        return _parse_object(value)
    if scheme in ("https", "http"):
        return UrlRef(value)
    raise FetchError(f"{scheme[:50]}: is never fetched; want {_ACCEPTED}")


def _parse_data_uri(rest: str, max_bytes: int) -> InlineRef:
    """Read what follows `data:` (RFC 2397)."""
    head, comma, payload = rest.partition(",")
    if not comma:
        raise InvalidRequestError("the data: URI has no comma before its data")
    mime, *parameters = head.split(";")
    if parameters and parameters[-1].strip().lower() == "base64":
        data = _decode_base64(unquote(payload), max_bytes)
    else:
        _check_size(len(payload) // 3, max_bytes)
        data = unquote_to_bytes(payload)
        _check_size(len(data), max_bytes)
    return InlineRef(data, mime.strip().lower() or None)


def _parse_object(value: str) -> ObjectRef:
    bucket, _, key = value[len("s3://") :].partition("/")
    if not value[2:].startswith("://") or not _BUCKET.fullmatch(bucket) or not key:
        raise InvalidRequestError(f"not an S3 URI: {value[:200]!r}; want s3://bucket/key")
    # Keys are taken as they are written: `?` and `%` are ordinary characters in S3.
    return ObjectRef(bucket, key)


def _decode_base64(text: str, max_bytes: int) -> bytes:
    # Line breaks are how tools wrap base64; any other stray character is a mistake.
    text = text.translate(_BLANKS)
    _check_size(len(text) // 4 * 3 - 2, max_bytes)
    if not text:
        raise InvalidRequestError(f"the content is empty; want {_ACCEPTED}")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        shown = text[:40] + ("…" if len(text) > 40 else "")
        raise InvalidRequestError(f"not base64: {shown!r}; want {_ACCEPTED}") from error


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise MediaError(f"the content has {size} bytes; at most {max_bytes} are read")
