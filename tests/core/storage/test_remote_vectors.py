"""Vectors that lie outside: whatever fails on the way, no wrong answer and no lost write."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from core.errors import InvalidRequestError, NotFoundError, TrawlError, UnavailableError
from core.runtime.searching import PreparedSearch, search_snapshots
from core.storage.segment_files import WRITE_WINDOW_S
from core.storage.snapshot import Snapshot
from core.storage.upkeep import SWEEP_AGE_S
from core.types import VectorSpec
from tests.core.storage.doubles import EAGER, doc
from tests.core.storage.remote_worlds import ENGINE, PLACE, RemoteWorld, search
from tests.s3vectors_fake import Fault

X, Y = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
PAST_SWEEPS = SWEEP_AGE_S + WRITE_WINDOW_S + 1


@pytest.fixture
def world() -> RemoteWorld:
    return RemoteWorld()


def fail_on(
    operation: str, code: str = "TooManyRequestsException"
) -> Callable[[str, dict[str, Any]], None]:
    """Fail every call of one operation."""

    def fail(name: str, _request: dict[str, Any]) -> None:
        if name == operation:
            raise Fault(code)

    return fail


def refuse(*_: object) -> None:
    raise UnavailableError("no answer")


def works(*_: object) -> None:
    return None


def ids_of_keys(world: RemoteWorld) -> list[str]:
    """The document ids in the index's keys."""
    return sorted(key.split(".", 1)[1] for key in world.fake.stored_keys())


def test_segments_hold_no_vectors(world: RemoteWorld) -> None:
    world.store.upsert(*PLACE, [doc("a", X), doc("b", None)])
    [entry] = world.store.describe(*PLACE).segments
    [stored] = world.store.snapshot(*PLACE).parts[0].segment.vectors.values()
    assert stored.block.originals.nbytes == 10
    assert entry.count == 2
    assert len(world.fake.stored_keys()) == 1


@pytest.mark.parametrize("code", ["TooManyRequestsException", "InternalServerException"])
def test_a_write_whose_vectors_cannot_be_stored_is_not_made(code: str, world: RemoteWorld) -> None:
    world.store.upsert(*PLACE, [doc("a", X)])
    world.fake.before = fail_on("PutVectors", code)
    with pytest.raises(UnavailableError):
        world.store.upsert(*PLACE, [doc("a", Y), doc("b", Y)])
    assert world.found(*X) == ["a"]
    assert search(world.store, X).hits[0][0].score == 1.0


def test_vectors_without_their_manifest_are_never_found(world: RemoteWorld) -> None:
    world.store.upsert(*PLACE, [doc("a", X)])
    world.records.before = refuse
    with pytest.raises(UnavailableError):
        world.store.upsert(*PLACE, [doc("a", Y), doc("b", X)])
    world.records.before = works
    assert ids_of_keys(world) == ["a", "a", "b"]
    assert world.found(*X) == ["a"]
    assert search(world.store, X).hits[0][0].score == 1.0
    assert world.store.sweep(*PLACE) == 0  # they may belong to a write under way
    world.now += PAST_SWEEPS
    assert world.store.sweep(*PLACE) == 3  # a segment, and two vectors
    assert ids_of_keys(world) == ["a"]
    assert world.found(*X) == ["a"]


def test_a_write_whose_answer_was_lost_is_whole(world: RemoteWorld) -> None:
    world.store.upsert(*PLACE, [doc("a", X)])
    world.records.after = refuse
    with pytest.raises(UnavailableError):
        world.store.upsert(*PLACE, [doc("a", Y), doc("b", X)])
    world.records.after = works
    assert world.found(*X) == ["b", "a"]
    world.now += PAST_SWEEPS
    world.store.sweep(*PLACE)
    assert world.found(*X) == ["b", "a"]
    assert search(world.store, Y).hits[0][0].score == 1.0


