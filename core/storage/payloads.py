"""The payloads of one segment: JSON texts in one array, parsed when asked."""

from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from core.arrays import Int64, UInt8
from core.types import JsonObject


@dataclass(frozen=True, slots=True)
class Payloads:
    """n JSON objects; payload i is `text[offsets[i]:offsets[i + 1]]`."""

    text: UInt8
    offsets: Int64  # (n + 1,)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def read_bytes(self, row: int) -> bytes:
        """Return the JSON text in `row`; a row outside 0..n-1 raises `IndexError`."""
        if not 0 <= row < len(self):
            raise IndexError(row)
        return self.text[self.offsets[row] : self.offsets[row + 1]].tobytes()

    def parse(self, row: int) -> JsonObject:
        """Return the object in `row`, made anew each time."""
        payload: JsonObject = orjson.loads(self.read_bytes(row))
        return payload

    def __iter__(self) -> Iterator[JsonObject]:
        return map(self.parse, range(len(self)))
