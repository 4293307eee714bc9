"""Files of several chunks: the file's id means all of it, and nothing that only looks like it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.app import App, build_app
from core.catalog.document_listing import list_documents, matching_ids
from core.catalog.document_media import MediaIndexer
from core.catalog.document_patches import stored_documents
from core.catalog.documents import DocumentCatalog
from core.deadline import NEVER
from core.errors import InvalidRequestError, NotFoundError
from core.models.collections import CollectionCreate
from core.models.documents import DocumentCreate, DocumentList, UpsertRequest
from core.models.namespaces import (
    FeatureExtractorConfig,
    Namespace,
    StandaloneNamespaceCreate,
)
from core.settings import Settings
from core.storage.files import count_files, find_first
from core.storage.snapshot import Snapshot
from handlers.client import AppTransport, Client
from tests.core.catalog.test_documents import FakeExtractor, FakeFetcher

# Bytes of which the fake extractor makes so many chunks, each at its own second.
CHUNKS = {0: "a", 1: "ab", 2: "abc", 3: "abcd", 12: "abcdefghijklm"}
VECTOR = "audio_chromaprint_v1_fingerprint"


@dataclass
class Library:
    """The collection `tracks` of a namespace, as its callers use it."""

    documents: DocumentCatalog
    namespace: Namespace

    def upsert(self, *items: Any) -> Any:
        request = UpsertRequest.model_validate({"documents": items, "collection_id": "tracks"})
        return self.documents.upsert(self.namespace, request, deadline=NEVER)

    def store(self, document_id: str, chunks: int, **payload: Any) -> Any:
        return self.upsert(
            {"document_id": document_id, "content": CHUNKS[chunks], "payload": payload}
        )

    def get(self, document_id: str, **options: Any) -> Any:
        return self.documents.get(self.namespace, "tracks", document_id, **options)

    def patch(self, document_id: str, /, **patch: Any) -> Any:
        return self.documents.patch(self.namespace, "tracks", document_id, patch)

    def delete(self, *document_ids: str) -> list[tuple[str, bool]]:
        return self.documents.delete_many(self.namespace, "tracks", document_ids)

    def snapshot(self) -> Snapshot:
        found = self.documents.find_collection(self.namespace, "tracks")
        return self.documents.snapshot(found)

    def stored(self) -> list[str]:
        return [one for one, _ in self.snapshot().refs()]

    def page(self, **options: Any) -> Any:
        return list_documents(self.snapshot(), DocumentList(**{"limit": 1000, **options}))

    def listed(self, **options: Any) -> list[str]:
        return [one["document_id"] for one in self.page(**options)["results"]]


@pytest.fixture
def library(app: App, namespace: Namespace) -> Library:
    return make_library(app, namespace)


def make_library(app: App, namespace: Namespace) -> Library:
    extractor = FeatureExtractorConfig(feature_extractor_name="audio.chromaprint")
    body = CollectionCreate(collection_name="tracks", feature_extractor=extractor)
    app.collections.create(namespace.namespace_id, body)
    media = MediaIndexer(FakeFetcher(), FakeExtractor(), lambda _: lambda *_: b"")
    documents = DocumentCatalog(app.documents._store, app.collections, media)
    return Library(documents, namespace)


def test_a_file_reads_as_one_document(library: Library) -> None:
    answer = library.store("song", 3, artist="x")
    assert (answer["inserted"], answer["document_ids"]) == (1, ["song"])
    found = library.get("song", return_vectors=True)
    assert (found["document_id"], found["artist"]) == ("song", "x")
    internal = found["_internal"]
    assert internal["chunks"] == 3
    assert internal["lineage"]["root_object_id"] == "song"
    assert not {"place", "chunk"} & internal.keys()
    assert VECTOR not in found
    many = library.documents.get_many(library.namespace, ["song", "x", "song#1"], "tracks")
    assert [one["document_id"] for one in many["documents"]] == ["song", "song#1"]
    assert many["not_found"] == ["x"]


def test_a_chunk_has_its_own_id_place_and_vector(library: Library) -> None:
    library.store("song", 3)
    chunk = library.get("song#2", return_vectors=True)
    assert chunk["_internal"]["place"]["start_ms"] == 2000
    assert chunk["_internal"]["chunk"] == {"of": "song", "index": 2}
    assert chunk[VECTOR] == "02" * 32


def test_deleting_a_file_leaves_nothing_that_matches(library: Library) -> None:
    library.store("song", 12)
    library.store("other", 2)
    before = library.snapshot().version
    library.documents.delete(library.namespace, "tracks", "song")
    assert library.stored() == ["other#0", "other#1"]
    assert library.snapshot().version == before + 1
    with pytest.raises(NotFoundError):
        library.documents.delete(library.namespace, "tracks", "song")
    assert library.delete("song", "other") == [("song", False), ("other", True)]


def test_a_patch_of_a_file_changes_all_its_chunks_at_once(library: Library) -> None:
    library.store("song", 3, artist="x", old=1)
    before = library.snapshot().version
    changed = library.patch("song", artist="y", old=None, metadata={"k": 1})
    assert library.snapshot().version == before + 1
    assert (changed["artist"], changed["_internal"]["metadata"]) == ("y", {"k": 1})
    for n in range(3):
        chunk = library.get(f"song#{n}", return_vectors=True)
        assert (chunk["artist"], "old" in chunk) == ("y", False)
        assert chunk["_internal"]["place"]["start_ms"] == 1000 * n
        assert chunk[VECTOR] == f"0{n}" * 32


def test_a_file_that_was_read_may_be_sent_back_with_a_change(library: Library) -> None:
    library.store("song", 2, artist="x")
    read = library.get("song")
    assert library.patch("song", **{**read, "artist": "y"})["artist"] == "y"
    assert library.get("song#1")["artist"] == "y"


def test_vectors_of_a_file_are_not_patched(library: Library) -> None:
    library.store("song", 2)
    with pytest.raises(InvalidRequestError, match="own vectors"):
        library.patch("song", vectors={VECTOR: "00" * 32})
    with pytest.raises(InvalidRequestError, match="reserved"):
        library.patch("song", **{VECTOR: "00" * 32})


def test_vectors_under_a_files_id_replace_its_chunks(library: Library) -> None:
    library.store("song", 3)
    library.upsert({"document_id": "song", "vectors": {VECTOR: "00" * 32}})
    assert library.stored() == ["song"]


def test_ids_that_only_look_like_chunks_are_their_own(library: Library) -> None:
    for one in ("song#0", "song#1", "song#x", "song#01"):
        library.upsert(
            {
                "document_id": one,
                "vectors": {VECTOR: "00" * 32},
                "root_object_id": "song",
                "payload": {"chunk": {"of": "song", "index": 0}},
            }
        )
    with pytest.raises(NotFoundError):
        library.get("song")
    assert library.delete("song") == [("song", False)]
    library.store("song", 1)
    library.delete("song")
    assert library.listed() == ["song#0", "song#01", "song#1", "song#x"]


def test_a_single_chunk_whose_id_looks_like_one_is_its_own(library: Library) -> None:
    library.upsert({"document_id": "song#0", "content": "ab", "root_object_id": "song"})
    assert library.delete("song") == [("song", False)]
    assert library.stored() == ["song#0"]


def test_neither_a_file_nor_a_document_replaces_the_others_chunks(library: Library) -> None:
    library.upsert({"document_id": "song#1", "payload": {"mine": True}})
    with pytest.raises(InvalidRequestError, match="would replace the document 'song#1'"):
        library.store("song", 3)
    assert library.stored() == ["song#1"]
    library.store("tune", 3)
    with pytest.raises(InvalidRequestError, match="'tune#1' is a chunk of the file 'tune'"):
        library.upsert({"document_id": "x"}, {"document_id": "tune#1"})
    assert library.stored() == ["song#1", "tune#0", "tune#1", "tune#2"]
    # Together with the file, whose chunk goes, it may.
    library.upsert({"document_id": "tune", "content": "ab"}, {"document_id": "tune#1"})
    assert library.stored() == ["song#1", "tune", "tune#1"]


def test_chunks_from_before_they_were_marked_are_known(library: Library) -> None:
    library.store("song", 2)
    store, snapshot = library.documents._store, library.snapshot()

    def unmark(_: Snapshot) -> Any:
        documents = stored_documents(snapshot, ["song#0", "song#1"]).values()
        for one in documents:
            del one.fields["_internal"]["chunk"], one.fields["_internal"]["chunks"]
        return list(documents), []

    store.update(snapshot.namespace_id, snapshot.collection_id, unmark)
    assert library.get("song")["_internal"]["chunks"] == 2
    assert library.delete("song") == [("song", True)]
    assert library.stored() == []


def test_a_list_has_one_entry_for_a_file(library: Library) -> None:
    for n in range(4):
        library.store(f"song{n}", 12 if n % 2 else 1, genre="a" if n < 3 else "b")
    page = library.page(limit=3, include_total=True)
    assert [one["document_id"] for one in page["results"]] == ["song0", "song1", "song2"]
    assert [one["_internal"]["chunks"] for one in page["results"]] == [1, 12, 1]
    assert (page["total_documents"], page["pagination"]["total"]) == (4, 4)
    cursor = page["pagination"]["next_cursor"]
    assert library.listed(limit=3, cursor=cursor) == ["song3"]
    assert count_files(library.snapshot()) == 4
    described = library.documents._collections.describe(
        library.documents.find_collection(library.namespace, "tracks"), count=True
    )
    assert described["document_count"] == 4


def test_lists_filter_and_sort_by_the_files_id(library: Library) -> None:
    for name in ("b", "a", "c"):
        library.store(name, 2)
    where = {"field": "document_id", "operator": "in", "value": ["a", "c", "b#1"]}
    assert library.listed(filters=where) == ["a", "c"]
    order = {"field": "document_id", "direction": "desc"}
    assert library.listed(sort=order) == ["c", "b", "a"]
    assert matching_ids(library.snapshot(), where) == ["a", "c"]


def test_a_file_without_its_first_chunk_is_still_listed_and_read(library: Library) -> None:
    library.store("song", 3)
    library.delete("song#0")
    assert library.listed() == ["song"]
    assert library.page()["results"][0]["_internal"]["chunks"] == 2
    assert library.get("song")["_internal"]["chunks"] == 2
    library.documents.patch(library.namespace, "tracks", "song#2", {"late": True})
    assert library.listed() == ["song"]
    assert "late" not in library.get("song")


def test_a_file_created_alone_is_answered_as_one(library: Library) -> None:
    body = DocumentCreate(document_id="song", content=CHUNKS[3])
    made = library.documents.create(library.namespace, "tracks", body, deadline=NEVER)
    assert (made["document_id"], made["_internal"]["chunks"]) == ("song", 3)


# --- any order of calls, against a simple model ---------------------------------------------------

NAMES = ("a", "a!", "a#1", "a#1#0", "b", "b#0")


@dataclass
class Model:
    """What a collection should hold: each file's tag, and its chunks' numbers if it has several."""

    tags: dict[str, int] = field(default_factory=dict)
    chunks: dict[str, set[int]] = field(default_factory=dict)

    def ids(self, name: str) -> set[str]:
        if name not in self.tags:
            return set()
        return {f"{name}#{n}" for n in self.chunks[name]} if name in self.chunks else {name}

    def put(self, name: str, count: int, tag: int) -> bool:
        """Store; False if that would replace what is another's."""
        new = {f"{name}#{n}" for n in range(count)} if count > 1 else set()
        others = self.tags.keys() - {name}
        if new & others or any(name in self.ids(other) for other in others):
            return False
        self.remove(name)
        self.tags[name] = tag
        if count > 1:
            self.chunks[name] = set(range(count))
        return True

    def remove(self, name: str) -> bool:
        self.chunks.pop(name, None)
        return self.tags.pop(name, None) is not None

    def remove_chunk(self, name: str, number: int) -> None:
        self.chunks[name].discard(number)
        if not self.chunks[name]:
            self.remove(name)


