"""Document ids of one segment: sorted, searched in place, a million without a million strings."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from core.arrays import Int32, Int64, UInt8
from core.storage.container import join_bytes


@dataclass(frozen=True, slots=True)
class IdTable:
    """n distinct ids in ascending order. UTF-8 byte order is Python's order of strings.

    `hashes` (n,) ascending and `rows` (n,), the row each hash belongs to, let two tables be
    intersected by one vectorised search; a match of hashes is then compared as bytes.
    """

    text: UInt8
    offsets: Int64  # (n + 1,)
    hashes: NDArray[np.uint64]
    rows: Int32

    @classmethod
    def build(cls, ids: Sequence[bytes]) -> Self:
        """Return the table of `ids`, which are distinct UTF-8 and sorted."""
        text, offsets = join_bytes(ids)
        hashes = np.frombuffer(
            b"".join([hashlib.blake2b(one, digest_size=8).digest() for one in ids]), "<u8"
        )
        order = np.argsort(hashes, kind="stable")
        return cls(text, offsets, hashes[order], order.astype(np.int32))

    @classmethod
    def from_sections(cls, name: str, sections: Mapping[str, NDArray[Any]]) -> Self:
        """Return the table that `to_sections` stored under `name`."""
        return cls(*(sections[f"{name}.{field}"] for field in cls.__slots__))

    def to_sections(self, name: str) -> dict[str, NDArray[Any]]:
        """Return the arrays to store, their names beginning with `name`."""
        return {f"{name}.{field}": getattr(self, field) for field in self.__slots__}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> str:
        return self.read_bytes(row).decode()

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(len(self)))

    def read_bytes(self, row: int) -> bytes:
        """Return the id in `row` as UTF-8; a row outside 0..n-1 raises `IndexError`."""
        if not 0 <= row < len(self):
            raise IndexError(row)
        return self.text[self.offsets[row] : self.offsets[row + 1]].tobytes()

    def find(self, document_id: str) -> int:
        """Return the row of `document_id`, or -1."""
        return self._find(encode_id(document_id))

    def after(self, document_id: str) -> int:
        """Return the first row whose id is greater, n if there is none."""
        wanted = encode_id(document_id)
        row = self._bisect(wanted)
        return row + 1 if row < len(self) and self.read_bytes(row) == wanted else row

    def _find(self, wanted: bytes) -> int:
        row = self._bisect(wanted)
        return row if row < len(self) and self.read_bytes(row) == wanted else -1

    def _bisect(self, wanted: bytes) -> int:
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self.read_bytes(middle) < wanted:
                low = middle + 1
            else:
                high = middle
        return low

    def rows_of(self, other: "IdTable") -> Int32:
        """Return the rows of the ids that are in `other` too, in no order."""
        if not len(self) or not len(other):
            return np.empty(0, np.int32)
        places = np.minimum(np.searchsorted(self.hashes, other.hashes), len(self) - 1)
        (hits,) = np.nonzero(self.hashes[places] == other.hashes)
        mine, theirs = self.rows[places[hits]], other.rows[hits]
        pairs = zip(mine.tolist(), theirs.tolist(), strict=True)
        found = [self._confirm(row, other.read_bytes(their)) for row, their in pairs]
        return np.array([row for row in found if row >= 0], np.int32)

    def _confirm(self, row: int, wanted: bytes) -> int:
        # Different ids may share a hash, and then it found only the first of them.
        return row if self.read_bytes(row) == wanted else self._find(wanted)


def encode_id(document_id: str) -> bytes:
    """Return the id as stored; one that is no valid Unicode becomes bytes that no id has."""
    return document_id.encode("utf-8", "surrogatepass")
