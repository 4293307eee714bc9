"""Storage that fails, lies or answers late: a version is read whole or not at all."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import (
    BlobNotFoundError,
    ConflictError,
    CorruptBlobError,
    TrawlError,
    UnavailableError,
)
from core.storage.manifest_store import ATTEMPTS
from core.storage.merging import MergePolicy
from core.storage.segment_files import WRITE_WINDOW_S
from core.storage.snapshot import Snapshot
from core.storage.upkeep import SWEEP_AGE_S
from tests.core.storage.doubles import EAGER, World, doc, read_all


def _world(policy: Any = None) -> World:
    world = World(policy)
    world.store.create("ns", "col", None)
    world.store.upsert("ns", "col", [doc("a", [1, 2], n=1), doc("b", [3, 4], n=1)])
    return world


def _fail(error: Exception) -> Callable[..., None]:
    def run(*_: object) -> None:
        raise error

    return run


def _once(owner: Any, name: str, action: Callable[..., object]) -> None:
    """Run `action` at the owner's next call of the hook `name`, and none after."""
    idle = getattr(owner, name)

    def run(*arguments: object) -> None:
        setattr(owner, name, idle)
        action(*arguments)

    setattr(owner, name, run)


SEGMENT = next(iter(_world().blobs.stored.values()))


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.integers(0, len(SEGMENT) - 1), st.integers(1, 255))
def test_an_altered_segment_is_corrupt(place: int, change: int) -> None:
    world = _world()
    (key,) = world.blobs.stored
    data = bytearray(world.blobs.stored[key])
    data[place] ^= change
    world.blobs.stored[key] = bytes(data)
    with pytest.raises(CorruptBlobError):
        world.reopen().snapshot("ns", "col")


@pytest.mark.parametrize("keep", [0, 1, 16, 64, 1000, -64, -1])
def test_a_truncated_segment_is_corrupt(keep: int) -> None:
    world = _world()
    (key,) = world.blobs.stored
    world.blobs.stored[key] = world.blobs.stored[key][:keep]
    with pytest.raises(CorruptBlobError):
        world.reopen().snapshot("ns", "col")


def test_a_segment_of_another_collection_is_corrupt_here() -> None:
    world = _world()
    (mine,) = world.blobs.stored
    world.store.create("other", "col", None)
    world.store.upsert("other", "col", [doc("theirs")])
    (theirs,) = set(world.blobs.stored) - {mine}
    world.blobs.stored[mine] = world.blobs.stored[theirs]
    with pytest.raises(CorruptBlobError):
        world.reopen().snapshot("ns", "col")


def test_a_lost_segment_is_an_error_not_an_endless_wait() -> None:
    world = _world()
    world.blobs.stored.clear()
    with pytest.raises(BlobNotFoundError):
        world.reopen().snapshot("ns", "col")


@pytest.mark.parametrize("failing", ["blobs", "records"])
def test_a_failed_write_leaves_the_old_version(failing: str) -> None:
    world = _world()
    _once(getattr(world, failing), "before", _fail(UnavailableError("down")))
    with pytest.raises(UnavailableError):
        world.store.upsert("ns", "col", [doc("a", n=2), doc("c")])
    assert read_all(world.reopen()) == {"a": {"n": 1}, "b": {"n": 1}}
    world.store.upsert("ns", "col", [doc("a", n=3)])
    assert read_all(world.reopen())["a"] == {"n": 3}


def test_a_write_whose_answer_was_lost_is_whole() -> None:
    world = _world()
    _once(world.records, "after", _fail(UnavailableError("no answer")))
    with pytest.raises(UnavailableError):
        world.store.upsert("ns", "col", [doc("a", n=2), doc("c", n=2)])
    assert read_all(world.reopen()) == {"a": {"n": 2}, "b": {"n": 1}, "c": {"n": 2}}


def test_a_repeated_request_that_conflicts_with_itself_is_a_success() -> None:
    # The AWS SDK sends a put again if the first answer was lost; the repetition then conflicts.
    world = _world()
    _once(world.records, "after", _fail(ConflictError("repeated")))
    world.store.upsert("ns", "col", [doc("c", n=2)])
    assert len(world.store.describe("ns", "col").segments) == 2
    _once(world.records, "after", _fail(ConflictError("repeated")))
    assert world.store.delete("ns", "col", ["c"]) == 1
    assert read_all(world.reopen()) == {"a": {"n": 1}, "b": {"n": 1}}
    _once(world.records, "after", _fail(ConflictError("repeated")))
    assert world.store.merge("ns", "col")
    assert read_all(world.reopen()) == {"a": {"n": 1}, "b": {"n": 1}}