NAME = st.sampled_from(NAMES)
STEP = st.one_of(
    st.tuples(st.just("put"), NAME, st.sampled_from((0, 1, 2, 3, 12))),
    st.tuples(st.just("vectors"), NAME, st.just(0)),
    st.tuples(st.just("patch"), NAME, st.just(0)),
    st.tuples(st.just("delete"), NAME, st.just(0)),
    st.tuples(st.just("chunk"), NAME, st.integers(0, 3)),
    st.tuples(st.just("filter"), NAME, st.just(0)),
)


def take(library: Library, model: Model, step: tuple[str, str, int], tag: int) -> None:
    """Do one step to both; what the model refuses, the library must refuse."""
    kind, name, number = step
    if kind in ("put", "vectors"):
        item: dict[str, Any] = {"document_id": name, "payload": {"tag": tag}}
        item |= {"content": CHUNKS[number]} if kind == "put" else {"vectors": {VECTOR: "07" * 32}}
        if model.put(name, number if kind == "put" else 1, tag):
            library.upsert(item)
        else:
            with pytest.raises(InvalidRequestError):
                library.upsert(item)
    elif kind == "patch":
        if name in model.tags:
            library.patch(name, tag=tag)
            model.tags[name] = tag
        elif not any(name in model.ids(other) for other in model.tags):
            with pytest.raises(NotFoundError):
                library.patch(name, tag=tag)
    elif kind == "delete":
        if not any(name in model.ids(other) for other in model.tags if other != name):
            assert library.delete(name) == [(name, model.remove(name))]
    elif kind == "chunk":
        if number in model.chunks.get(name, ()) and f"{name}#{number}" not in model.tags:
            assert library.delete(f"{name}#{number}") == [(f"{name}#{number}", True)]
            model.remove_chunk(name, number)
    elif model.tags.get(name) is not None:
        where = {"field": "tag", "operator": "eq", "value": model.tags[name]}
        wanted = matching_ids(library.snapshot(), where)
        assert wanted == [name]
        library.delete(*wanted)
        model.remove(name)


