"""The blob format of segments: named arrays behind a signed-off directory, readable in place.

Layout, little-endian: magic (8 bytes) · length of the directory (uint64) · directory (JSON) ·
zeros up to a multiple of 64 · the sections, each padded with zeros to a multiple of 64. The
directory holds a BLAKE3 of every section with its padding; the digest of a container is the
SHA-256 of everything before the first section. So one short digest vouches for every byte.

BLAKE3 takes a fifth of SHA-256's time, and loading a collection is mostly this check. Sections
written before it came have a SHA-256, and are read as well.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import orjson
from numpy.typing import NDArray

from core.errors import CorruptBlobError
from core.types import JsonObject

MAGIC: Final = b"TRAWLSG1"
ALIGNMENT: Final = 64
_PREFIX_BYTES: Final = 16
_MAX_DIRECTORY_BYTES: Final = 16 << 20
# What a section may hold. Anything else (objects above all) is refused, whatever the file says.
_DTYPES: Final = frozenset({"|u1", "|i1", "<i4", "<i8", "<u8", "<f4"})


@dataclass(frozen=True, slots=True)
class Container:
    """A verified container: what the writer said about it, and its arrays (read-only views)."""

    meta: JsonObject
    sections: Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A container's bytes and the digest to remember them by."""

    data: bytes
    digest: str


def encode_container(meta: JsonObject, sections: Mapping[str, NDArray[Any]]) -> Encoded:
    """Return the container of `sections`; `meta` is any JSON object."""
    entries: list[JsonObject] = []
    pieces: list[Any] = []
    offset = 0
    for name, array in sections.items():
        plain = np.ascontiguousarray(array)
        if plain.dtype.str not in _DTYPES:
            raise TypeError(f"section {name} has dtype {plain.dtype}, which no container holds")
        raw = plain.reshape(-1).view(np.uint8).data
        padding = bytes(-len(raw) % ALIGNMENT)
        entries.append(
            {
                "name": name,
                "dtype": plain.dtype.str,
                "shape": list(plain.shape),
                "offset": offset,
                "length": len(raw),
                "blake3": _digest("blake3", raw, padding),
            }
        )
        pieces += [raw, padding]
        offset += len(raw) + len(padding)
    header = _encode_header({"meta": meta, "sections": entries, "bytes": offset})
    return Encoded(b"".join([header, *pieces]), _digest("sha256", header))


def _encode_header(directory: JsonObject) -> bytes:
    text = orjson.dumps(directory)
    header = MAGIC + len(text).to_bytes(8, "little") + text
    return header + bytes(-len(header) % ALIGNMENT)


def open_container(data: memoryview, digest: str) -> Container:
    """Return the container in `data` after checking every byte of it against `digest`.

    The arrays are views into `data`: nothing is copied. Raises `CorruptBlobError` if the bytes
    are truncated, altered, or no container.
    """
    return ContainerReader(digest).open(data)


