"""Writers that run as processes of their own, to be killed or to race.

The steps of `write_steps` upsert five of forty documents, or delete one, as their number says: so
what each leaves behind can be told without having seen it.
"""

import os
import signal
import time
from collections.abc import Callable
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from core.adapters.blobs_directory import DirectoryBlobs
from core.adapters.records_sqlite import SqliteRecords
from core.ports.records import Put, Record
from core.storage.collections import CollectionStore
from core.storage.segment_cache import SegmentCache
from core.storage.segments import StoredDocument
from core.storage.snapshot import Snapshot
from tests.core.storage.doubles import EAGER

DOCUMENTS = 40
POINTS = ("before_segment", "after_segment", "before_manifest", "after_manifest")


class _Doom:
    """Kills this process when a point has been passed a number of times."""

    def __init__(self, point: str | None, passes: int) -> None:
        self._point = point
        self._passes = passes

    def reach(self, point: str) -> None:
        if point == self._point:
            self._passes -= 1
            if self._passes < 0:
                os.kill(os.getpid(), signal.SIGKILL)


class _DoomedRecords(SqliteRecords):
    doom = _Doom(None, 0)

    def put(self, put: Put) -> Record:
        self.doom.reach("before_manifest")
        record = super().put(put)
        self.doom.reach("after_manifest")
        return record


class _DoomedBlobs(DirectoryBlobs):
    doom = _Doom(None, 0)

    def put(self, key: str, data: bytes | memoryview, **how: Any) -> None:
        self.doom.reach("before_segment")
        super().put(key, data, **how)
        self.doom.reach("after_segment")


def open_store(
    folder: Path,
    point: str | None = None,
    passes: int = 0,
    clock: Callable[[], float] = time.time,
) -> CollectionStore:
    """Return the store in `folder`; `point` is where this process is to die, if anywhere."""
    records = _DoomedRecords(folder / "records.db")
    blobs = _DoomedBlobs(folder / "blobs", "index", signing_key=b"k", base_url="http://x")
    records.doom = blobs.doom = _Doom(point, passes)
    return CollectionStore(records, blobs, SegmentCache(), merge_policy=EAGER, clock=clock)


def plan_step(step: int) -> tuple[list[str], list[str]]:
    """Return the ids that a step upserts and those that it deletes."""
    if step % 2:
        return [], [f"d{step * 11 % DOCUMENTS:02}"]
    return [f"d{(step * 7 + n) % DOCUMENTS:02}" for n in range(5)], []


def apply_steps(state: dict[str, int], start: int, stop: int) -> dict[str, int]:
    """Return the documents, each with the step that wrote it, after steps start to stop - 1."""
    state = dict(state)
    for step in range(start, stop):
        written, deleted = plan_step(step)
        state |= dict.fromkeys(written, step)
        for one in deleted:
            state.pop(one, None)
    return state


def write_steps(folder: Path, start: int, acks: Connection, point: str | None, passes: int) -> None:
    """Take steps from `start` on until killed; send a byte after each that was acknowledged."""
    store = open_store(folder, point, passes)
    for step in count(start):
        written, deleted = plan_step(step)
        if written:
            store.upsert("ns", "col", [_document(one, step) for one in written])
        else:
            store.delete("ns", "col", deleted)
        acks.send_bytes(b".")


def _document(document_id: str, step: int) -> StoredDocument:
    # A few kilobytes, so that a write has a middle.
    fields = {"step": step, "fill": f"{step} " * 1000}
    return StoredDocument(document_id, fields, {"v": np.array([step, 1.0])})


def write_and_count(folder: Path, name: str, rounds: int) -> None:
    """Upsert documents of one's own and add to a counter shared by all, alternately."""
    store = open_store(folder)
    for number in range(rounds):
        store.upsert("ns", "col", [StoredDocument(f"{name}-{number:03}", {"by": name})])
        store.update("ns", "col", _add_one())


def _add_one() -> Callable[[Snapshot], tuple[list[StoredDocument], list[str]]]:
    def edit(snapshot: Snapshot) -> tuple[list[StoredDocument], list[str]]:
        ref = snapshot.find("counter")
        count = 0 if ref is None else snapshot.payload(ref)["count"]
        return [StoredDocument("counter", {"count": count + 1})], []

    return edit