def check(library: Library, model: Model) -> None:
    """Every way of reading says what the model says."""
    snapshot = library.snapshot()
    assert set(library.stored()) == {one for name in model.tags for one in model.ids(name)}
    assert count_files(snapshot) == len(model.tags)
    listed = {one["document_id"]: one for one in library.page()["results"]}
    assert set(listed) == set(model.tags)
    for name, tag in model.tags.items():
        found = library.get(name)
        assert found == listed[name]
        assert found["tag"] == tag
        assert "chunk" not in found["_internal"]
        if name in model.chunks:
            assert found["_internal"]["chunks"] == len(model.chunks[name])
    read = library.documents.get_many(library.namespace, NAMES, "tracks")
    chunks = {one for name in model.tags for one in model.ids(name)}
    assert set(read["not_found"]) == set(NAMES) - set(model.tags) - chunks


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """One library for all examples, which are empty at their beginning."""
    app = build_app(Settings.local(tmp_path_factory.mktemp("files"), {}))
    yield make_library(app, app.namespaces.create(StandaloneNamespaceCreate(namespace_id="space")))
    app.close()


@settings(derandomize=True, deadline=None, max_examples=60)
@given(steps=st.lists(STEP, min_size=1, max_size=12))
def test_any_order_of_calls_equals_a_simple_model(
    kept: Library, steps: list[tuple[str, str, int]]
) -> None:
    library = kept
    left = library.stored()
    if left:
        library.delete(*left)
    model = Model()
    for tag, step in enumerate(steps):
        take(library, model, step, tag)
        check(library, model)


