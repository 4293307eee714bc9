"""Keys of vectors that lie in an index outside: each names the write that its vector belongs to.

A key is `{write id}.{document id}`. Beside the document, its segment holds the same write id, so
that a vector counts only if the snapshot's live document came with the very same write. Vectors
of failed, superseded or deleted writes can be there and are never taken for a document's.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.arrays import UInt8
from core.storage.snapshot import Part, Ref, Snapshot
from core.types import VectorSpec

# Six bytes of time, milliseconds since 1970, and four of chance.
_TIME_BYTES: Final = 6
_RANDOM_BYTES: Final = 4
WRITE_ID_BYTES: Final = _TIME_BYTES + _RANDOM_BYTES
_WRITE_ID_DIGITS: Final = 2 * WRITE_ID_BYTES


def new_write_id(clock: Callable[[], float] = time.time) -> bytes:
    """Return the id of a write that begins now; `clock` gives Unix seconds."""
    made = int(clock() * 1000).to_bytes(_TIME_BYTES)
    return made + secrets.token_bytes(_RANDOM_BYTES)


def age_s(write_id: bytes, now: float) -> float:
    """Return how many seconds before `now` (Unix seconds) the write began."""
    return now - int.from_bytes(write_id[:_TIME_BYTES]) / 1000


def key_of(write_id: bytes, document_id: str) -> str:
    """Return the key of a document's vector."""
    return f"{write_id.hex()}.{document_id}"


def split_key(key: str) -> tuple[bytes, str] | None:
    """Return the write id and document id in a key, None for what is no key of ours."""
    try:
        write_id = bytes.fromhex(key[:_WRITE_ID_DIGITS])
    except ValueError:
        return None
    if len(write_id) != WRITE_ID_BYTES or key[_WRITE_ID_DIGITS : _WRITE_ID_DIGITS + 1] != ".":
        return None
    return write_id, key[_WRITE_ID_DIGITS + 1 :]


def placeholder_spec(name: str) -> VectorSpec:
    """Return how a segment sees a write id that stands in a vector's place: as bits to keep."""
    return VectorSpec(name, 8 * WRITE_ID_BYTES, "hamming")


def placeholder(write_id: bytes) -> UInt8:
    """Return what a segment stores in a vector's place, (WRITE_ID_BYTES,)."""
    return np.frombuffer(write_id, np.uint8)


def keys_at(snapshot: Snapshot, refs: Sequence[Ref], name: str) -> list[str | None]:
    """Return the keys of the documents' vectors, None for those without one of that name."""
    return [_key_at(snapshot.parts[ref.part], ref.row, name) for ref in refs]


def keys_of_rows(part: Part, rows: NDArray[Any], name: str) -> list[tuple[int, str]]:
    """Return the row and the key of each of these rows (ascending) that has a vector."""
    stored = part.segment.vectors.get(name)
    if stored is None or not len(rows):
        return []
    places = np.flatnonzero(np.isin(stored.rows, rows, assume_unique=True))
    return [
        (row, key_of(stored.block.originals[place].tobytes(), part.segment.ids[row]))
        for place, row in zip(places.tolist(), stored.rows[places].tolist(), strict=True)
    ]


def find_key(snapshot: Snapshot, key: str, name: str) -> Ref | None:
    """Return where the live document is whose vector has this key, None if it has another."""
    parts = split_key(key)
    ref = None if parts is None else snapshot.find(parts[1])
    if parts is None or ref is None:
        return None
    stored = snapshot.parts[ref.part].segment.vectors.get(name)
    place = None if stored is None else stored.place_of(ref.row)
    if stored is None or place is None:
        return None
    return ref if stored.block.originals[place].tobytes() == parts[0] else None


def _key_at(part: Part, row: int, name: str) -> str | None:
    stored = part.segment.vectors.get(name)
    place = None if stored is None else stored.place_of(row)
    if stored is None or place is None:
        return None
    return key_of(stored.block.originals[place].tobytes(), part.segment.ids[row])
