"""The manifest of a job: read as a stream, cut into chunks, each line an item or an error."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import orjson

from core.errors import InvalidRequestError
from core.models.base import parse_model
from core.models.jobs import (
    MAX_LINE_BYTES,
    MAX_MANIFEST_BYTES,
    MAX_MANIFEST_LINES,
    JobItem,
)
from core.ports.blobs import BlobInfo, Blobs
from core.types import JsonObject

# Chunks are sized by bytes, so that one reading is enough: there are about this many at most.
_MOST_CHUNKS: Final = 1000
_LEAST_LINES: Final = 25
# A chunk is held in memory; and at 100 ms a file this many lines take 500 s.
_CHUNK_BYTES: Final = 16_000_000
_CHUNK_LINES: Final = 5000
_READ_BYTES: Final = 8_000_000
_BOM: Final = b"\xef\xbb\xbf"
# As deep as the API takes a body; far deeper JSON can be read, and then not be written.
_MAX_DEPTH: Final = 100


@dataclass(frozen=True, slots=True)
class Chunk:
    """Lines that are worked on together: a byte range of the manifest's copy, the number of its
    first line (from 1) and how many there are."""

    number: int
    start: int
    length: int
    first_line: int
    lines: int

    def to_json(self) -> JsonObject:
        """Return the element of the list of chunks."""
        return {
            "number": self.number,
            "start": self.start,
            "length": self.length,
            "first_line": self.first_line,
            "lines": self.lines,
        }

    @classmethod
    def from_json(cls, raw: JsonObject) -> "Chunk":
        """Read an element of the list."""
        return cls(**{name: raw[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a manifest: an item, or why it is none."""

    number: int
    id: str | None
    item: JobItem | None
    error: InvalidRequestError | None = None


def read_lines(blobs: Blobs, key: str) -> Iterator[bytes]:
    """Yield the lines of a manifest, without their ends and without blank lines at the end.

    A line past `MAX_LINE_BYTES` comes cut, but still past it: `parse_line` says so. Raises
    `InvalidRequestError` for a manifest that is too large, `ConflictError` for one that changes
    while it is read.
    """
    info = blobs.head(key)
    size = info.size
    if size > MAX_MANIFEST_BYTES:
        raise InvalidRequestError(
            f"the manifest has {size} bytes, at most {MAX_MANIFEST_BYTES} are taken"
        )
    blank = 0
    for count, line in enumerate(_split(blobs, info), start=1):
        if not line.strip():
            blank += 1
            continue
        if count > MAX_MANIFEST_LINES:
            raise InvalidRequestError(f"the manifest has more than {MAX_MANIFEST_LINES} lines")
        yield from [b""] * blank
        blank = 0
        yield line


def _split(blobs: Blobs, info: BlobInfo) -> Iterator[bytes]:
    rest, start = b"", 0
    while start < info.size:
        etag = info.etag or None
        data = blobs.get(info.key, start=start, length=_READ_BYTES, if_match=etag)
        if start == 0:
            start, data = len(data), data.removeprefix(_BOM)
        else:
            start += len(data)
        *lines, rest = (rest + data).split(b"\n")
        yield from lines
        rest = rest[: MAX_LINE_BYTES + 1]
    if rest:
        yield rest


def cut_chunks(lines: Iterator[bytes], size: int) -> Iterator[tuple[Chunk, bytes]]:
    """Yield chunks with their bytes; `size` is about what all the lines have together."""
    target = size / _MOST_CHUNKS
    number, start, first_line = 0, 0, 1
    held: list[bytes] = []
    held_bytes = 0

    def chunk() -> tuple[Chunk, bytes]:
        data = b"".join(line + b"\n" for line in held)
        return Chunk(number, start, len(data), first_line, len(held)), data

    for line in lines:
        held.append(line)
        held_bytes += len(line) + 1
        enough = len(held) >= _LEAST_LINES and held_bytes >= target
        if enough or held_bytes >= _CHUNK_BYTES or len(held) >= _CHUNK_LINES:
            yield chunk()
            number, start, first_line = number + 1, start + held_bytes, first_line + len(held)
            held, held_bytes = [], 0
    if held:
        yield chunk()


def parse_line(number: int, raw: bytes) -> Line:
    """Return the item of a line, or what is wrong with it."""
    name = None
    try:
        value = _read_json(raw)
        if isinstance(value, dict) and isinstance(value.get("id"), str):
            name = value["id"][:500]
        return Line(number, name, parse_model(JobItem, value))
    except InvalidRequestError as error:
        return Line(number, name, None, error)


def _read_json(raw: bytes) -> object:
    if len(raw) > MAX_LINE_BYTES:
        raise InvalidRequestError(f"the line is longer than {MAX_LINE_BYTES} bytes")
    if not raw.strip():
        raise InvalidRequestError("the line is empty")
    try:
        value: object = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(f"the line is not JSON: {error}") from None
    if not _within_depth(value):
        raise InvalidRequestError(f"the line is nested deeper than {_MAX_DEPTH} levels")
    return value


def _within_depth(value: object) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [child for node in level for child in _children(node)]
        if not level:
            return True
    return False


def _children(node: object) -> Iterable[object]:
    """Return what may hold more; a list of numbers is recognized at C speed, and not walked."""
    children: Collection[object] = ()
    if isinstance(node, dict):
        children = node.values()
    elif isinstance(node, list):
        children = node
    if {dict, list}.isdisjoint(map(type, children)):
        return ()
    return [child for child in children if isinstance(child, dict | list)]
