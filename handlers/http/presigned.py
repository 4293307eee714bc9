"""What presigned URLs of a data folder point at: GET an object, if the signature is right."""

import mimetypes
from typing import Protocol, runtime_checkable
from urllib.parse import unquote

from core.errors import BlobNotFoundError, TrawlError
from core.ports.blobs import Blobs
from handlers.http.messages import ApiRequest, ApiResponse

PREFIX = "/blobs/"


@runtime_checkable
class SigningStores(Protocol):
    """Buckets whose presigned URLs point at this server; those of S3 point at S3."""

    def bucket(self, name: str) -> Blobs:
        """Return the bucket of that name."""
        ...

    def verify(self, bucket: str, key: str, expires: str, signature: str) -> bool:
        """Tell whether a URL's parts are genuine and still in time."""
        ...


class BlobServer:
    """Serves `GET /blobs/{bucket}/{key}?expires=&signature=`; anything else is refused alike."""

    def __init__(self, buckets: SigningStores) -> None:
        self._buckets = buckets

    def answer(self, request: ApiRequest) -> ApiResponse:
        """Return the object, or 403, 404, 405 in plain text; it blocks."""
        if request.method not in ("GET", "HEAD"):
            return _refuse(405, "only GET is signed for")
        bucket, _, key = unquote(request.path.removeprefix(PREFIX)).partition("/")
        expires, signature = _last(request, "expires"), _last(request, "signature")
        if not self._buckets.verify(bucket, key, expires, signature):
            return _refuse(403, "this URL is not valid, or not any more")
        try:
            data = self._buckets.bucket(bucket).get(key)
        except BlobNotFoundError:
            return _refuse(404, "no such object")
        except TrawlError:
            return _refuse(503, "the object cannot be read now")
        kind = mimetypes.guess_type(key)[0] or "application/octet-stream"
        headers = {
            "Content-Type": kind,
            # Media is what users sent: never run as a page of this origin.
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "X-Content-Type-Options": "nosniff",
        }
        return ApiResponse(200, data if request.method == "GET" else b"", headers)


def _last(request: ApiRequest, name: str) -> str:
    values = request.query.get(name)
    return values[-1] if values else ""


def _refuse(status: int, message: str) -> ApiResponse:
    return ApiResponse(status, message.encode(), {"Content-Type": "text/plain; charset=utf-8"})
