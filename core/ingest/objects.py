"""The present state of objects, told by their etags: what is there now, and exactly that read."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from core.errors import BlobNotFoundError, ConflictError, TrawlError
from core.ports.blobs import BlobInfo, Blobs
from core.ports.media import ReadObject

# An object's facts, None if there is none, or why it cannot be told.
State = BlobInfo | TrawlError | None
_THREADS: Final = 10


def look_at(blobs: Blobs, keys: Iterable[str]) -> dict[str, State]:
    """Return the state of each object, asked for side by side."""
    keys = list(keys)
    if not keys:
        return {}

    def look(key: str) -> State:
        try:
            return blobs.head(key)
        except BlobNotFoundError:
            return None
        except TrawlError as error:
            return error

    with ThreadPoolExecutor(min(_THREADS, len(keys)), thread_name_prefix="ingest") as pool:
        return dict(zip(keys, pool.map(look, keys), strict=True))


def reader_of(blobs: Blobs, info: BlobInfo) -> ReadObject:
    """Return what reads this one object, whatever it is asked for, as its etag names it.

    Without the etag, bytes of one version could be stored under the name of another. And `s3://`
    values lose the spaces at their ends, where a key may have some: asked by such a value, it
    would be another object that is read.
    """

    def read(_bucket: str, _key: str, most: int) -> bytes:
        try:
            return blobs.get(info.key, length=most, if_match=info.etag)
        except BlobNotFoundError:
            raise ConflictError(f"{info.key} was removed while it was read") from None

    return read
