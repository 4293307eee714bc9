"""The blobs port: immutable objects in one bucket (S3, or a directory on a laptop)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

# Is shown the beginning of an object that is being read, each time there is more of it; by the end
# it need not have seen all. It must not keep it.
Follow = Callable[[memoryview], None]


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """A stored object's key and its size in bytes.

    `etag` is another text for other bytes of the same key, and no part of what makes two equal.
    """

    key: str
    size: int
    etag: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Presigned:
    """A GET-only URL and the Unix second at which it stops working."""

    url: str
    expires_at: float


class Blobs(Protocol):
    """One bucket. Missing keys raise `BlobNotFoundError`; no answer raises `UnavailableError`.

    Keys are `/`-separated, without empty, `.` or `..` segments and without control characters;
    others raise `InvalidRequestError`, whatever the backend would make of them.
    """

    @property
    def bucket(self) -> str:
        """The bucket's name, as it stands in `s3://bucket/key`."""
        ...

    def put(
        self,
        key: str,
        data: bytes | memoryview,
        *,
        content_type: str = "application/octet-stream",
        if_absent: bool = False,
    ) -> None:
        """Store the object whole or not at all; `if_absent` and present: `ConflictError`."""
        ...

    def get(
        self, key: str, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> bytes:
        """Return the bytes from `start` (to the end, or `length` of them).

        `if_match` is the etag that `head` gave: `ConflictError` if the object has another by now.
        """
        ...

    def load(self, key: str, *, follow: Follow | None = None) -> memoryview:
        """Return the whole object, read-only, the fastest way there is for large ones.

        A directory memory-maps it; S3 reads ranges in parallel into one buffer, and calls
        `follow` meanwhile. What `follow` raises ends the load and leaves here.
        """
        ...

    def head(self, key: str) -> BlobInfo:
        """Return the object's size and etag without its bytes."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; absent is fine."""
        ...

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        """Yield the objects whose key starts with `prefix`, in byte order of keys."""
        ...

    def presign(self, key: str, *, expires_s: int) -> Presigned:
        """Return a URL that GETs the object; it ends no later than the signing credentials do."""
        ...


class BlobStores(Protocol):
    """Finds a bucket by name: media may lie in buckets that a namespace has registered."""

    def bucket(self, name: str) -> Blobs:
        """Return the bucket of that name (made on first use by the directory adapter only)."""
        ...

    def purge(self, older_than_s: float) -> int:
        """Remove what killed writers left aside that many seconds ago or more; return how many.

        No bucket shows any of it. Where the backend removes it by itself, this does nothing.
        """
        ...