def test_what_joins_by_a_files_id_finds_its_first_chunk(library: Library) -> None:
    library.store("song", 3, artist="x")
    snapshot = library.snapshot()
    ref = find_first(snapshot, "song")
    assert ref == snapshot.find("song#0")
    assert find_first(snapshot, "song#1") == snapshot.find("song#1")
    assert find_first(snapshot, "nothing") is None


def test_a_retriever_joins_with_a_file_by_its_id(app: App, library: Library) -> None:
    library.store("song", 3, artist="x")
    library.documents.upsert(
        library.namespace,
        UpsertRequest.model_validate(
            {"documents": [{"document_id": "d", "payload": {"of": "song"}}]}
        ),
        deadline=NEVER,
    )
    client = Client(AppTransport(app), namespace="space")
    join = {"target_collection_id": "tracks", "source_field": "of", "output_field": "track"}
    stages = [
        {"stage_id": "attribute_filter", "parameters": {"field": "of", "operator": "exists"}},
        {"stage_id": "document_enrich", "parameters": join},
    ]
    body = {"retriever_name": "joined", "collection_identifiers": ["default"]}
    named = [{"stage_name": s["stage_id"], "config": s} for s in stages]
    client.call("POST", "/v1/retrievers", {**body, "stages": named, "input_schema": {}})
    answer = client.call("POST", "/v1/retrievers/joined/execute", {"inputs": {}})
    [document] = answer["documents"]
    assert (document["track"]["artist"], document["track"]["document_id"]) == ("x", "song")