def test_old_vectors_that_stay_are_never_found(world: RemoteWorld) -> None:
    world.store.upsert(*PLACE, [doc("a", X), doc("b", X), doc("c", Y)])
    world.fake.before = fail_on("DeleteVectors")
    world.store.upsert(*PLACE, [doc("a", Y)])
    assert world.store.delete(*PLACE, ["b"]) == 1
    world.fake.before = works
    assert ids_of_keys(world) == ["a", "a", "b", "c"]
    answer = search(world.store, X)
    assert [(hit.document_id, hit.score) for hit in answer.hits[0]] == [("a", 0.0), ("c", 0.0)]
    assert answer.evidence.best_score == 0.0
    assert answer.evidence.compared == 4
    world.now += PAST_SWEEPS
    assert world.store.sweep(*PLACE) == 2
    assert ids_of_keys(world) == ["a", "c"]


def test_replaced_and_deleted_vectors_go_at_once(world: RemoteWorld) -> None:
    world.store.upsert(*PLACE, [doc("a", X), doc("b", X), doc("c", X)])
    world.store.upsert(*PLACE, [doc("a", Y), doc("b", None)])
    world.store.delete(*PLACE, ["c"])
    assert ids_of_keys(world) == ["a"]


def test_the_loser_of_a_race_takes_its_vectors_back(world: RemoteWorld) -> None:
    world.store.upsert(*PLACE, [doc("a", X)])
    other = world.reopen()
    tries: list[int] = []

    def edit(snapshot: Snapshot) -> tuple[list[Any], list[str]]:
        if not tries:
            other.upsert(*PLACE, [doc("b", Y)])
        tries.append(snapshot.version)
        return [doc("a", Y)], []

    world.store.update(*PLACE, edit)
    assert len(tries) == 2
    assert ids_of_keys(world) == ["a", "b"]
    assert world.found(*Y) == ["a", "b"]


def test_a_pinned_snapshot_never_shows_what_came_after(world: RemoteWorld) -> None:
    world.store.upsert(*PLACE, [doc("a", X), doc("b", Y)])
    pinned = world.store.snapshot(*PLACE)
    world.store.upsert(*PLACE, [doc("a", Y), doc("c", X)])
    query = np.array([X, Y], np.float32)
    prepared = PreparedSearch((pinned,), "v")
    for answer in search_snapshots(ENGINE, prepared, query, 5, lambda: False):
        # The old vector of `a` is gone by now: it is missing, never given the new one's score.
        assert [hit.document_id for hit in answer.hits[0]] == ["b"]
        assert not answer.evidence.exact


def test_merges_carry_write_ids_along(world: RemoteWorld) -> None:
    for n in range(6):
        world.store.upsert(*PLACE, [doc(f"d{n}", (1.0, n, 0.0)), doc("again", (1.0, 0.0, n))])
    before = world.found(*X)
    assert world.store.merge(*PLACE)
    assert world.found(*X) == before
    assert len(before) == 7
    assert ids_of_keys(world) == sorted(before)


def test_a_collection_that_merges_by_itself_stays_right() -> None:
    world = RemoteWorld(EAGER)
    for n in range(20):
        world.store.upsert(*PLACE, [doc(f"d{n % 7}", (1.0, float(n), 0.0))])
        world.store.delete(*PLACE, [f"d{(n + 3) % 7}"])
    assert world.found(*X) == [one for one in world.found(*X) if one in ids_of_keys(world)]
    assert sorted(world.found(*X)) == ids_of_keys(world)


def test_a_collection_whose_index_cannot_be_made_is_not_made(world: RemoteWorld) -> None:
    made: list[str] = []

    def second_fails(name: str, _request: dict[str, Any]) -> None:
        made.append(name)
        if made.count("CreateIndex") > 1 and name == "CreateIndex":
            raise Fault("ServiceQuotaExceededException")

    world.fake.before = second_fails
    specs = [VectorSpec("v", 3, "cosine"), VectorSpec("w", 3, "cosine")]
    with pytest.raises(TrawlError, match="ServiceQuotaExceeded"):
        world.store.create("ns", "new", specs, engine="s3vectors")
    assert len(world.fake.indexes) == 1
    with pytest.raises(NotFoundError):
        world.store.describe("ns", "new")
    world.fake.before = works
    world.store.create("ns", "new", specs, engine="s3vectors")


