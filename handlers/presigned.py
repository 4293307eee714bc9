"""Reads the one presigned URL that the media function may be handed instead of bytes.

The function has no network rights to lose and its invoker made the URL; it is held to S3 all the
same, so that whoever may invoke the function still cannot point it at anything else.
"""

import os
from http.client import HTTPException
from typing import IO, Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from core.errors import InvalidRequestError, MediaError, UnavailableError

# What the fetcher may hand on at most, by any setting that makes sense for one function.
MAX_BYTES: Final = 200_000_000
TIMEOUT_S: Final = 10.0

_S3_HOSTS: Final = (".amazonaws.com", ".amazonaws.com.cn")
# The SDKs' own variables: where S3 is, if it is not Amazon's.
_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


class _NoRedirects(HTTPRedirectHandler):
    """A presigned URL leads to its object or nowhere."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing: the redirect comes out as an `HTTPError`."""


def read_presigned(url: str, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the object behind a presigned URL; blocks at most `TIMEOUT_S` for each read.

    Raises `InvalidRequestError` for a URL that is not S3's, `MediaError` for more than `max_bytes`,
    `UnavailableError` if S3 refuses or does not answer: the URL was made by our own service.
    """
    _check(url)
    opener = build_opener(ProxyHandler({}), _NoRedirects())
    request = Request(url, headers={"Accept-Encoding": "identity"})  # noqa: S310 - just checked
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            return _read_body(answer, max_bytes)
    except HTTPError as error:
        error.close()
        raise UnavailableError(f"S3 answered {error.code} for the presigned URL") from None
    except (URLError, HTTPException, OSError) as error:
        # Without its text: that may repeat the URL, which is a credential.
        raise UnavailableError(
            f"the presigned URL could not be read ({type(error).__name__})"
        ) from None


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise InvalidRequestError("presigned_url is no URL") from None
    if parts.username is not None or parts.password is not None:
        raise InvalidRequestError("presigned_url holds a user name or password")
    if parts.scheme == "https" and port in (None, 443) and host.endswith(_S3_HOSTS):
        return
    if (parts.scheme, host, port) in _own_endpoints():
        return
    raise InvalidRequestError("presigned_url is not an https:// address of S3")


def _own_endpoints() -> list[tuple[str, str, int | None]]:
    """Return the S3 that this deployment's environment names, whatever its scheme."""
    found = [urlsplit(os.environ[name]) for name in _ENDPOINTS if os.environ.get(name)]
    return [(parts.scheme, (parts.hostname or "").lower(), parts.port) for parts in found]


def _read_body(answer: IO[bytes], max_bytes: int) -> bytes:
    body = bytearray()
    while piece := answer.read(1 << 20):
        body += piece
        if len(body) > max_bytes:
            raise MediaError(f"the file has more than {max_bytes} bytes")
    expected = answer.headers.get("Content-Length")  # type: ignore[attr-defined]  # urlopen's own
    # The standard library takes a connection that breaks off for the end of the body.
    if expected is not None and expected.isdecimal() and int(expected) != len(body):
        raise UnavailableError("the presigned URL's object broke off")
    return bytes(body)
