"""Files broken where their format is: lengths, the order of their parts, their ends, other files'
parts. `mutate` breaks bytes; most of those are caught by the first check that a decoder makes.
"""

import random
import struct
import zlib
from collections.abc import Callable

_PNG = b"\x89PNG\r\n\x1a\n"
_WITHOUT_KNOWN_PARTS = 64


def break_structure(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Return the file broken in one way or two; `other` is a file to splice with."""
    for _ in range(rng.choice((1, 1, 2))):
        data = rng.choice(_WAYS)(data, other, rng) or data[:1]
    return data


def split_parts(data: bytes) -> list[bytes]:
    """Return the file's chunks, boxes, pages or segments; joined they are the file."""
    cut = next((cut for begins, cut in _CUTS if begins(data)), None)
    starts = _every(_WITHOUT_KNOWN_PARTS, data) if cut is None else cut(data)
    edges = sorted({0, len(data), *(at for at in starts if 0 < at < len(data))})
    return [data[first:last] for first, last in zip(edges, edges[1:], strict=False)]


def _lengths(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Change one number that may be a length: one of two or four bytes, no more than the file."""
    kind = rng.choice((">I", "<I", ">H", "<H"))
    width = struct.calcsize(kind)
    places = [
        at
        for at in range(max(1, min(len(data) - width, 4096)))
        if len(data) >= width and 0 < struct.unpack_from(kind, data, at)[0] <= len(data)
    ]
    if not places:
        return data
    at, most = rng.choice(places), 256**width - 1
    was = struct.unpack_from(kind, data, at)[0]
    wanted = rng.choice((0, 1, was - 1, was + 1, 2 * was, len(data), most // 2, most))
    return data[:at] + struct.pack(kind, min(wanted, most)) + data[at + width :]


def _truncated(data: bytes, other: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(1, len(data) + 1)]


def _spliced(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Join the head of one to the tail of the other, at the same share of both or anywhere."""
    share = rng.random()
    at = round((share if rng.random() < 0.5 else rng.random()) * len(other))
    return data[: round(share * len(data))] + other[at:]


def _reordered(data: bytes, other: bytes, rng: random.Random) -> bytes:
    parts = split_parts(data)
    first, second = rng.randrange(len(parts)), rng.randrange(len(parts))
    parts[first], parts[second] = parts[second], parts[first]
    return b"".join(parts)


def _doubled(data: bytes, other: bytes, rng: random.Random) -> bytes:
    parts = split_parts(data)
    at = rng.randrange(len(parts))
    return b"".join([*parts[:at], parts[at] * rng.choice((2, 2, 50)), *parts[at + 1 :]])


def _dropped(data: bytes, other: bytes, rng: random.Random) -> bytes:
    parts = split_parts(data)
    del parts[rng.randrange(len(parts))]
    return b"".join(parts)


def _borrowed(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Put a part of the other file between two of this one."""
    parts = split_parts(data)
    parts.insert(rng.randrange(len(parts) + 1), rng.choice(split_parts(other)))
    return b"".join(parts)


def _checked(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Change a byte of a part; in a PNG its checksum too, so that it is believed."""
    parts = split_parts(data)
    n = rng.randrange(len(parts))
    part = bytearray(parts[n])
    at = rng.randrange(len(part))
    part[at] = rng.randrange(256)
    if data.startswith(_PNG) and len(part) >= 12 and not part.startswith(_PNG):
        part[-4:] = struct.pack(">I", zlib.crc32(part[4:-4]))
    return b"".join([*parts[:n], bytes(part), *parts[n + 1 :]])


_WAYS = (_lengths, _truncated, _spliced, _reordered, _doubled, _dropped, _borrowed, _checked)


def _every(size: int, data: bytes) -> list[int]:
    return list(range(0, len(data), size))


def _by_length(first: int, head: str, extra: int) -> Callable[[bytes], list[int]]:
    """Return what cuts a file of parts that begin with their length (or a name, then that)."""

    def cut(data: bytes) -> list[int]:
        starts, at = [], first
        while at + 8 <= len(data):
            starts.append(at)
            values = struct.unpack_from(head, data, at)
            at += max(8, next(value for value in values if isinstance(value, int)) + extra)
        return starts

    return cut


def _by_mark(mark: bytes) -> Callable[[bytes], list[int]]:
    def cut(data: bytes) -> list[int]:
        starts, at = [], data.find(mark)
        while at >= 0:
            starts.append(at)
            at = data.find(mark, at + len(mark))
        return starts

    return cut


def _begins(start: bytes, at: int = 0) -> Callable[[bytes], bool]:
    return lambda data: data[at : at + len(start)] == start


_CUTS = (
    (_begins(_PNG), _by_length(8, ">I4s", 12)),
    (_begins(b"RIFF"), _by_length(12, "<4sI", 8)),
    (_begins(b"ftyp", 4), _by_length(0, ">I4s", 0)),
    (_begins(b"OggS"), _by_mark(b"OggS")),
    (_begins(b"\xff\xd8"), _by_mark(b"\xff")),
    (_begins(b"\xff\xfb"), _by_mark(b"\xff\xfb")),
    (_begins(b"ID3"), _by_mark(b"\xff\xfb")),
    (_begins(b"\x1aE\xdf\xa3"), _by_mark(b"\xa3")),
    (_begins(b"fLaC"), _by_mark(b"\xff\xf8")),
    (_begins(b"GIF8"), _by_mark(b"\x21\xf9")),
)
