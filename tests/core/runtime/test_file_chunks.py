"""Chunks of one file by their numbers: wherever they lie now, and nothing that only looks alike."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from core.hits import Hit
from core.rows.row import Source
from core.runtime.environment import Environment
from core.runtime.file_chunks import load_chunks
from core.storage.segments import StoredDocument
from core.storage.snapshot import Snapshot
from tests.core.storage.writers import open_store


@dataclass(frozen=True)
class Pinned:
    snapshot: Snapshot

    def pinned(self, _: str) -> Snapshot:
        return self.snapshot


def chunk(root: str, number: int, **more: Any) -> StoredDocument:
    internal = {"chunk": {"of": root, "index": number}, "place": {"start_ms": 500 * number}}
    vector = np.array([number, 1], np.float32)
    return StoredDocument(f"{root}#{number}", {"_internal": internal, **more}, {"v": vector})


def read(snapshot: Snapshot, document_id: str, numbers: range) -> list[tuple[str, Any]]:
    ref = snapshot.find(document_id)
    assert ref is not None
    hit = Hit(document_id, Source("col", ref.part, ref.row), 1.0)
    rows = load_chunks(cast("Environment", Pinned(snapshot)), hit, numbers)
    for row in rows:
        assert row.source is not None
        assert snapshot.parts[row.source.part].segment.ids[row.source.row] == row.document_id
    return [(row.document_id, row.fields.get("v")) for row in rows]


def test_chunks_come_by_number_as_they_are_now(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.create("ns", "col", None)
    store.upsert("ns", "col", [chunk("song", n, v=1) for n in range(12)])
    store.upsert("ns", "col", [chunk("song", 3, v=2), chunk("other", 4, v=1)])
    store.delete("ns", "col", ["song#5"])
    snapshot = store.snapshot("ns", "col")
    assert read(snapshot, "song#7", range(2, 7)) == [
        ("song#2", 1),
        ("song#3", 2),
        ("song#4", 1),
        ("song#6", 1),
    ]
    # From a chunk that lies in a later part, those of an earlier one are found too.
    assert read(snapshot, "song#3", range(9, 99)) == [("song#9", 1), ("song#10", 1), ("song#11", 1)]
    assert read(snapshot, "other#4", range(9)) == [("other#4", 1)]


def test_what_only_looks_like_a_chunk_is_none(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.create("ns", "col", None)
    vector = {"v": np.zeros(2, np.float32)}
    store.upsert("ns", "col", [chunk("song", 0), StoredDocument("song#1", {"v": 9}, vector)])
    store.upsert("ns", "col", [StoredDocument("alone", {"v": 8}, vector)])
    snapshot = store.snapshot("ns", "col")
    assert read(snapshot, "song#0", range(5)) == [("song#0", None)]
    assert read(snapshot, "song#1", range(5)) == [("song#1", 9)]
    assert read(snapshot, "alone", range(5)) == [("alone", 8)]
