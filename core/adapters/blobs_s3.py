"""The blobs port on S3."""

import io
import mmap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from core.adapters.aws_clients import LazyClient, error_code, make_client, map_error
from core.adapters.blobs_checks import check_bucket, check_expiry, check_key, check_range
from core.errors import BlobNotFoundError, ConflictError, UnavailableError
from core.ports.blobs import BlobInfo, Follow, Presigned

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from types_boto3_s3 import S3Client

# Large enough to amortize a request, small enough that several fill a Lambda's network.
RANGE_BYTES: Final = 32 << 20
# What has come first is checked meanwhile, so that many at once begin it late. Of the few choices
# from 4 by 16 MB to 16 by 8 MB this took the least, against a server on the same busy machine; S3
# itself, where one stream is slower, was not measured.
_PARALLEL: Final = 4
# How often one range is begun if its body breaks off. Requests are tried again by botocore.
_BODY_ATTEMPTS: Final = 3
# Copied piece by piece into its place: this much stays in the processor's cache meanwhile.
_PIECE_BYTES: Final = 256 << 10
# Session credentials whose end nobody tells, as in a Lambda's environment, live longer than this.
_UNTOLD_SESSION_S: Final = 3600.0

_MISSING: Final = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchBucket"})
_LOST: Final = frozenset({"412", "PreconditionFailed", "409", "ConditionalRequestConflict"})


