"""Documents: written whole or not at all, patched by RFC 7396, and media that costs only itself."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.app import App
from core.catalog.collections import CollectionCatalog
from core.catalog.document_media import MediaIndexer
from core.catalog.document_patches import merge_patch
from core.catalog.documents import DocumentCatalog
from core.deadline import NEVER, Deadline
from core.errors import (
    BadRequestError,
    FetchError,
    InvalidRequestError,
    MediaError,
    MissingExtraError,
    NotFoundError,
)
from core.models.collections import CollectionCreate
from core.models.documents import DocumentCreate, UpsertRequest
from core.models.namespaces import FeatureExtractorConfig, Namespace
from core.ports.media import Chunk, Extraction, FetchedMedia, MediaInfo, MediaWarning, Place
from core.storage.collections import CollectionStore


def upsert(documents: DocumentCatalog, namespace: Namespace, *items: Any, **options: Any) -> Any:
    """Store documents; return the answer."""
    request = UpsertRequest.model_validate({"documents": list(items), **options})
    return documents.upsert(namespace, request, deadline=NEVER)


def get(app: App, namespace: Namespace, document_id: str, **options: Any) -> Any:
    """Read a document of the default collection."""
    return app.documents.get(namespace, "default", document_id, **options)


def test_a_document_reads_back_as_it_was_written(app: App, namespace: Namespace) -> None:
    payload = {"brand": "acme", "nested": {"a": [1, 2.5, None, True]}, "empty": {}}
    document = {
        "document_id": "d/1 ü",
        "vectors": {"clip": [1, 2], "text": [0.5]},
        "payload": payload,
        "metadata": {"by": "me"},
        "root_object_id": "obj",
        "lineage_path": "a/b",
        "content_hash": "abc",
    }
    answer = upsert(app.documents, namespace, document)
    assert (answer["inserted"], answer["document_ids"], answer["failed"]) == (1, ["d/1 ü"], [])
    found = get(app, namespace, "d/1 ü", return_vectors=True)
    internal = found.pop("_internal")
    assert internal["metadata"] == {"by": "me"}
    assert internal["lineage"] == {"root_object_id": "obj", "path": "a/b"}
    assert internal["content_hash"] == "abc"
    assert found == {
        "document_id": "d/1 ü",
        "collection_id": namespace.default_collection_id,
        "clip": [1.0, 2.0],
        "text": [0.5],
        **payload,
    }
    assert "clip" not in get(app, namespace, "d/1 ü")


def test_an_upsert_replaces_the_whole_document(app: App, namespace: Namespace) -> None:
    upsert(app.documents, namespace, {"document_id": "d", "payload": {"a": 1, "b": 2}})
    upsert(app.documents, namespace, {"document_id": "d", "payload": {"b": 3}})
    found = get(app, namespace, "d")
    assert found["b"] == 3
    assert "a" not in found


def test_reserved_fields_are_dropped_and_reported(app: App, namespace: Namespace) -> None:
    payload = {"score": 9, "_internal": {"x": 1}, "clip": "hides the vector", "kept": 1}
    document = {"document_id": "d", "vectors": {"clip": [1, 2]}, "payload": payload}
    answer = upsert(app.documents, namespace, document, {"document_id": "e"})
    assert answer["dropped_payload_fields"] == {"d": ["score", "_internal", "clip"]}
    assert answer["unsearchable_document_ids"] == ["e"]
    found = get(app, namespace, "d")
    assert found["kept"] == 1
    assert "score" not in found
    assert "x" not in found["_internal"]


def test_a_repeated_id_refuses_the_call(app: App, namespace: Namespace) -> None:
    with pytest.raises(InvalidRequestError) as error:
        upsert(app.documents, namespace, {"document_id": "d"}, {"document_id": "d"})
    assert error.value.problems[0].path == "documents.1.document_id"


def test_a_patch_merges_and_keeps_what_it_does_not_name(app: App, namespace: Namespace) -> None:
    document = {
        "document_id": "d",
        "vectors": {"clip": [1, 2], "text": [1]},
        "payload": {"a": {"x": 1, "y": 2}, "b": 1, "c": [1]},
        "metadata": {"m": 1, "n": 2},
    }
    upsert(app.documents, namespace, document)
    created = get(app, namespace, "d")["_internal"]["created_at"]
    patch = {
        "a": {"y": None, "z": 3},
        "b": None,
        "c": [2],
        "vectors": {"clip": [3, 4]},
        "metadata": {"n": None, "o": 3},
    }
    app.documents.patch(namespace, "default", "d", patch)
    found = get(app, namespace, "d", return_vectors=True)
    assert (found["a"], found["c"], found["clip"], found["text"]) == (
        {"x": 1, "z": 3}, [2], [3, 4], [1],
    )  # fmt: skip
    assert "b" not in found
    assert found["_internal"]["metadata"] == {"m": 1, "o": 3}
    assert found["_internal"]["created_at"] == created


def test_what_was_read_can_be_sent_back_and_nothing_else_reserved(
    app: App, namespace: Namespace
) -> None:
    upsert(app.documents, namespace, {"document_id": "d", "payload": {"a": 1}})
    app.documents.patch(namespace, "default", "d", {**get(app, namespace, "d"), "a": 2})
    assert get(app, namespace, "d")["a"] == 2
    reserved: list[Any] = [{"document_id": "e"}, {"_internal": {}}, {"score": 1}, {"vectors": [1]}]
    for patch in reserved:
        with pytest.raises(InvalidRequestError):
            app.documents.patch(namespace, "default", "d", patch)
    with pytest.raises(BadRequestError):
        app.documents.patch(namespace, "default", "d", {})
    with pytest.raises(NotFoundError):
        app.documents.patch(namespace, "default", "nobody", {"a": 1})


def test_many_patches_are_one_write_or_none(app: App, namespace: Namespace) -> None:
    upsert(app.documents, namespace, {"document_id": "a"}, {"document_id": "b"})
    with pytest.raises(InvalidRequestError) as error:
        app.documents.patch_many(namespace, "default", [("a", {"x": 1}), ("b", {"score": 1})])
    assert error.value.problems[0].path == "updates.1.update_data.score"
    assert "x" not in get(app, namespace, "a")
    changes: list[Any] = [("a", {"x": 1}), ("b", {"x": 2}), ("a", {"y": 3})]
    app.documents.patch_many(namespace, "default", changes)
    assert (get(app, namespace, "a")["x"], get(app, namespace, "a")["y"]) == (1, 3)


def test_deleting_says_what_was_there(app: App, namespace: Namespace) -> None:
    upsert(app.documents, namespace, {"document_id": "a"}, {"document_id": "b"})
    deleted = app.documents.delete_many(namespace, "default", ["a", "x", "a"])
    assert deleted == [("a", True), ("x", False)]
    app.documents.delete(namespace, "default", "b")
    with pytest.raises(NotFoundError):
        app.documents.delete(namespace, "default", "b")


def test_batch_get_looks_in_every_collection(app: App, namespace: Namespace) -> None:
    app.collections.create("space", CollectionCreate(collection_name="images"))
    upsert(app.documents, namespace, {"document_id": "a"}, {"document_id": "both"})
    upsert(app.documents, namespace, {"document_id": "both"}, collection_id="images")
    answer = app.documents.get_many(namespace, ["a", "x", "both", "a"])
    assert [one["document_id"] for one in answer["documents"]] == ["a", "both", "both"]
    assert answer["not_found"] == ["x"]
    answer = app.documents.get_many(namespace, ["a", "both"], "images")
    assert answer["not_found"] == ["a"]


def test_a_created_document_keeps_unknown_keys_as_its_payload(
    app: App, namespace: Namespace
) -> None:
    body = DocumentCreate.model_validate({"content": "some words", "brand": "acme"})
    found = app.documents.create(namespace, "default", body, deadline=NEVER)
    assert (found["content"], found["brand"]) == ("some words", "acme")
    assert found["document_id"].startswith("doc_")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.text(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(target=JSON, patch=JSON)
@settings(derandomize=True, deadline=None, max_examples=150)
def test_merge_patch_is_rfc_7396(target: Any, patch: Any) -> None:
    """Against the RFC's own pseudocode, written out."""

    def reference(target: Any, patch: Any) -> Any:
        if not isinstance(patch, dict):
            return patch
        result = dict(target) if isinstance(target, dict) else {}
        for name, value in patch.items():
            if value is None:
                if name in result:
                    del result[name]
            else:
                result[name] = reference(result.get(name), value)
        return result

    assert merge_patch(target, patch) == reference(target, patch)


