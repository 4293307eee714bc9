"""The records port on one SQLite file, for several threads and several processes at once."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Final

import orjson

from core.adapters.records_checks import check_keys, check_limit, check_transaction, encode_value
from core.errors import ConflictError, StorageRefusedError, UnavailableError
from core.ports.records import ABSENT, Delete, Put, Record, RecordPage

_BUSY_S: Final = 30.0
# No waiting ends these: somebody has to mend the file, its folder or the disk.
_LASTING: Final = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOTADB,
    }
)
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS records (
    partition TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    value TEXT NOT NULL,
    expires_at REAL,
    PRIMARY KEY (partition, key)
) WITHOUT ROWID
"""
# A record that expired is gone for readers and for conditions; its version goes on counting.
_SELECT: Final = """
SELECT value, version FROM records
WHERE partition = :partition AND key = :key AND (expires_at IS NULL OR expires_at > :now)
"""
_SELECT_PAGE: Final = """
SELECT key, value, version FROM records
WHERE partition = :partition AND key >= :prefix AND key > :after
AND (expires_at IS NULL OR expires_at > :now)
ORDER BY key LIMIT :limit
"""
_UPSERT: Final = """
INSERT INTO records (partition, key, version, value, expires_at)
VALUES (:partition, :key, 1, :value, :expires_at)
ON CONFLICT (partition, key) DO UPDATE
SET version = version + 1, value = excluded.value, expires_at = excluded.expires_at
RETURNING version
"""


class SqliteRecords:
    """`Records` in the file at `path`, which is made if absent. `clock` gives Unix seconds.

    Every write is on the disk when it returns. `close` ends the idle connections.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._idle: list[sqlite3.Connection] = []
        self._owner = os.getpid()
        self._lock = threading.Lock()

    def get(self, partition: str, key: str) -> Record | None:
        """Return the record, or None."""
        check_keys(partition, key)
        with self._connection() as connection:
            row = connection.execute(
                _SELECT, {"partition": partition, "key": key, "now": self._clock()}
            ).fetchone()
        return None if row is None else Record(partition, key, orjson.loads(row[0]), row[1])

    def put(self, put: Put) -> Record:
        """Write one record and return it with its new version."""
        check_keys(put.partition, put.key)
        text = encode_value(put.value)
        with self._transaction() as connection:
            version = self._put(connection, put, text)
        return Record(put.partition, put.key, orjson.loads(text), version)

    def delete(self, delete: Delete) -> None:
        """Remove one record."""
        check_keys(delete.partition, delete.key)
        with self._transaction() as connection:
            self._delete(connection, delete)

    def transact(self, writes: Sequence[Put | Delete]) -> None:
        """Apply all of at most 100 writes, to different keys, or none of them."""
        check_transaction(writes)
        texts = [encode_value(write.value) if isinstance(write, Put) else "" for write in writes]
        with self._transaction() as connection:
            for write, text in zip(writes, texts, strict=True):
                if isinstance(write, Put):
                    self._put(connection, write, text)
                else:
                    self._delete(connection, write)

    def list(
        self, partition: str, *, prefix: str = "", limit: int = 100, after: str | None = None
    ) -> RecordPage:
        """Return up to `limit` records whose key starts with `prefix`, in byte order of keys."""
        check_keys(partition, prefix or "-")
        check_limit(limit)
        with self._connection() as connection:
            rows = connection.execute(
                _SELECT_PAGE,
                {
                    "partition": partition,
                    "prefix": prefix,
                    "after": after or "",
                    "now": self._clock(),
                    "limit": limit + 1,
                },
            ).fetchall()
        # Past the prefix the order of keys leaves it for good.
        matching = list(takewhile(lambda row: row[0].startswith(prefix), rows))
        records = tuple(
            Record(partition, key, orjson.loads(value), version)
            for key, value, version in matching[:limit]
        )
        return RecordPage(records, records[-1].key if len(matching) > limit else None)

    def purge(self) -> int:
        """Remove what has expired for good; return how many records."""
        with self._transaction() as connection:
            done = connection.execute("DELETE FROM records WHERE expires_at <= ?", (self._clock(),))
            return done.rowcount

    def close(self) -> None:
        """Close the connections that are not in use; the next call opens new ones."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _put(self, connection: sqlite3.Connection, put: Put, text: str) -> int:
        self._check_version(connection, put)
        expires_at = None if put.ttl_s is None else self._clock() + put.ttl_s
        version: int = connection.execute(
            _UPSERT,
            {"partition": put.partition, "key": put.key, "value": text, "expires_at": expires_at},
        ).fetchone()[0]
        return version

    def _delete(self, connection: sqlite3.Connection, delete: Delete) -> None:
        self._check_version(connection, delete)
        connection.execute(
            "DELETE FROM records WHERE partition = ? AND key = ?", (delete.partition, delete.key)
        )

    def _check_version(self, connection: sqlite3.Connection, write: Put | Delete) -> None:
        if write.expected is None:
            return
        row = connection.execute(
            _SELECT,
            {"partition": write.partition, "key": write.key, "now": self._clock()},
        ).fetchone()
        present = ABSENT if row is None else row[1]
        if present != write.expected:
            raise ConflictError(
                f"record {write.key!r} is at version {present}, expected {write.expected}"
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connection() as connection:
            # IMMEDIATE takes the write lock before the condition is read, so it stays true.
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._take() or self._open()
            try:
                yield connection
            finally:
                self._give_back(connection)
        except sqlite3.Error as error:
            if _is_lasting(error):
                message = f"the file {self._path.name} cannot be used: {error}"
                raise StorageRefusedError(message) from error
            raise UnavailableError(f"the records file did not answer: {error}") from error

    def _take(self) -> sqlite3.Connection | None:
        with self._lock:
            if self._owner != os.getpid():
                # After a fork: a connection carried over would corrupt the file for both.
                self._idle, self._owner = [], os.getpid()
            return self._idle.pop() if self._idle else None

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            self._idle.append(connection)

    def _open(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageRefusedError(f"cannot make the records folder: {error}") from error
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        deadline = time.monotonic() + _BUSY_S
        while True:
            try:
                # Not covered by the busy timeout: two first openers at once meet an error here.
                connection.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError as error:
                if _is_lasting(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(_SCHEMA)


def _is_lasting(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    # An extended code keeps its kind in the lowest byte.
    return code is not None and code & 0xFF in _LASTING
