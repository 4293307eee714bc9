"""Merging: how much is rewritten, and that what a merged segment holds is what it was made of."""

import numpy as np
import pytest

from core.errors import CorruptBlobError
from core.filtering.paths import MISSING
from core.storage.manifest import SegmentEntry
from core.storage.merging import MergePolicy
from core.storage.segments import MIN_CODED_ROWS, StoredDocument
from tests.core.storage.doubles import EAGER, World, doc, read_all


def _entry(count: int, size: int, deletes: int = 0) -> SegmentEntry:
    return SegmentEntry(f"{count}", "key", "digest", size, count, deletes)


def _simulate(writes: list[SegmentEntry], policy: MergePolicy) -> tuple[int, int]:
    """Return the bytes that merges write and the most segments there ever are."""
    segments: list[SegmentEntry] = []
    rewritten = most = 0
    for write in writes:
        segments.append(write)
        run = policy.choose(segments)
        if run:
            assert len(run) > 1
            assert list(run) == segments[-len(run) :]
            size = sum(entry.size for entry in run)
            rewritten += size
            segments[-len(run) :] = [_entry(sum(entry.count for entry in run), size)]
        most = max(most, len(segments))
    return rewritten, most


@pytest.mark.parametrize(
    ("writes", "count", "size"),
    [(200, 1000, 2_200_000), (200, 1000, 50_000), (2000, 1, 3000), (20, 10_000, 20_000_000)],
)
def test_a_document_is_rewritten_a_few_times_only(writes: int, count: int, size: int) -> None:
    rewritten, most = _simulate([_entry(count, size)] * writes, MergePolicy())
    # Merging everything at every ninth write would be writes / 16 times on average.
    assert rewritten / (writes * size) < 8
    assert most <= 9


def test_small_changes_leave_a_large_image_alone() -> None:
    policy = MergePolicy()
    rewritten, _ = _simulate([_entry(10**6, 2 * 10**9)] + [_entry(10, 30_000)] * 100, policy)
    assert rewritten < 100 * 30_000 * 6


def test_many_deletes_are_worth_a_merge() -> None:
    image = _entry(100_000, 10**9)
    assert MergePolicy().choose([image, _entry(0, 10**6, deletes=40_000)]) == ()
    run = MergePolicy().choose([image, _entry(0, 10**6, deletes=60_000)])
    assert run[0] is image


def test_one_segment_or_none_is_never_merged() -> None:
    assert MergePolicy().choose([]) == ()
    assert MergePolicy().choose([_entry(10**6, 10**9)]) == ()


def test_writes_merge_by_themselves_and_the_image_is_named() -> None:
    world = World(EAGER)
    world.store.create("ns", "col", None)
    for n in range(40):
        world.store.upsert("ns", "col", [doc(f"d{n:02}", [n, 1], n=n)])
        assert len(world.store.describe("ns", "col").segments) <= 4
    manifest = world.store.describe("ns", "col")
    assert manifest.image == manifest.segments[0].segment_id
    assert read_all(world.reopen()) == {f"d{n:02}": {"n": n} for n in range(40)}
    assert len(world.blobs.stored) == len(manifest.segments)


def test_the_image_holds_no_deleted_or_replaced_rows() -> None:
    world = World()
    world.store.create("ns", "col", None)
    world.store.upsert("ns", "col", [doc(f"d{n}", [n, 1], brand=f"b{n}") for n in range(10)])
    world.store.upsert("ns", "col", [doc("d3", brand="new"), doc("d10", [10, 1])])
    world.store.delete("ns", "col", ["d5", "d10"])
    assert world.store.merge("ns", "col")
    assert not world.store.merge("ns", "col")
    (part,) = world.store.snapshot("ns", "col").parts
    assert part.live is None
    assert list(part.segment.ids) == ["d0", "d1", "d2", "d3", "d4", "d6", "d7", "d8", "d9"]
    assert len(part.segment.deletes) == 0
    assert part.segment.vectors["v"].rows.tolist() == [0, 1, 2, 4, 5, 6, 7, 8]
    assert part.segment.vectors["v"].block.originals[:, 0].tolist() == [0, 1, 2, 4, 6, 7, 8, 9]
    column = part.segment.stored_columns.columns["brand"]
    assert sorted(map(str, column.values)) == sorted(
        ["new", "b0", "b1", "b2", "b4", "b6", "b7", "b8", "b9"]
    )