class FakeFetcher:
    """Contents are their own bytes; some cannot be had."""

    def fetch(self, content: str, *, deadline: Deadline, read_object: Any) -> FetchedMedia:
        """Return the text's bytes."""
        if content == "nonsense":
            raise InvalidRequestError("content is no reference")
        if content == "private":
            raise FetchError("that address is not public")
        return FetchedMedia(content.encode(), "test")


class FakeExtractor:
    """As many chunks as the bytes are long, minus one; `bad` cannot be read."""

    def extract(self, extractor: str, data: bytes, **_: Any) -> Extraction:
        """Return chunks of distinct hashes."""
        if data == b"bad":
            raise MediaError("truncated")
        info = MediaInfo("image/png", len(data), "f" * 64, 4, 3)
        chunks = tuple(
            Chunk(np.full(32, n, np.uint8), Place(start_ms=n * 1000), quality=90.0)
            for n in range(len(data) - 1)
        )
        warning = MediaWarning("low_quality", "too plain")
        return Extraction(chunks, info, () if chunks else (warning,))

    def close(self) -> None:
        """Nothing runs."""


@pytest.fixture
def media(app: App, namespace: Namespace) -> DocumentCatalog:
    """Documents whose media is faked, and a collection `images` that takes it."""
    extractor = FeatureExtractorConfig(feature_extractor_name="image.pdq")
    app.collections.create(
        "space", CollectionCreate(collection_name="images", feature_extractor=extractor)
    )
    store: CollectionStore = app.documents._store
    collections: CollectionCatalog = app.collections
    indexer = MediaIndexer(FakeFetcher(), FakeExtractor(), lambda _: lambda *_: b"")
    return DocumentCatalog(store, collections, indexer)