class S3Blobs:
    """`Blobs` in one S3 bucket. `range_bytes` is how much of a large object one request reads."""

    def __init__(
        self,
        bucket: str,
        client: "Callable[[], S3Client]",
        *,
        clock: Callable[[], float] = time.time,
        range_bytes: int = RANGE_BYTES,
    ) -> None:
        self._bucket = check_bucket(bucket)
        self._client = client
        self._clock = clock
        self._range_bytes = range_bytes

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self._bucket

    def put(
        self,
        key: str,
        data: bytes | memoryview,
        *,
        content_type: str = "application/octet-stream",
        if_absent: bool = False,
    ) -> None:
        """Store the object whole or not at all; `if_absent` and present: `ConflictError`."""
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if if_absent else {}
        body = data if isinstance(data, bytes) else io.BytesIO(data)
        with self._mapped_errors(check_key(key)):
            self._client().put_object(
                Bucket=self._bucket, Key=key, Body=body, ContentType=content_type, **condition
            )

    def get(
        self, key: str, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> bytes:
        """Return the bytes from `start` (to the end, or `length` of them), of `if_match` only."""
        check_range(start, length)
        check_key(key)
        condition: dict[str, str] = {} if if_match is None else {"IfMatch": if_match}
        if length == 0:
            self._head(key, **condition)
            return b""
        if start == 0 and length is None:
            return self._read(key, **condition)
        end = "" if length is None else str(start + length - 1)
        return self._read(key, Range=f"bytes={start}-{end}", **condition)

    def _read(self, key: str, **request: Any) -> bytes:
        with self._mapped_errors(key):
            try:
                answer = self._client().get_object(Bucket=self._bucket, Key=key, **request)
            except Exception as error:
                # Nothing lies at or after the start, as in any slice past the end.
                if error_code(error) in ("InvalidRange", "416"):
                    return b""
                raise
            return answer["Body"].read()

    def load(self, key: str, *, follow: Follow | None = None) -> memoryview:
        """Return the whole object, read-only: ranges in parallel into one page-aligned buffer.

        `follow` is called in this thread, between the ranges' ends.
        """
        with self._mapped_errors(check_key(key)):
            answer = self._client().head_object(Bucket=self._bucket, Key=key)
        size, etag = answer["ContentLength"], answer["ETag"]
        if size == 0:
            return memoryview(b"")
        view = _make_buffer(size)
        starts = range(0, size, self._range_bytes)
        if len(starts) == 1:
            self._fill(key, etag, view, 0)
            return view.toreadonly()
        with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="blobs") as pool:
            ranges = [pool.submit(self._fill, key, etag, view, start) for start in starts]
            try:
                # In their order, so that what has come has no gaps; result() brings errors out.
                for start, filled in zip(starts, ranges, strict=True):
                    filled.result()
                    if follow is not None:
                        follow(view[: start + self._range_bytes].toreadonly())
            finally:
                for filled in ranges:
                    filled.cancel()
        return view.toreadonly()

    def _fill(self, key: str, etag: str, view: memoryview, start: int) -> None:
        """Read one range into its place, again if it breaks off: a hundred others came whole."""
        end = min(start + self._range_bytes, len(view))
        for left in reversed(range(_BODY_ATTEMPTS)):
            with self._mapped_errors(key):
                # Should the object be replaced midway, its halves must not be read as one.
                answer = self._client().get_object(
                    Bucket=self._bucket, Key=key, Range=f"bytes={start}-{end - 1}", IfMatch=etag
                )
            try:
                with self._mapped_errors(key), closing(answer["Body"]) as body:
                    came = _read_into(body, view[start:end])
                if came != end - start:
                    raise UnavailableError(f"s3://{self._bucket}/{key} broke off at {start + came}")
                return
            except UnavailableError:
                if not left:
                    raise

    def head(self, key: str) -> BlobInfo:
        """Return the object's size and etag without its bytes."""
        return self._head(check_key(key))

    def _head(self, key: str, **condition: Any) -> BlobInfo:
        with self._mapped_errors(key):
            answer = self._client().head_object(Bucket=self._bucket, Key=key, **condition)
        return BlobInfo(key, answer["ContentLength"], answer["ETag"])

    def delete(self, key: str) -> None:
        """Remove the object; absent is fine."""
        with self._mapped_errors(check_key(key)):
            self._client().delete_object(Bucket=self._bucket, Key=key)

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        """Yield the objects whose key starts with `prefix`, in byte order of keys."""
        request: dict[str, Any] = {"Bucket": self._bucket, "Prefix": prefix}
        while True:
            with self._mapped_errors(prefix):
                answer = self._client().list_objects_v2(**request)
            for item in answer.get("Contents", ()):
                yield BlobInfo(item["Key"], item["Size"], item["ETag"])
            if not answer.get("IsTruncated"):
                return
            request["ContinuationToken"] = answer["NextContinuationToken"]

    def presign(self, key: str, *, expires_s: int) -> Presigned:
        """Return a URL that GETs the object; it ends no later than the signing credentials do."""
        check_key(key)
        check_expiry(expires_s)
        client = self._client()
        now = self._clock()
        left = _credentials_left_s(client, now)
        if left is not None:
            expires_s = min(expires_s, int(left))
            if expires_s < 1:
                raise UnavailableError("the signing credentials are about to end")
        with self._mapped_errors(key):
            url = client.generate_presigned_url(
                "get_object",
                Params={"Bucket": self._bucket, "Key": key},
                ExpiresIn=expires_s,
                HttpMethod="GET",
            )
        return Presigned(url, now + expires_s)

    @contextmanager
    def _mapped_errors(self, key: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError
        from urllib3.exceptions import HTTPError

        where = f"s3://{self._bucket}/{key}"
        try:
            yield
        except ClientError as error:
            if error_code(error) in _MISSING:
                raise BlobNotFoundError(f"no blob under {where}") from error
            if error_code(error) in _LOST:
                raise ConflictError(f"blob exists or has changed: {where}") from error
            raise map_error(error, where) from error
        except (BotoCoreError, HTTPError, OSError) as error:
            raise map_error(error, where) from error


class S3BlobStores:
    """`BlobStores` on S3. The client is made when first used unless one is given."""

    def __init__(
        self, client: "S3Client | None" = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._client: LazyClient[S3Client] = LazyClient(
            lambda: make_client("s3") if client is None else client
        )

    def bucket(self, name: str) -> S3Blobs:
        """Return the bucket of that name, which is not made and need not exist."""
        return S3Blobs(name, self._client, clock=self._clock)

    def purge(self, older_than_s: float) -> int:
        """Do nothing: the buckets' own lifecycle ends uploads that nobody ended."""
        return 0


def _make_buffer(size: int) -> memoryview:
    """Return zeroed, page-aligned memory of its own mapping."""
    buffer = mmap.mmap(-1, size)
    # Linux: with pages of 2 MB, half a gigabyte takes 270 page faults instead of 130,000, which
    # are a third of the time that it takes to come.
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):
            buffer.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(buffer)


def _read_into(body: "StreamingBody", view: memoryview) -> int:
    """Fill `view` from a response; return how many bytes came, fewer if it broke off."""
    from http.client import HTTPResponse

    at = 0
    # Neither botocore nor urllib3 shows the stream below, and the `readinto` of both reads and then
    # copies: half as much work again. Without these attributes the body is read in pieces.
    response = getattr(body, "_raw_stream", None)
    stream = getattr(response, "_fp", None)
    if response is not None and isinstance(stream, HTTPResponse):
        while at < len(view) and (count := stream.readinto(view[at:])):
            at += count
        if stream.isclosed():
            response.release_conn()
        return at
    while at < len(view) and (piece := body.read(min(_PIECE_BYTES, len(view) - at))):
        view[at : at + len(piece)] = piece
        at += len(piece)
    return at


def _credentials_left_s(client: "S3Client", now: float) -> float | None:
    """Return for how many seconds the signing credentials live on, None if they do not end."""
    # Botocore shows this nowhere public; without the attributes the credentials count as untold.
    signer = getattr(client, "_request_signer", None)
    credentials = getattr(signer, "_credentials", None)
    if credentials is None:
        return None
    # Refreshes them if they are near their end.
    frozen = credentials.get_frozen_credentials()
    ends = getattr(credentials, "_expiry_time", None)
    if ends is not None:
        return float(ends.timestamp() - now)
    return _UNTOLD_SESSION_S if frozen.token else None
