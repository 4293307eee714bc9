"""Collections as their users see them: replace, delete, edit, list, declare, drop."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import AlreadyExistsError, InvalidRequestError, NotFoundError
from core.storage.collections import CollectionStore, Edit
from core.storage.segments import StoredDocument
from core.storage.snapshot import Snapshot
from core.types import VectorSpec
from tests.core.storage.doubles import EAGER, World, doc, read_all

CLIP = VectorSpec("clip", 2, "dot")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def store(world: World) -> CollectionStore:
    world.store.create("ns", "col", None)
    return world.store


def test_an_empty_collection_is_a_snapshot_of_nothing(store: CollectionStore) -> None:
    snapshot = store.snapshot("ns", "col")
    assert (snapshot.version, snapshot.count, snapshot.parts, dict(snapshot.specs)) == (
        1,
        0,
        (),
        {},
    )
    assert snapshot.find("a") is None
    assert snapshot.page(10) == []
    assert store.delete("ns", "col", ["a"]) == 0
    assert store.upsert("ns", "col", []) == 1
    assert not store.merge("ns", "col")


def test_a_write_is_seen_by_the_next_read(store: CollectionStore) -> None:
    version = store.upsert("ns", "col", [doc("b", [1, 2], n=1), doc("a", n=2)])
    snapshot = store.snapshot("ns", "col")
    assert snapshot.version == version == 2
    assert read_all(store) == {"a": {"n": 2}, "b": {"n": 1}}
    ref = snapshot.find("b")
    assert ref is not None
    assert snapshot.document_id(ref) == "b"
    vector = snapshot.vector(ref, "v")
    assert vector is not None
    assert vector.tolist() == [1.0, 2.0]
    assert snapshot.vector(ref, "other") is None
    assert list(snapshot.vectors(ref)) == ["v"]
    without = snapshot.find("a")
    assert without is not None
    assert snapshot.vector(without, "v") is None


def test_an_upsert_replaces_the_whole_document(store: CollectionStore) -> None:
    store.upsert("ns", "col", [doc("a", [1, 2], old=1), doc("b", [3, 4])])
    store.upsert("ns", "col", [doc("a", new=2)])
    snapshot = store.snapshot("ns", "col")
    ref = snapshot.find("a")
    assert ref is not None
    assert (snapshot.payload(ref), snapshot.vector(ref, "v")) == ({"new": 2}, None)
    assert snapshot.count == 2
    first = snapshot.parts[0]
    assert first.live is not None
    assert first.live.tolist() == [False, True]
    assert first.live_count == 1


def test_deleted_documents_are_gone_and_counted_once(store: CollectionStore) -> None:
    store.upsert("ns", "col", [doc("a"), doc("b"), doc("c")])
    assert store.delete("ns", "col", ["a", "nope", "a", "c"]) == 2
    assert store.delete("ns", "col", ["a"]) == 0
    assert read_all(store) == {"b": {}}
    store.upsert("ns", "col", [doc("a", again=True)])
    assert read_all(store) == {"a": {"again": True}, "b": {}}


def test_a_snapshot_does_not_change(store: CollectionStore) -> None:
    store.upsert("ns", "col", [doc("a", n=1), doc("b", n=1)])
    held = store.snapshot("ns", "col")
    store.upsert("ns", "col", [doc("a", n=2)])
    store.delete("ns", "col", ["b"])
    store.merge("ns", "col")
    assert [(one, held.payload(ref)) for one, ref in held.refs()] == [
        ("a", {"n": 1}),
        ("b", {"n": 1}),
    ]
    assert read_all(store) == {"a": {"n": 2}}


def test_equal_versions_share_a_snapshot(store: CollectionStore) -> None:
    store.upsert("ns", "col", [doc("a")])
    assert store.snapshot("ns", "col") is store.snapshot("ns", "col")


def test_pages_go_on_after_any_id(store: CollectionStore) -> None:
    ids = ["a", "b", "b/c", "c", "é", "😀"]
    for one in ids:
        store.upsert("ns", "col", [doc(one)])
    store.upsert("ns", "col", [doc("gone")])
    store.delete("ns", "col", ["gone"])
    snapshot = store.snapshot("ns", "col")
    assert [one for one, _ in snapshot.page(2)] == ["a", "b"]
    assert [one for one, _ in snapshot.page(2, after="b")] == ["b/c", "c"]
    assert [one for one, _ in snapshot.page(99, after="bzzz")] == ["c", "é", "😀"]
    assert snapshot.page(5, after="😀") == []


def test_an_edit_sees_and_changes_one_version(store: CollectionStore) -> None:
    store.upsert("ns", "col", [doc("a", n=1), doc("b")])

    def edit(snapshot: Snapshot) -> tuple[list[StoredDocument], list[str]]:
        ref = snapshot.find("a")
        assert ref is not None
        return [doc("a", n=snapshot.payload(ref)["n"] + 1), doc("c")], ["b"]

    version = store.update("ns", "col", edit)
    assert version == store.snapshot("ns", "col").version
    assert read_all(store) == {"a": {"n": 2}, "c": {}}


def test_an_edit_of_nothing_writes_nothing(store: CollectionStore) -> None:
    assert store.update("ns", "col", lambda snapshot: ([], [])) == 1


def test_an_edit_is_made_again_when_another_write_came_between(world: World) -> None:
    world.store.create("ns", "col", None)
    world.store.upsert("ns", "col", [doc("a", n=0)])
    other = world.reopen()
    seen: list[int] = []

    def edit(snapshot: Snapshot) -> tuple[list[StoredDocument], list[str]]:
        ref = snapshot.find("a")
        assert ref is not None
        seen.append(snapshot.payload(ref)["n"])
        if len(seen) < 4:
            other.upsert("ns", "col", [doc("a", n=len(seen) * 10)])
        return [doc("a", n=seen[-1] + 1)], []

    world.store.update("ns", "col", edit)
    assert seen == [0, 10, 20, 30]
    assert read_all(world.store) == {"a": {"n": 31}}
    assert len(world.pauses) == 3
    named = {entry.key for entry in world.store.describe("ns", "col").segments}
    assert set(world.blobs.stored) == named


def test_undeclared_vectors_declare_themselves(store: CollectionStore) -> None:
    store.upsert("ns", "col", [doc("a", [1, 2, 3])])
    bits = StoredDocument("b", {}, {"pdq": np.zeros(32, np.uint8)})
    store.upsert("ns", "col", [bits])
    assert dict(store.describe("ns", "col").specs) == {
        "v": VectorSpec("v", 3, "cosine"),
        "pdq": VectorSpec("pdq", 256, "hamming"),
    }
    with pytest.raises(InvalidRequestError) as caught:
        store.upsert("ns", "col", [doc("c", [1, 2])])
    assert [problem.path for problem in caught.value.problems] == ["documents.0.vectors.v"]


def test_the_first_sound_vector_declares_the_dimension(store: CollectionStore) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        store.upsert(
            "ns", "col", [doc("a", [1, float("nan")]), doc("b", [1, 2, 3]), doc("c", [1, 2])]
        )
    assert [problem.path for problem in caught.value.problems] == [
        "documents.0.vectors.v",
        "documents.2.vectors.v",
    ]
    assert dict(store.describe("ns", "col").specs) == {}


def test_two_writers_that_declare_a_name_otherwise_do_not_both_win(world: World) -> None:
    world.store.create("ns", "col", None)
    other = world.reopen()
    # The other one's write comes after this one's segment is stored, before its swap.
    world.records.before = _once(world, lambda: other.upsert("ns", "col", [doc("b", [1, 2])]))
    with pytest.raises(InvalidRequestError):
        world.store.upsert("ns", "col", [doc("a", [1, 2, 3])])
    assert read_all(world.store) == {"b": {}}


def test_two_writers_that_declare_different_names_both_win(world: World) -> None:
    world.store.create("ns", "col", None)
    other = world.reopen()
    clip = StoredDocument("b", {}, {"clip": np.ones(5)})
    world.records.before = _once(world, lambda: other.upsert("ns", "col", [clip]))
    world.store.upsert("ns", "col", [doc("a", [1, 2, 3])])
    assert sorted(world.store.describe("ns", "col").specs) == ["clip", "v"]
    assert sorted(read_all(world.store)) == ["a", "b"]


def _once(world: World, action: Any) -> Any:
    def run() -> None:
        world.records.before = lambda: None
        action()

    return run


def test_declared_collections_take_no_other_vectors(world: World) -> None:
    world.store.create("ns", "col", [CLIP, VectorSpec("pdq", 8, "hamming")])
    with pytest.raises(InvalidRequestError) as caught:
        world.store.upsert("ns", "col", [doc("a", [1, 2])])
    (problem,) = caught.value.problems
    assert problem.path == "documents.0.vectors.v"
    assert list(problem.accepted) == ["clip", "pdq"]
    world.store.create("ns", "none", [])
    with pytest.raises(InvalidRequestError):
        world.store.upsert("ns", "none", [doc("a", [1, 2])])
    assert world.store.upsert("ns", "none", [doc("a")]) == 2


def test_every_fault_of_a_write_is_told_and_nothing_of_it_stored(world: World) -> None:
    world.store.create("ns", "col", [CLIP])
    documents: list[Any] = [
        StoredDocument("good", {}, {"clip": np.ones(2)}),
        StoredDocument("", {}),
        StoredDocument("long" * 200, {}),
        StoredDocument("\ud800", {}),
        StoredDocument("good", {}),
        StoredDocument("e", {"f": float("nan")}),
        StoredDocument("f", {}, {"clip": np.ones(3), "clap": np.ones(2)}),
        StoredDocument("g", {}, {"clip": np.array([1, np.inf])}),
    ]
    with pytest.raises(InvalidRequestError) as caught:
        world.store.upsert("ns", "col", documents)
    told = {problem.path: problem.message for problem in caught.value.problems}
    assert sorted(told) == [
        "documents.1.document_id",
        "documents.2.document_id",
        "documents.3.document_id",
        "documents.4.document_id",
        "documents.5",
        "documents.6.vectors.clap",
        "documents.6.vectors.clip",
        "documents.7.vectors.clip",
    ]
    assert "documents 0 and 4" in told["documents.4.document_id"]
    assert "clip" in told["documents.6.vectors.clap"]
    assert world.blobs.stored == {}
    assert world.store.describe("ns", "col").version == 1


def test_too_many_vector_names_are_refused(store: CollectionStore) -> None:
    vectors = {f"v{n}": np.ones(1) for n in range(65)}
    with pytest.raises(InvalidRequestError) as caught:
        store.upsert("ns", "col", [StoredDocument("a", {}, vectors)])
    assert [problem.path for problem in caught.value.problems] == ["documents.0.vectors.v64"]


def test_collections_are_told_apart_by_namespace(store: CollectionStore) -> None:
    store.create("other", "col", None)
    store.upsert("other", "col", [doc("theirs")])
    store.upsert("ns", "col", [doc("mine")])
    assert list(read_all(store)) == ["mine"]
    assert list(read_all(store, "other")) == ["theirs"]
    store.drop("other", "col")
    assert list(read_all(store)) == ["mine"]


def test_a_collection_is_made_once_and_dropped_once(world: World) -> None:
    store = world.store
    for operation in (
        lambda: store.snapshot("ns", "col"),
        lambda: store.describe("ns", "col"),
        lambda: store.upsert("ns", "col", [doc("a")]),
        lambda: store.delete("ns", "col", ["a"]),
        lambda: store.merge("ns", "col"),
        lambda: store.drop("ns", "col"),
    ):
        with pytest.raises(NotFoundError):
            operation()
    store.create("ns", "col", None)
    with pytest.raises(AlreadyExistsError):
        store.create("ns", "col", None)
    store.drop("ns", "col")
    with pytest.raises(NotFoundError):
        store.drop("ns", "col")


def test_a_new_collection_of_an_old_id_is_empty(store: CollectionStore, world: World) -> None:
    store.upsert("ns", "col", [doc("a", [1, 2])])
    before = store.snapshot("ns", "col")
    store.drop("ns", "col")
    assert world.blobs.stored == {}
    store.create("ns", "col", [CLIP])
    snapshot = store.snapshot("ns", "col")
    assert (snapshot.count, list(snapshot.specs)) == (0, ["clip"])
    assert snapshot.version > before.version
    assert [one for one, _ in before.refs()] == ["a"]


def test_a_writer_of_a_dropped_collection_cannot_reach_its_successor(world: World) -> None:
    world.store.create("ns", "col", None)
    other = world.reopen()

    def recreate() -> None:
        other.drop("ns", "col")
        other.create("ns", "col", None)

    world.records.before = _once(world, recreate)
    with pytest.raises(NotFoundError):
        world.store.upsert("ns", "col", [doc("a")])
    assert read_all(world.store) == {}


def test_a_drop_takes_all_of_what_it_drops(world: World) -> None:
    world.store.create("ns", "col", None)
    world.store.upsert("ns", "col", [doc("a")])
    other = world.reopen()

    def recreate() -> None:
        other.drop("ns", "col")
        other.create("ns", "col", None)
        other.upsert("ns", "col", [doc("b")])

    world.records.before = _once(world, recreate)
    world.store.drop("ns", "col")
    assert world.blobs.stored == {}


@pytest.mark.parametrize(("namespace", "collection"), [("", "c"), ("n", ""), ("a/b", "c")])
def test_ids_that_would_reach_into_others_keys_are_refused(
    world: World, namespace: str, collection: str
) -> None:
    with pytest.raises(InvalidRequestError):
        world.store.create(namespace, collection, None)


IDS = st.sampled_from("abcdefgh")
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("upsert"), st.sets(IDS, min_size=1, max_size=5)),
        st.tuples(st.just("delete"), st.sets(IDS, min_size=1, max_size=3)),
        st.tuples(st.just("replace"), st.sets(IDS, min_size=1, max_size=3)),
        st.tuples(st.just("merge"), st.just(frozenset[str]())),
        st.tuples(st.just("reopen"), st.just(frozenset[str]())),
    ),
    max_size=25,
)


@settings(derandomize=True, deadline=None, max_examples=120)
@given(OPERATIONS, st.booleans())
def test_any_history_leaves_what_a_dict_would_hold(
    operations: list[tuple[str, set[str]]], eager: bool
) -> None:
    world = World(EAGER if eager else None)
    world.store.create("ns", "col", None)
    store = world.store
    model: dict[str, int] = {}
    for step, (operation, chosen) in enumerate(operations):
        ids = sorted(chosen)
        if operation == "upsert":
            documents = [doc(one, [step, 1] if step % 3 else None, step=step) for one in ids]
            store.upsert("ns", "col", documents)
            model |= dict.fromkeys(ids, step)
        elif operation == "delete":
            assert store.delete("ns", "col", ids) == len(chosen & model.keys())
            model = {one: at for one, at in model.items() if one not in ids}
        elif operation == "replace":
            gone = sorted(model)[:1]
            documents = [doc(one, [step, 2], step=step) for one in ids]
            store.update("ns", "col", _replace(documents, gone))
            model = {one: at for one, at in model.items() if one not in gone}
            model |= dict.fromkeys(ids, step)
        elif operation == "merge":
            store.merge("ns", "col")
            assert len(store.snapshot("ns", "col").parts) <= 1
        else:
            store = world.reopen()
        _check(store.snapshot("ns", "col"), model)
    named = {entry.key for entry in store.describe("ns", "col").segments}
    assert set(world.blobs.stored) == named


def _replace(put: list[StoredDocument], cut: list[str]) -> Edit:
    return lambda snapshot: (put, cut)


def _check(snapshot: Snapshot, model: dict[str, int]) -> None:
    assert [one for one, _ in snapshot.refs()] == sorted(model)
    assert snapshot.count == len(model)
    for one in "abcdefgh":
        ref = snapshot.find(one)
        assert (ref is not None) == (one in model)
        if ref is not None:
            part = snapshot.parts[ref.part]
            assert part.live is None or part.live[ref.row]
            assert snapshot.payload(ref) == {"step": model[one]}
            column = part.segment.column("step")
            assert column.values[column.codes[ref.row]] == model[one]
            vector = snapshot.vector(ref, "v")
            assert vector is None or vector[0] == model[one]