def test_a_repeated_request_is_not_applied_over_a_later_write() -> None:
    world = _world()
    other = world.reopen()

    def lose_and_overwrite() -> None:
        other.upsert("ns", "col", [doc("a", n="later")])
        other.merge("ns", "col")
        raise ConflictError("repeated")

    _once(world.records, "after", lose_and_overwrite)
    world.store.upsert("ns", "col", [doc("a", n="earlier")])
    assert read_all(world.reopen())["a"] == {"n": "later"}


def test_a_writer_that_always_loses_gives_up_with_a_conflict() -> None:
    world = _world()
    world.records.before = _fail(ConflictError("lost"))
    operations: list[Callable[[], object]] = [
        lambda: world.store.upsert("ns", "col", [doc("a", n=2)]),
        lambda: world.store.delete("ns", "col", ["a"]),
        lambda: world.store.drop("ns", "col"),
    ]
    for operation in operations:
        world.pauses.clear()
        with pytest.raises(ConflictError) as caught:
            operation()
        assert caught.value.retryable
        assert len(world.pauses) == ATTEMPTS
        assert max(world.pauses) <= 0.25
        assert len(set(world.pauses)) > ATTEMPTS // 2
    assert read_all(world.reopen()) == {"a": {"n": 1}, "b": {"n": 1}}


@pytest.mark.parametrize("operation", ["load", "put", "delete"])
def test_a_failing_merge_does_not_fail_the_write(operation: str) -> None:
    world = _world(EAGER)
    world.store = world.reopen()
    calls = {"put": 0}

    def fail(name: str, key: str) -> None:
        calls["put"] += name == "put"
        if name == operation and (operation != "put" or calls["put"] > 1):
            raise UnavailableError("down")

    world.blobs.before = fail
    documents = [doc(f"d{n}", n=n) for n in range(9)]
    world.store.upsert("ns", "col", documents)
    world.blobs.before = lambda name, key: None
    assert len(read_all(world.reopen())) == 11


def test_damage_met_by_a_merge_does_not_fail_the_write_and_is_not_merged_away() -> None:
    world = _world(EAGER)
    (key,) = world.blobs.stored
    world.blobs.stored[key] = world.blobs.stored[key][:-1]
    store = world.reopen()
    store.upsert("ns", "col", [doc(f"d{n}") for n in range(9)])
    with pytest.raises(CorruptBlobError):
        store.snapshot("ns", "col")


def test_a_read_that_meets_a_merge_takes_the_new_version() -> None:
    world = _world()
    world.store.upsert("ns", "col", [doc("c", n=2)])
    other, reader = world.reopen(), world.reopen()
    # The merge removes both segments after the reader has read the manifest that names them.
    _once(world.blobs, "before", lambda operation, key: other.merge("ns", "col"))
    snapshot = reader.snapshot("ns", "col")
    assert [one for one, _ in snapshot.refs()] == ["a", "b", "c"]
    assert len(snapshot.parts) == 1


def test_a_merge_leaves_what_arrived_meanwhile() -> None:
    world = _world()
    world.store.upsert("ns", "col", [doc("c", n=1)])
    other = world.reopen()

    def write(operation: str, key: str) -> None:
        other.upsert("ns", "col", [doc("a", n="new"), doc("d", n=1)])
        other.delete("ns", "col", ["b"])

    _once(world.blobs, "before", write)
    assert world.reopen().merge("ns", "col")
    manifest = world.store.describe("ns", "col")
    assert [(entry.count, entry.deletes) for entry in manifest.segments] == [(3, 0), (2, 0), (0, 1)]
    assert manifest.image == manifest.segments[0].segment_id
    assert read_all(world.reopen()) == {"a": {"n": "new"}, "c": {"n": 1}, "d": {"n": 1}}


