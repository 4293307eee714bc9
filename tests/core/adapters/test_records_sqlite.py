"""The records port on SQLite: the contract, several processes, and a file that fails."""

import multiprocessing
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from core.adapters import records_sqlite
from core.adapters.records_sqlite import SqliteRecords
from core.errors import ConflictError, StorageRefusedError, UnavailableError
from core.ports.records import ABSENT, Put
from tests.contracts.records import RecordsContract, SetClock


class TestSqliteRecords(RecordsContract):
    @pytest.fixture
    def records(self, clock: SetClock, tmp_path: Path) -> Iterator[SqliteRecords]:
        records = SqliteRecords(tmp_path / "folder" / "records.db", clock=clock)
        yield records
        records.close()


def test_what_expired_leaves_the_file_when_purged(tmp_path: Path) -> None:
    clock = SetClock(1_000.0)
    records = SqliteRecords(tmp_path / "records.db", clock=clock)
    for n in range(3):
        records.put(Put("p", f"brief{n}", {}, ttl_s=10))
    records.put(Put("p", "kept", {}))
    assert records.purge() == 0
    clock.now += 11
    assert records.purge() == 3
    records.close()
    with closing(sqlite3.connect(tmp_path / "records.db")) as connection:
        assert connection.execute("SELECT key FROM records").fetchall() == [("kept",)]


def test_records_survive_closing(tmp_path: Path) -> None:
    first = SqliteRecords(tmp_path / "records.db")
    first.put(Put("p", "k", {"n": 1.5}))
    first.close()
    second = SqliteRecords(tmp_path / "records.db")
    stored = second.get("p", "k")
    second.close()
    assert stored is not None
    assert stored.value == {"n": 1.5}


def _count_to_50(path: Path) -> None:
    records = SqliteRecords(path)
    done = 0
    while done < 50:
        present = records.get("p", "n")
        number = present.value["n"] if present else 0
        try:
            records.put(Put("p", "n", {"n": number + 1}, present.version if present else ABSENT))
            done += 1
        except ConflictError:
            pass


def test_processes_that_race_from_the_first_opening_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    spawn = multiprocessing.get_context("spawn")
    children = [spawn.Process(target=_count_to_50, args=(path,)) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 4
    records = SqliteRecords(path)
    stored = records.get("p", "n")
    records.close()
    assert stored is not None
    assert stored.value == {"n": 200}


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    path.write_bytes(b"not a database " * 100)
    with pytest.raises(StorageRefusedError, match=r"records\.db cannot be used"):
        SqliteRecords(path).get("p", "k")


def test_a_file_that_may_only_be_read_is_read_and_refuses_writes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "records.db"
    writer = SqliteRecords(path)
    writer.put(Put("p", "k", {"n": 1}))
    connect = sqlite3.connect

    def read_only(database: Path, **options: Any) -> sqlite3.Connection:
        # Not by the file's mode: root, which tests may run as, writes all the same.
        connection: sqlite3.Connection = connect(database, **options)
        connection.execute("PRAGMA query_only = ON")
        return connection

    monkeypatch.setattr(sqlite3, "connect", read_only)
    records = SqliteRecords(path)
    stored = records.get("p", "k")
    assert stored is not None
    assert stored.value == {"n": 1}
    with pytest.raises(StorageRefusedError, match="readonly") as caught:
        records.put(Put("p", "k", {"n": 2}))
    assert not caught.value.retryable
    records.close()
    writer.close()


def test_a_busy_file_is_worth_another_try(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(records_sqlite, "_BUSY_S", 0.0)
    records = SqliteRecords(tmp_path / "records.db")
    records.put(Put("p", "k", {}))
    with closing(sqlite3.connect(tmp_path / "records.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnavailableError) as caught:
            records.put(Put("p", "k", {}))
    assert caught.value.retryable
    records.close()


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError):
        SqliteRecords(tmp_path / "file" / "records.db").get("p", "k")


def test_a_failed_write_leaves_the_connection_usable(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    records = SqliteRecords(path)
    records.put(Put("p", "k", {"n": 1}))
    with sqlite3.connect(path) as other:
        other.execute("ALTER TABLE records RENAME TO elsewhere")
    with pytest.raises(UnavailableError):
        records.transact([Put("p", "a", {}), Put("p", "b", {})])
    with sqlite3.connect(path) as other:
        other.execute("ALTER TABLE elsewhere RENAME TO records")
    other.close()
    assert records.put(Put("p", "k", {"n": 2}, 1)).version == 2
    records.close()
