"""What every blobs adapter refuses alike, before a backend can have its own opinion."""

import re
from typing import Final

from core.errors import InvalidRequestError

MAX_PRESIGN_S: Final = 7 * 86_400  # of signature version 4
_MAX_KEY_BYTES: Final = 1024
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_BUCKET: Final = re.compile(r"[a-z0-9](?!.*\.\.)[a-z0-9.-]{1,61}[a-z0-9]")


def check_key(key: str) -> str:
    """Return `key`; `InvalidRequestError` for one that the port does not allow."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise InvalidRequestError(f"blob key is not valid Unicode: {key!r}") from error
    if size > _MAX_KEY_BYTES:
        raise InvalidRequestError(f"blob key has {size} bytes, at most {_MAX_KEY_BYTES} can be")
    if _CONTROL.search(key):
        raise InvalidRequestError(f"blob key has control characters: {key!r}")
    if any(segment in ("", ".", "..") for segment in key.split("/")):
        raise InvalidRequestError(f"blob key has an empty, '.' or '..' segment: {key!r}")
    return key


def check_bucket(name: str) -> str:
    """Return `name`; `InvalidRequestError` unless it is a bucket name by S3's rules."""
    if not _BUCKET.fullmatch(name):
        raise InvalidRequestError(f"not a bucket name: {name!r}")
    return name


def check_range(start: int, length: int | None) -> None:
    """Raise `InvalidRequestError` for a negative start or length."""
    if start < 0 or (length is not None and length < 0):
        raise InvalidRequestError(f"range cannot be negative: start {start}, length {length}")


def check_expiry(expires_s: int) -> None:
    """Raise `InvalidRequestError` unless a URL may live that many seconds."""
    if not 1 <= expires_s <= MAX_PRESIGN_S:
        raise InvalidRequestError(
            f"a URL can live 1 to {MAX_PRESIGN_S} seconds, asked were {expires_s}"
        )