def test_a_collection_emptied_by_deletes_has_no_segments() -> None:
    world = World()
    world.store.create("ns", "col", None)
    world.store.upsert("ns", "col", [doc("a"), doc("b")])
    world.store.delete("ns", "col", ["a", "b"])
    assert world.store.merge("ns", "col")
    manifest = world.store.describe("ns", "col")
    assert (manifest.segments, manifest.image, world.blobs.stored) == ((), None, {})
    world.store.upsert("ns", "col", [doc("c")])
    assert read_all(world.reopen()) == {"c": {}}


def test_deletes_survive_a_merge_that_leaves_older_segments() -> None:
    policy = MergePolicy(max_segments=2, min_delta_bytes=1 << 40, min_delta_rows=1 << 40)
    world = World(policy)
    world.store.create("ns", "col", None)
    world.store.upsert("ns", "col", [doc(f"old{n}", fill="x" * 5000) for n in range(50)])
    world.store.delete("ns", "col", ["old7", "old8"])
    world.store.upsert("ns", "col", [doc("old8", back=True)])
    first, second = world.store.describe("ns", "col").segments
    assert (first.count, second.count, second.deletes) == (50, 1, 1)
    store = world.reopen()
    assert "old7" not in read_all(store)
    assert read_all(store)["old8"] == {"back": True}
    store.merge("ns", "col")
    assert len(read_all(store)) == 49


def test_fields_that_only_some_segments_have_merge_as_missing() -> None:
    world = World()
    world.store.create("ns", "col", None)
    world.store.upsert("ns", "col", [doc("a", brand="x"), doc("c", brand=None)])
    world.store.upsert("ns", "col", [doc("b", size=1), doc("d", size=1.0)])
    world.store.merge("ns", "col")
    segment = world.store.snapshot("ns", "col").parts[0].segment
    for path, wanted in {
        "brand": ["x", MISSING, None, MISSING],
        "size": [MISSING, 1, MISSING, 1.0],
    }.items():
        column = segment.stored_columns.columns[path]
        assert [repr(column.values[code]) for code in column.codes] == list(map(repr, wanted))


def test_merged_codes_are_those_of_the_merged_originals() -> None:
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((2 * MIN_CODED_ROWS, 6))
    world = World()
    world.store.create("ns", "col", None)
    documents = [
        StoredDocument(f"{n * 7919 % 2048:04}", {}, {"v": vectors[n]}) for n in range(2048)
    ]
    # One block with codes, two without.
    for part in (documents[:1100], documents[1100:1500], documents[1500:]):
        world.store.upsert("ns", "col", part)
    world.store.merge("ns", "col")
    merged = world.store.snapshot("ns", "col").parts[0].segment.vectors["v"].block
    other = World()
    other.store.create("ns", "col", None)
    other.store.upsert("ns", "col", documents)
    whole = other.store.snapshot("ns", "col").parts[0].segment.vectors["v"].block
    assert np.array_equal(merged.originals, whole.originals)
    assert merged.codes is not None
    assert whole.codes is not None
    for name in ("values", "scales", "residuals", "norms"):
        assert np.array_equal(getattr(merged.codes, name), getattr(whole.codes, name))


def test_merging_what_is_due_follows_the_policy_and_stops() -> None:
    world = World()
    world.store.create("ns", "col", None)
    for n in range(6):
        world.store.upsert("ns", "col", [doc(f"d{n}", [n, 1], n=n)])
    assert not world.store.merge_due("ns", "col")  # this store has no policy
    world.policy = EAGER
    assert world.reopen().merge_due("ns", "col")
    segments = world.store.describe("ns", "col").segments
    assert EAGER.choose(segments) == ()
    assert len(segments) < 6
    assert not world.reopen().merge_due("ns", "col")
    assert read_all(world.reopen()) == {f"d{n}": {"n": n} for n in range(6)}


def test_what_cannot_be_merged_is_raised_to_whoever_asked_for_it() -> None:
    world = World()
    world.store.create("ns", "col", None)
    for n in range(6):
        world.store.upsert("ns", "col", [doc(f"d{n}", n=n)])
    key = next(iter(world.blobs.stored))
    world.blobs.stored[key] = b"rubbish" + world.blobs.stored[key][7:]
    world.policy = EAGER
    with pytest.raises(CorruptBlobError):
        world.reopen().merge_due("ns", "col")


def test_places_are_those_of_every_stored_segment() -> None:
    world = World()
    for place in (("ns", "col"), ("other", "col"), ("ns", "empty")):
        world.store.create(*place, None)
    world.store.upsert("ns", "col", [doc("a")])
    world.store.upsert("other", "col", [doc("a")])
    world.blobs.stored["ns/plans/p/1/x.json"] = b"{}"
    assert world.store.places() == {("ns", "col"), ("other", "col")}
