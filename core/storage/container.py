"""The blob format of segments: named arrays behind a signed-off directory, readable in place.

Layout, little-endian: magic (8 bytes) · length of the directory (uint64) · directory (JSON) ·
zeros up to a multiple of 64 · the sections, each padded with zeros to a multiple of 64. The
directory holds a SHA-256 of every section with its padding; the digest of a container is the
SHA-256 of everything before the first section. So one short digest vouches for every byte.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

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
                "sha256": _digest(raw, padding),
            }
        )
        pieces += [raw, padding]
        offset += len(raw) + len(padding)
    header = _encode_header({"meta": meta, "sections": entries, "bytes": offset})
    return Encoded(b"".join([header, *pieces]), _digest(header))


def _encode_header(directory: JsonObject) -> bytes:
    text = orjson.dumps(directory)
    header = MAGIC + len(text).to_bytes(8, "little") + text
    return header + bytes(-len(header) % ALIGNMENT)


def open_container(data: memoryview, digest: str) -> Container:
    """Return the container in `data` after checking every byte of it against `digest`.

    The arrays are views into `data`: nothing is copied. Raises `CorruptBlobError` if the bytes
    are truncated, altered, or no container.
    """
    data = data.cast("B").toreadonly()
    directory, start = _read_header(data, digest)
    # The digest vouches for the directory, so its shape is only doubted when we changed our own.
    try:
        if len(data) != start + directory["bytes"]:
            raise CorruptBlobError(
                f"container has {len(data)} bytes, its directory says {start + directory['bytes']}"
            )
        sections = {
            entry["name"]: _open_section(data, start, entry) for entry in directory["sections"]
        }
        return Container(directory["meta"], sections)
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptBlobError(f"container directory is malformed: {error!r}") from error


def _read_header(data: memoryview, digest: str) -> tuple[JsonObject, int]:
    if len(data) < _PREFIX_BYTES or bytes(data[:8]) != MAGIC:
        raise CorruptBlobError("not a Trawl segment: wrong magic")
    length = int.from_bytes(data[8:_PREFIX_BYTES], "little")
    end = _PREFIX_BYTES + length
    start = end + -end % ALIGNMENT
    if length > _MAX_DIRECTORY_BYTES or start > len(data):
        raise CorruptBlobError("segment is truncated: its directory does not fit")
    if _digest(data[:start]) != digest:
        raise CorruptBlobError("segment does not match the digest in its manifest")
    directory: JsonObject = orjson.loads(data[_PREFIX_BYTES:end])
    return directory, start


def _open_section(data: memoryview, start: int, entry: JsonObject) -> NDArray[Any]:
    first = start + entry["offset"]
    last = first + entry["length"]
    if not start <= first <= last <= len(data) or entry["dtype"] not in _DTYPES:
        raise CorruptBlobError(f"section {entry['name']} lies outside its segment")
    if _digest(data[first : last + -entry["length"] % ALIGNMENT]) != entry["sha256"]:
        raise CorruptBlobError(f"section {entry['name']} does not match its digest")
    flat = np.frombuffer(data[first:last], dtype=np.dtype(entry["dtype"]))
    return flat.reshape(entry["shape"])


def _digest(*parts: bytes | memoryview) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def join_bytes(parts: Sequence[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return byte strings as one array and the n + 1 offsets at which they begin and end."""
    offsets = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    return np.frombuffer(b"".join(parts), np.uint8), offsets