@pytest.mark.parametrize("hook", ["put", "load"])
def test_of_two_merges_at_once_one_gives_way(hook: str) -> None:
    world = _world()
    world.store.upsert("ns", "col", [doc("c", n=1)])
    first, second = world.reopen(), world.reopen()

    def merge(operation: str, key: str) -> None:
        if operation != hook:
            world.blobs.before = merge
        else:
            world.blobs.before = lambda operation, key: None
            assert second.merge("ns", "col")

    world.blobs.before = merge
    assert not first.merge("ns", "col")
    manifest = world.store.describe("ns", "col")
    assert set(world.blobs.stored) == {entry.key for entry in manifest.segments}
    assert sorted(read_all(world.reopen())) == ["a", "b", "c"]


def test_a_merge_to_nothing_leaves_what_another_merge_still_needs() -> None:
    newest_two = MergePolicy(2, delta_fraction=100, min_delta_bytes=1 << 40, min_delta_rows=1 << 40)
    world = World(newest_two)
    world.store.create("ns", "col", None)
    world.store.upsert("ns", "col", [doc("a", n=1)])
    world.store.delete("ns", "col", ["a"])
    other = world.reopen()
    # Before this merge can drop both segments, the newer one becomes part of a third.
    _once(world.records, "before", lambda: other.upsert("ns", "col", [doc("b", n=1)]))
    world.reopen().merge("ns", "col")
    assert [entry.count for entry in world.store.describe("ns", "col").segments] == [1, 1]
    assert read_all(world.reopen()) == {"b": {"n": 1}}


def test_a_crash_between_segment_and_manifest_leaves_an_orphan_that_a_sweep_removes() -> None:
    world = _world()
    world.records.before = _fail(UnavailableError("crash"))
    with pytest.raises(UnavailableError):
        world.store.upsert("ns", "col", [doc("c")])
    world.records.before = lambda: None
    assert len(world.blobs.stored) == 2
    assert world.store.sweep("ns", "col") == 0
    world.now += SWEEP_AGE_S - 1
    world.store.upsert("ns", "col", [doc("d")])
    assert world.store.sweep("ns", "col") == 0
    world.now += 2
    held = world.store.snapshot("ns", "col")
    assert world.store.sweep("ns", "col") == 1
    assert set(world.blobs.stored) == {
        entry.key for entry in world.store.describe("ns", "col").segments
    }
    assert sorted(read_all(world.reopen())) == [one for one, _ in held.refs()] == ["a", "b", "d"]


def test_a_sweep_touches_nothing_else() -> None:
    world = _world()
    prefix = next(iter(world.blobs.stored)).rsplit("/", 1)[0]
    strangers = [f"{prefix}/notes.txt", f"{prefix}/zzz.seg", "ns/collections/col2/x/0.seg"]
    for key in strangers:
        world.blobs.stored[key] = b"?"
    world.now += 10 * SWEEP_AGE_S
    assert world.store.sweep("ns", "col") == 0
    assert set(strangers) <= set(world.blobs.stored)


def test_a_sweep_removes_what_writers_left_to_a_dropped_collection() -> None:
    world = _world()
    data = dict(world.blobs.stored)
    world.store.drop("ns", "col")
    world.blobs.stored |= data
    world.now += SWEEP_AGE_S
    assert world.store.sweep("ns", "col") == 1
    assert world.blobs.stored == {}


def test_a_sweep_of_segments_that_may_be_underway_is_refused() -> None:
    with pytest.raises(ValueError, match="under way"):
        _world().store.sweep("ns", "col", older_than_s=WRITE_WINDOW_S)


@pytest.mark.parametrize("way", ["upsert", "update"])
def test_a_writer_that_slept_too_long_does_not_name_a_swept_segment(way: str) -> None:
    world = _world()

    def sleep(operation: str, key: str) -> None:
        world.now += WRITE_WINDOW_S + 1

    def edit(snapshot: Snapshot) -> Any:
        return [doc("late")], []

    world.blobs.before = sleep
    made_at = world.now
    # The segment is dated when it is made, and the laptop sleeps while it is being stored.
    with pytest.raises(TrawlError):
        if way == "upsert":
            world.store.upsert("ns", "col", [doc("late")])
        else:
            world.store.update("ns", "col", edit)
    assert world.now > made_at
    assert "late" not in read_all(world.reopen())
