"""Real processes: writers killed at any moment, and writers that race."""

import multiprocessing
import random
import time
from pathlib import Path

import pytest

from core.storage.collections import CollectionStore
from core.storage.upkeep import SWEEP_AGE_S
from tests.core.storage.writers import (
    POINTS,
    apply_steps,
    open_store,
    write_and_count,
    write_steps,
)

# A clean server that has imported everything once: each child is then a cheap fork of it.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.core.storage.writers"])


class _History:
    """What was acknowledged by one child after another, against what is stored."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.steps = 0
        self.state: dict[str, int] = {}
        open_store(folder).create("ns", "col", None)

    def run(
        self, point: str | None = None, passes: int = 0, *, kill_after: int | None = None
    ) -> None:
        """Run a writer until it dies at its point, or is killed after so many steps; then check."""
        acks, told = _PROCESSES.Pipe(duplex=False)
        arguments = (self.folder, self.steps, told, point, passes)
        child = _PROCESSES.Process(target=write_steps, args=arguments)
        child.start()
        told.close()
        acknowledged = 0
        try:
            while acks.recv_bytes():
                acknowledged += 1
                if acknowledged == kill_after:
                    child.kill()
        except EOFError:
            child.join(30)
        finally:
            child.kill()
        assert child.exitcode == -9
        self._check(acknowledged)

    def _check(self, acknowledged: int) -> None:
        done = self.steps + acknowledged
        wanted = apply_steps(self.state, self.steps, done)
        stored = _read_steps(open_store(self.folder))
        if stored != wanted:
            # The step under way may be stored too, but then the whole of it.
            done += 1
            wanted = apply_steps(wanted, done - 1, done)
        assert stored == wanted
        self.steps, self.state = done, wanted


def _read_steps(store: CollectionStore) -> dict[str, int]:
    snapshot = store.snapshot("ns", "col")
    steps = {}
    for one, ref in snapshot.refs():
        fields, vector = snapshot.payload(ref), snapshot.vector(ref, "v")
        assert vector is not None
        assert fields["fill"] == f"{fields['step']} " * 1000
        assert vector[0] == fields["step"]
        steps[one] = fields["step"]
    assert snapshot.count == len(steps)
    return steps


def _sweep(history: _History) -> None:
    """Check that what the dead left behind can be told from what is in use, and goes."""
    later = time.time() + SWEEP_AGE_S + 1
    store = open_store(history.folder, clock=lambda: later)
    store.sweep("ns", "col")
    named = {entry.key for entry in store.describe("ns", "col").segments}
    bucket = history.folder / "blobs" / "index"
    stored = {str(path.relative_to(bucket)) for path in bucket.rglob("*.seg")}
    assert stored == named
    assert _read_steps(store) == history.state


@pytest.mark.parametrize("point", POINTS)
def test_a_writer_killed_between_two_steps_loses_nothing(tmp_path: Path, point: str) -> None:
    history = _History(tmp_path)
    # Consecutive counts meet plain writes and merges alike.
    for passes in (0, 1, 2, 3, 4, 5, 8, 13):
        history.run(point, passes)
    assert history.steps > 10
    _sweep(history)


def test_a_writer_killed_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    history = _History(tmp_path)
    chance = random.Random(20)  # noqa: S311 - a seed for a test, no secret
    for _ in range(25):
        history.run(kill_after=chance.randint(1, 9))
    _sweep(history)


@pytest.mark.parametrize("writers", [2, 4])
def test_writers_that_race_lose_nothing(tmp_path: Path, writers: int) -> None:
    open_store(tmp_path).create("ns", "col", None)
    children = [
        _PROCESSES.Process(target=write_and_count, args=(tmp_path, f"w{n}", 15))
        for n in range(writers)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * writers
    snapshot = open_store(tmp_path).snapshot("ns", "col")
    listed = {one: snapshot.payload(ref) for one, ref in snapshot.refs()}
    assert listed.pop("counter") == {"count": 15 * writers}
    assert sorted(listed) == sorted(f"w{n}-{i:03}" for n in range(writers) for i in range(15))