def test_dropping_removes_the_indexes_and_a_new_one_of_the_name_is_empty(
    world: RemoteWorld,
) -> None:
    world.store.upsert(*PLACE, [doc("a", X)])
    world.store.drop(*PLACE)
    assert world.fake.indexes == {}
    specs = [VectorSpec("v", 3, "cosine"), VectorSpec("w/ü", 5, "euclidean")]
    world.store.create(*PLACE, specs, engine="s3vectors")
    assert len(world.fake.indexes) == 2
    assert world.found(*X) == []


def test_foreign_keys_are_left_alone(world: RemoteWorld) -> None:
    world.store.upsert(*PLACE, [doc("a", X)])
    [index] = world.fake.indexes.values()
    for key in ("theirs", "zz" * 10 + ".a", "00" * 10 + "a", "00" * 10 + ".b"):
        index.vectors[key] = index.vectors[world.fake.stored_keys()[-1]]
    assert world.found(*X) == ["a"]
    world.now += PAST_SWEEPS
    assert world.store.sweep(*PLACE) == 1  # only what has the form of ours
    assert len(world.fake.stored_keys()) == 4


def test_a_sweep_can_be_shared_out_and_stopped(world: RemoteWorld) -> None:
    world.fake.before = fail_on("DeleteVectors")
    for _ in range(2):
        world.store.upsert(*PLACE, [doc(f"d{n}", X) for n in range(40)])
    world.fake.before = works
    world.now += PAST_SWEEPS
    assert world.store.sweep(*PLACE, stop=lambda: True) == 0
    removed = [world.store.sweep(*PLACE, share=(n, 16)) for n in range(16)]
    assert sum(removed) == 40
    assert max(removed) < 20
    assert len(world.found(*X, k=100)) == len(world.fake.stored_keys()) == 40


def test_a_write_that_took_too_long_is_not_made(world: RemoteWorld) -> None:
    def late(name: str, _request: dict[str, Any]) -> None:
        if name == "PutVectors":
            world.now += WRITE_WINDOW_S + 1

    world.fake.after = late
    with pytest.raises(UnavailableError, match="too long"):
        world.store.upsert(*PLACE, [doc("a", X)])
    assert world.found(*X) == []


def test_every_vector_that_cannot_be_stored_is_named_and_nothing_is(world: RemoteWorld) -> None:
    wide = [f"value number {n}" for n in range(300)]
    documents = [doc("a", X), doc("b", (0.0, 0.0, 0.0)), doc("c", X, brand=wide)]
    with pytest.raises(InvalidRequestError) as caught:
        world.store.upsert(*PLACE, documents)
    assert [p.path for p in caught.value.problems] == [
        "documents.1.vectors.v",
        "documents.2.vectors.v",
    ]
    assert world.fake.stored_keys() == []
    assert world.store.snapshot(*PLACE).count == 0


@pytest.mark.parametrize(
    ("specs", "filterable", "says"),
    [
        (None, [], "none are learnt"),
        ([VectorSpec("v", 3, "dot")], [], "not by dot"),
        ([VectorSpec("v", 64, "hamming")], [], "not by hamming"),
        ([VectorSpec("v", 5000, "cosine")], [], "1 to 4096"),
        ([VectorSpec("v", 3, "cosine")], ["x"] * 2, "repeated"),
        ([VectorSpec("v", 3, "cosine")], ["document_id"], "no field of a payload"),
        ([VectorSpec("v", 3, "cosine")], [f"f{n}" for n in range(9)], "at most 8"),
    ],
)
def test_what_such_a_collection_cannot_be_is_said_when_it_is_made(
    specs: list[VectorSpec] | None, filterable: list[str], says: str, world: RemoteWorld
) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        world.store.create("ns", "new", specs, engine="s3vectors", filterable=filterable)
    assert len(world.fake.indexes) == 1


def test_an_engine_that_is_not_set_up_names_what_to_set(world: RemoteWorld) -> None:
    with pytest.raises(InvalidRequestError, match=r"s3vectors=true.*TRAWL_VECTOR_BUCKET"):
        world.store.create(
            "ns", "new", [VectorSpec("v", 3, "cosine")], engine="s3vectors_elsewhere"
        )


def test_a_lost_index_is_an_error_and_no_empty_answer(world: RemoteWorld) -> None:
    world.store.upsert(*PLACE, [doc("a", X)])
    world.fake.indexes.clear()
    with pytest.raises(TrawlError):
        world.found(*X)