class ContainerReader:
    """Checks a container while it arrives, so that a large one need not be read a second time.

    For one thread and one container. Raises `CorruptBlobError` as soon as bytes are wrong.
    """

    def __init__(self, digest: str) -> None:
        self._digest = digest
        self._directory: JsonObject | None = None
        self._start = 0  # of the sections
        # The section to check next, and up to where it has been.
        self._section = 0
        self._at = 0
        self._hash: _Hash | None = None  # of the section's bytes up to there

    def follow(self, data: memoryview) -> None:
        """Check what has come: the container's bytes from its beginning, more with each call."""
        data = data.cast("B").toreadonly()
        if self._directory is None and not self._read_header(data):
            return
        try:
            while self._check_section(data):
                self._section += 1
        except (KeyError, TypeError, ValueError) as error:
            raise _malformed(error) from error

    def open(self, data: memoryview) -> Container:
        """Return the container in `data`: the bytes that were followed, and those after them."""
        data = data.cast("B").toreadonly()
        self.follow(data)
        directory, start = self._directory, self._start
        if directory is None:
            raise CorruptBlobError("segment is truncated: its directory does not fit")
        # The digest vouches for it, so its shape is only doubted when we changed our own.
        try:
            if len(data) != start + directory["bytes"]:
                total = start + directory["bytes"]
                raise CorruptBlobError(
                    f"container has {len(data)} bytes, its directory says {total}"
                )
            entries = directory["sections"]
            if self._section != len(entries):
                name = entries[self._section]["name"]
                raise CorruptBlobError(f"section {name} lies outside its segment")
            sections = {entry["name"]: _open_section(data, start, entry) for entry in entries}
            return Container(directory["meta"], sections)
        except (KeyError, TypeError, ValueError) as error:
            raise _malformed(error) from error

    def _read_header(self, data: memoryview) -> bool:
        """Read and check the directory; say whether enough has come."""
        if bytes(data[:8]) != MAGIC[: len(data)]:
            raise CorruptBlobError("not a Trawl segment: wrong magic")
        if len(data) < _PREFIX_BYTES:
            return False
        length = int.from_bytes(data[8:_PREFIX_BYTES], "little")
        if length > _MAX_DIRECTORY_BYTES:
            raise CorruptBlobError("not a Trawl segment: its directory is too long")
        end = _PREFIX_BYTES + length
        start = end + -end % ALIGNMENT
        if start > len(data):
            return False
        if _digest("sha256", data[:start]) != self._digest:
            raise CorruptBlobError("segment does not match the digest in its manifest")
        self._directory, self._start = orjson.loads(data[_PREFIX_BYTES:end]), start
        return True

    def _check_section(self, data: memoryview) -> bool:
        """Go on with the present section; say whether it has ended and is what was written."""
        entries = self._directory["sections"] if self._directory is not None else ()
        if self._section == len(entries):
            return False
        entry = entries[self._section]
        first, last = _bounds(self._start, entry)
        if not self._start <= first <= last or entry["dtype"] not in _DTYPES:
            raise CorruptBlobError(f"section {entry['name']} lies outside its segment")
        algorithm = "blake3" if "blake3" in entry else "sha256"
        if self._hash is None:
            self._at, self._hash = first, _new_hash(algorithm)
        end = min(last, len(data))
        if self._at < end:
            self._hash.update(data[self._at : end])
            self._at = end
        if end < last:
            return False
        if self._hash.hexdigest() != entry[algorithm]:
            raise CorruptBlobError(f"section {entry['name']} does not match its digest")
        self._hash = None
        return True


def _bounds(start: int, entry: JsonObject) -> tuple[int, int]:
    """Return where a section begins and where its padding ends."""
    first = start + entry["offset"]
    return first, first + entry["length"] + -entry["length"] % ALIGNMENT


def _open_section(data: memoryview, start: int, entry: JsonObject) -> NDArray[Any]:
    first = start + entry["offset"]
    flat = np.frombuffer(data[first : first + entry["length"]], dtype=np.dtype(entry["dtype"]))
    return flat.reshape(entry["shape"])


def _malformed(error: Exception) -> CorruptBlobError:
    return CorruptBlobError(f"container directory is malformed: {error!r}")


class _Hash(Protocol):
    """A hash that is being made."""

    def update(self, data: bytes | memoryview, /) -> object: ...

    def hexdigest(self) -> str: ...


def _new_hash(algorithm: str) -> _Hash:
    if algorithm == "sha256":
        return hashlib.sha256()
    from blake3 import blake3

    return blake3()


def _digest(algorithm: str, *parts: bytes | memoryview) -> str:
    digest = _new_hash(algorithm)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def join_bytes(parts: Sequence[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return byte strings as one array and the n + 1 offsets at which they begin and end."""
    offsets = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    return np.frombuffer(b"".join(parts), np.uint8), offsets
