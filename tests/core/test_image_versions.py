"""Versions of image.pdq in a whole app: one document of many hashes, and old collections."""

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from core.app import App, build_app
from core.deadline import NEVER
from core.media.extractors import IMAGE_PDQ
from core.models.base import parse_model
from core.models.collections import CollectionCreate
from core.models.documents import UpsertRequest
from core.models.execution import BatchRequest
from core.models.namespaces import Namespace, StandaloneNamespaceCreate
from core.models.retriever import RetrieverCreate
from core.settings import Settings
from core.types import JsonObject
from tests.core.media.pictures import encode, landscape

URIS = {version: f"mixpeek://image.pdq@{version}/hash" for version in ("v1", "v2")}
COUNT = 4
PHOTO = landscape(1)
# What is left lies in the upper left corner, so a crop of the reference is nearest.
STRIPPED = PHOTO.crop((0, 0, round(0.95 * PHOTO.width), round(0.95 * PHOTO.height)))


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app whose collections `v1` and `v2` hold the same pictures, by that version each."""
    folder: Path = tmp_path_factory.mktemp("data")
    built = build_app(Settings.local(folder, {}))
    namespace = built.namespaces.create(
        parse_model(StandaloneNamespaceCreate, {"namespace_id": "space"})
    )
    for version in URIS:
        extractor = {"feature_extractor_name": "image.pdq", "version": version}
        body = {"collection_name": f"by-{version}", "feature_extractor": extractor}
        built.collections.create("space", parse_model(CollectionCreate, body))
        store(built, namespace, version)
    yield built
    built.close()


@pytest.fixture(scope="module")
def namespace(app: App) -> Namespace:
    """The namespace of both."""
    return app.namespaces.find("space")


def store(app: App, namespace: Namespace, version: str) -> JsonObject:
    documents = [
        {"document_id": f"p{n}", "content": in_line(landscape(n))} for n in range(1, COUNT + 1)
    ]
    body = {"collection_id": f"by-{version}", "documents": documents}
    return app.documents.upsert(namespace, parse_model(UpsertRequest, body), deadline=NEVER)


def in_line(image: Image.Image) -> str:
    return "data:image/png;base64," + base64.b64encode(encode(image, "PNG")).decode()


def search(
    app: App, namespace: Namespace, version: str, over: list[str], query: JsonObject
) -> JsonObject:
    """Return the answer to one search of that version's feature."""
    searches = [{"feature_uri": URIS[version], "query": query}]
    stage = {"stage_id": "feature_search", "parameters": {"searches": searches}}
    name = f"r{len(app.retrievers.all(namespace.namespace_id))}"
    body: dict[str, Any] = {
        "retriever_name": name,
        "collection_identifiers": over,
        "stages": [{"stage_name": "near", "config": stage}],
    }
    retriever = parse_model(RetrieverCreate, body)
    app.retrievers.create(namespace, retriever, check=app.engine.check)
    request = parse_model(BatchRequest, {"queries": [{"inputs": {}}]})
    work = app.engine.execute_batch(namespace, name, request, deadline=NEVER)
    (result,) = asyncio.run(work)["results"]
    assert isinstance(result, dict)
    return result


def by_file(image: Image.Image) -> JsonObject:
    return {"input_mode": "content", "value": in_line(image)}


def test_a_picture_is_one_document_under_its_own_id(app: App, namespace: Namespace) -> None:
    store(app, namespace, "v2")  # once more: nothing is left over of the first time
    collection = app.collections.find("space", "by-v2")
    assert app.collections.describe(collection, count=True)["document_count"] == COUNT
    found = app.documents.get(namespace, "by-v2", "p1", return_vectors=True)
    stored = {spec.name for spec in IMAGE_PDQ.vectors} & set(found)
    assert stored == {spec.name for spec in IMAGE_PDQ.vectors} - {"image_pdq_v2_inside"}
    old = app.documents.get(namespace, "by-v1", "p1", return_vectors=True)
    assert [name for name in old if name.startswith("image_pdq")] == ["image_pdq_v1_hash"]
    assert old["image_pdq_v1_hash"] == found["image_pdq_v2_hash"]


def test_a_stripped_copy_is_found_once_and_by_which_crop(app: App, namespace: Namespace) -> None:
    result = search(app, namespace, "v2", ["by-v2"], by_file(STRIPPED))
    ids = [one["document_id"] for one in result["documents"]]
    assert sorted(ids) == sorted(set(ids))
    best = result["documents"][0]
    assert (best["document_id"], best["reference_view"]) == ("p1", "top_left_95")
    assert best["score"] >= 1 - 31 / 256
    assert best["features"][URIS["v2"]]["reference_view"] == "top_left_95"
    assert result["evidence"]["compared"] == COUNT
    assert result["evidence"]["best_score"] == best["score"]
    assert result["incomplete"] == []
    mirrored = search(
        app, namespace, "v2", ["by-v2"], by_file(PHOTO.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    )
    assert mirrored["documents"][0]["query_variant"] == "flip_horizontal"
    assert "reference_view" not in mirrored["documents"][0]


def test_the_whole_picture_needs_no_word_about_views(app: App, namespace: Namespace) -> None:
    best = search(app, namespace, "v2", ["by-v2"], by_file(PHOTO))["documents"][0]
    assert (best["document_id"], best["score"]) == ("p1", 1.0)
    assert not {"query_variant", "reference_view"} & set(best)


def test_a_vector_is_compared_with_the_vector_that_is_named(app: App, namespace: Namespace) -> None:
    crop = app.documents.get(namespace, "by-v2", "p1", return_vectors=True)[
        "image_pdq_v2_centre_90"
    ]
    query = {"input_mode": "vector", "value": crop}
    best = search(app, namespace, "v2", ["by-v2"], query)["documents"][0]
    assert best["score"] < 1
    assert "reference_view" not in best


def test_a_stored_document_is_compared_with_all_views(app: App, namespace: Namespace) -> None:
    ref = {"collection_id": "by-v2", "document_id": "p1"}
    query = {"input_mode": "document", "document_ref": ref}
    best = search(app, namespace, "v2", ["by-v2"], query)["documents"][0]
    assert (best["document_id"], best["score"]) == ("p1", 1.0)


def test_an_old_collection_is_searched_as_it_was(app: App, namespace: Namespace) -> None:
    result = search(app, namespace, "v1", ["by-v1"], by_file(PHOTO))
    assert result["documents"][0]["document_id"] == "p1"
    assert result["evidence"]["compared"] == COUNT
    stripped = search(app, namespace, "v1", ["by-v1"], by_file(STRIPPED))["documents"][0]
    new = search(app, namespace, "v2", ["by-v2"], by_file(STRIPPED))["documents"][0]
    assert stripped["score"] < new["score"]


def test_what_another_version_stored_is_said_to_be_unsearched(
    app: App, namespace: Namespace
) -> None:
    result = search(app, namespace, "v2", ["by-v1", "by-v2"], by_file(PHOTO))
    assert [one["code"] for one in result["incomplete"]] == ["collection_not_searched"]