def read(media: DocumentCatalog, namespace: Namespace) -> Mapping[str, Any]:
    """Return every document of `images` by id."""
    collection = media.find_collection(namespace, "images")
    snapshot = media.snapshot(collection)
    return {one: snapshot.payload(ref) for one, ref in snapshot.refs()}


def test_one_bad_file_costs_only_its_own_document(
    media: DocumentCatalog, namespace: Namespace
) -> None:
    answer = upsert(
        media,
        namespace,
        {"document_id": "ok", "content": "ab", "payload": {"name": "x"}},
        {"document_id": "broken", "content": "bad"},
        {"document_id": "hidden", "content": "private"},
        {"document_id": "plain", "content": "a"},
        collection_id="images",
    )
    assert answer["document_ids"] == ["ok", "plain"]
    failed = {one["document_id"]: (one["index"], one["error"]["code"]) for one in answer["failed"]}
    assert failed == {"broken": (1, "media_unreadable"), "hidden": (2, "media_forbidden")}
    assert answer["unsearchable_document_ids"] == ["plain"]
    assert answer["warnings"] == ["plain: too plain"]
    internal = read(media, namespace)["ok"]["_internal"]
    assert (internal["mime_type"], internal["modality"], internal["size_bytes"]) == (
        "image/png", "image", 2,
    )  # fmt: skip
    assert internal["media"] == {"width": 4, "height": 3}
    assert internal["lineage"] == {"root_object_id": "ok"}


def test_media_with_nothing_to_compare_may_be_refused(
    media: DocumentCatalog, namespace: Namespace
) -> None:
    before = {"document_id": "plain", "content": "ab", "payload": {"name": "before"}}
    upsert(media, namespace, before, collection_id="images")
    answer = upsert(
        media,
        namespace,
        {"document_id": "ok", "content": "ab"},
        {"document_id": "plain", "content": "a"},
        {"document_id": "no media", "payload": {"name": "x"}},
        collection_id="images",
        options={"require_features": True},
    )
    assert answer["document_ids"] == ["ok", "no media"]
    [failed] = answer["failed"]
    assert (failed["index"], failed["document_id"]) == (1, "plain")
    assert failed["error"]["code"] == "media_featureless"
    assert failed["error"]["message"].startswith("too plain")
    assert read(media, namespace)["plain"]["name"] == "before"


def test_content_that_is_no_reference_refuses_the_call(
    media: DocumentCatalog, namespace: Namespace
) -> None:
    with pytest.raises(InvalidRequestError) as error:
        upsert(
            media,
            namespace,
            {"document_id": "ok", "content": "ab"},
            {"document_id": "x", "content": "nonsense"},
            collection_id="images",
        )
    assert [problem.path for problem in error.value.problems] == ["documents.1.content"]
    assert read(media, namespace) == {}


def test_chunks_are_documents_and_a_shorter_file_leaves_none_over(
    media: DocumentCatalog, namespace: Namespace
) -> None:
    def store(content: str) -> set[str]:
        item = {"document_id": "clip", "content": content}
        upsert(media, namespace, item, collection_id="images")
        return set(read(media, namespace))

    assert store("abcd") == {"clip#0", "clip#1", "clip#2"}
    second = read(media, namespace)["clip#1"]["_internal"]
    assert second["lineage"]["root_object_id"] == "clip"
    assert second["place"] == {"start_ms": 1000, "quality": 90.0}
    assert store("abc") == {"clip#0", "clip#1"}
    assert store("ab") == {"clip"}
    assert store("abcde") == {"clip#0", "clip#1", "clip#2", "clip#3"}


def test_a_link_is_kept_beside_its_document_and_a_data_uri_is_not(
    media: DocumentCatalog, namespace: Namespace
) -> None:
    upsert(media, namespace, {"document_id": "b", "content": "data:,"}, collection_id="images")
    assert "document_blobs" not in str(read(media, namespace))


def test_a_single_creation_raises_what_its_media_lacks(
    media: DocumentCatalog, namespace: Namespace
) -> None:
    body = DocumentCreate(content="bad")
    with pytest.raises(MediaError):
        media.create(namespace, "images", body, deadline=NEVER)


def test_media_is_replaced_by_upsert_alone(media: DocumentCatalog, namespace: Namespace) -> None:
    upsert(media, namespace, {"document_id": "a", "content": "ab"}, collection_id="images")
    with pytest.raises(InvalidRequestError):
        media.patch(namespace, "images", "a", {"content": "cd"})
    media.patch(namespace, "images", "a", {"name": "x"})
    assert read(media, namespace)["a"]["name"] == "x"


def test_without_an_extractor_installed_media_is_refused(
    app: App, media: DocumentCatalog, namespace: Namespace
) -> None:
    bare = DocumentCatalog(app.documents._store, app.collections)
    with pytest.raises(MissingExtraError):
        upsert(bare, namespace, {"document_id": "a", "content": "ab"}, collection_id="images")
