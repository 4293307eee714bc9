"""The records port: small JSON items with conditional writes (DynamoDB, or one SQLite file)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from core.types import JsonObject

MAX_RECORD_BYTES = 350_000  # DynamoDB's item limit is 400 KB; keys and attributes need the rest

ABSENT = 0  # `expected=ABSENT`: write only if nothing is stored under the key


@dataclass(frozen=True, slots=True)
class Record:
    """One stored item. `version` starts at 1 and grows by one with each write of the key."""

    partition: str
    key: str
    value: JsonObject
    version: int


@dataclass(frozen=True, slots=True)
class Put:
    """Write `value`. `expected` is the version it replaces, `ABSENT`, or None for any.

    `ttl_s` lets the item disappear that many seconds from now (reads treat it as gone at once).
    """

    partition: str
    key: str
    value: JsonObject
    expected: int | None = None
    ttl_s: float | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove the key (absent is fine unless `expected` names a version)."""

    partition: str
    key: str
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Records in key order; `after` continues the listing, None when it is exhausted."""

    records: tuple[Record, ...]
    after: str | None


class Records(Protocol):
    """Strongly consistent. Losing a condition raises `ConflictError` and writes nothing.

    A value over `MAX_RECORD_BYTES` as JSON raises `InvalidRequestError`; a store that does not
    answer raises `UnavailableError`. Values read back equal what was written, types included.
    """

    def get(self, partition: str, key: str) -> Record | None:
        """Return the record, or None."""
        ...

    def put(self, put: Put) -> Record:
        """Write one record and return it with its new version."""
        ...

    def delete(self, delete: Delete) -> None:
        """Remove one record."""
        ...

    def transact(self, writes: Sequence[Put | Delete]) -> None:
        """Apply all of at most 100 writes, to different keys, or none of them."""
        ...

    def list(
        self, partition: str, *, prefix: str = "", limit: int = 100, after: str | None = None
    ) -> RecordPage:
        """Return up to `limit` records whose key starts with `prefix`, in byte order of keys."""
        ...

    def purge(self) -> int:
        """Remove what has expired for good; return how many records.

        Reads treat it as gone anyway. Where the backend removes it by itself, this does nothing.
        """
        ...


def list_all(
    records: Records, partition: str, prefix: str = "", *, at_once: int = 100
) -> Iterator[Record]:
    """Yield every record of a partition whose key starts with `prefix`, read page by page."""
    after: str | None = None
    while True:
        page = records.list(partition, prefix=prefix, limit=at_once, after=after)
        yield from page.records
        after = page.after
        if after is None:
            return
