"""The blobs port on a directory, for a laptop: one folder a bucket, one file an object."""

import errno
import hashlib
import hmac
import math
import mmap
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from core.adapters.blobs_checks import check_bucket, check_expiry, check_key, check_range
from core.errors import (
    BlobNotFoundError,
    ConflictError,
    InvalidRequestError,
    StorageRefusedError,
    UnavailableError,
)
from core.ports.blobs import BlobInfo, Follow, Presigned

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_INCOMING: Final = ".incoming"  # no bucket can be named so
# Smaller files are read instead of mapped: a mapping holds a file descriptor for as long as it
# lives, and a process may have no more than 256 of them (macOS) or 1,024.
_MAPPED_BYTES: Final = 16 << 20
_ABSENT: Final = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR)
# No waiting ends these: somebody has to mend the folder or the disk.
_LASTING: Final = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)


class DirectoryBlobs:
    """`Blobs` in `root/bucket`, made when first written to.

    A key is its file's path, so a key cannot also be the folder of another (`a` and `a/b`), and
    a segment of a key cannot be longer than a file name: such a put is an `InvalidRequestError`.
    """

    def __init__(
        self,
        root: Path,
        bucket: str,
        *,
        signing_key: bytes,
        base_url: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._root = root
        self._bucket = check_bucket(bucket)
        self._folder = root / bucket
        self._signing_key = signing_key
        self._base_url = base_url.rstrip("/")
        self._clock = clock

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
        """Store the object whole or not at all; `if_absent` and present: `ConflictError`.

        The content type is not kept: the local server tells it from the key.
        """
        path = self._path(key)
        with _mapped_errors(key, writing=True):
            if path.is_dir():
                raise InvalidRequestError(f"blob key is the folder of other blobs: {key}")
            incoming = self._root / _INCOMING
            incoming.mkdir(parents=True, exist_ok=True)
            temporary = incoming / secrets.token_hex(16)
            try:
                _write_durably(temporary, data)
                _make_folders(path.parent, self._root)
                if if_absent:
                    _link(temporary, path)
                else:
                    temporary.replace(path)
                _sync_folder(path.parent)
            finally:
                temporary.unlink(missing_ok=True)

    def get(
        self, key: str, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> bytes:
        """Return the bytes from `start` (to the end, or `length` of them), of `if_match` only."""
        check_range(start, length)
        path = self._path(key)
        with _mapped_errors(key), path.open("rb") as file:
            if if_match is not None and _etag(os.fstat(file.fileno())) != if_match:
                raise ConflictError(f"blob has changed: {key}")
            file.seek(start)
            return file.read(-1 if length is None else length)

    def load(self, key: str, *, follow: Follow | None = None) -> memoryview:
        """Return the whole object, memory-mapped if large; it outlives the object's deletion."""
        path = self._path(key)
        with _mapped_errors(key), path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < _MAPPED_BYTES:
                return memoryview(file.read())
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def head(self, key: str) -> BlobInfo:
        """Return the object's size and etag without its bytes."""
        path = self._path(key)
        # Opened, because a folder has a size too.
        with _mapped_errors(key), path.open("rb") as file:
            return BlobInfo(key, os.fstat(file.fileno()).st_size, _etag(os.fstat(file.fileno())))

    def delete(self, key: str) -> None:
        """Remove the object; absent is fine."""
        path = self._path(key)
        with suppress(BlobNotFoundError), _mapped_errors(key):
            if not path.is_dir():
                path.unlink(missing_ok=True)

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        """Yield the objects whose key starts with `prefix`, in byte order of keys."""
        return _walk(self._folder, "", prefix)

    def presign(self, key: str, *, expires_s: int) -> Presigned:
        """Return a URL of the local server that GETs the object."""
        check_key(key)
        check_expiry(expires_s)
        expires = math.floor(self._clock()) + expires_s
        signature = sign(self._signing_key, self._bucket, key, expires)
        url = f"{self._base_url}/blobs/{self._bucket}/{quote(key, safe='/')}"
        return Presigned(f"{url}?expires={expires}&signature={signature}", float(expires))

    def _path(self, key: str) -> Path:
        return self._folder.joinpath(*check_key(key).split("/"))


class DirectoryBlobStores:
    """`BlobStores` whose buckets are the folders of `root`.

    `signing_key` signs URLs below `base_url`, which the local server answers after `verify`.
    """

    def __init__(
        self,
        root: Path,
        *,
        signing_key: bytes,
        base_url: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._root = root
        self._signing_key = signing_key
        self._base_url = base_url
        self._clock = clock

    def bucket(self, name: str) -> DirectoryBlobs:
        """Return the bucket of that name; it is made on the first put."""
        return DirectoryBlobs(
            self._root,
            name,
            signing_key=self._signing_key,
            base_url=self._base_url,
            clock=self._clock,
        )

    def purge(self, older_than_s: float) -> int:
        """Remove the files of writers that were killed before they could put them in place."""
        removed = 0
        with _mapped_errors(_INCOMING, writing=True):
            for path in list((self._root / _INCOMING).glob("*")):
                # A writer may be done with it meanwhile.
                with suppress(FileNotFoundError):
                    if self._clock() - path.stat().st_mtime >= older_than_s:
                        path.unlink()
                        removed += 1
        return removed

    def verify(self, bucket: str, key: str, expires: str, signature: str) -> bool:
        """Tell whether the parts of a URL are as `presign` made them, and still in time."""
        return verify(
            self._signing_key, bucket, key, expires=expires, signature=signature, now=self._clock()
        )


def sign(signing_key: bytes, bucket: str, key: str, expires: int) -> str:
    """Return the HMAC-SHA256 of a GET of the object until the Unix second `expires`, as hex."""
    # A bucket has no newline and a key no control character, so no two requests share a text.
    text = f"GET\n{bucket}\n{key}\n{expires}"
    return hmac.new(signing_key, text.encode(), hashlib.sha256).hexdigest()


def verify(
    signing_key: bytes, bucket: str, key: str, *, expires: str, signature: str, now: float
) -> bool:
    """Tell, in constant time, whether a presigned URL's parts are genuine and still in time."""
    try:
        check_bucket(bucket)
        check_key(key)
    except InvalidRequestError:
        return False
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 15):
        return False
    wanted = sign(signing_key, bucket, key, int(expires))
    genuine = hmac.compare_digest(wanted.encode(), signature.encode(errors="replace"))
    return genuine and now < int(expires)


def _etag(facts: os.stat_result) -> str:
    """Return what no other file of the same name has: every put writes a file of its own."""
    return f"{facts.st_mtime_ns:x}-{facts.st_ino:x}-{facts.st_size:x}"


def _link(temporary: Path, path: Path) -> None:
    try:
        # Unlike a rename, a link fails if the name is taken.
        os.link(temporary, path)
    except FileExistsError as error:
        raise ConflictError(f"blob exists: {path.name}") from error


@contextmanager
def _mapped_errors(key: str, *, writing: bool = False) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _ABSENT and not writing:
            raise BlobNotFoundError(f"no blob under {key}") from error
        if error.errno == errno.ENAMETOOLONG:
            raise InvalidRequestError(f"blob key is too long for a file name: {key}") from error
        raise _refusal(error) from error


def _refusal(error: OSError) -> UnavailableError:
    if error.errno in _LASTING:
        return StorageRefusedError(f"the blobs folder cannot be used: {error.strerror}")
    return UnavailableError(f"the blobs folder did not answer: {error}")


def _write_durably(path: Path, data: bytes | memoryview) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _make_folders(folder: Path, root: Path) -> None:
    """Make `folder` below `root`, each new name on the disk before it is used."""
    if folder == root or folder.is_dir():
        return
    _make_folders(folder.parent, root)
    try:
        folder.mkdir(exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise InvalidRequestError(f"a blob lies where a folder is needed: {folder.name}") from error
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _walk(folder: Path, base: str, prefix: str) -> Iterator[BlobInfo]:
    """Yield the files below `folder`, whose keys begin with `base`, in byte order of keys."""
    try:
        with os.scandir(folder) as scan:
            # A folder sorts as its keys do: with the slash that follows its name.
            names = {f"{one.name}/" if one.is_dir() else one.name: one for one in scan}
            # Put there by hand, under a name that is no text: no key can ever ask for it.
            names = {name: one for name, one in names.items() if not _SURROGATE.search(name)}
    except OSError as error:
        if error.errno in _ABSENT:
            return
        raise _refusal(error) from error
    for name in sorted(names):
        key = base + name
        if name.endswith("/"):
            if key.startswith(prefix) or prefix.startswith(key):
                yield from _walk(folder / name, key, prefix)
        elif key.startswith(prefix):
            with suppress(FileNotFoundError):
                facts = names[name].stat()
                yield BlobInfo(key, facts.st_size, _etag(facts))
