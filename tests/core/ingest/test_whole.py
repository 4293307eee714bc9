"""Ingest within a whole app: real pictures, the real reader of media, and the local folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.app import App, build_app
from core.deadline import NEVER
from core.models.collections import CollectionCreate
from core.models.namespaces import FeatureExtractorConfig, StandaloneNamespaceCreate
from core.settings import Settings
from tests.core.media.pictures import encode, landscape


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """An app with the collection `logos` in the namespaces `one` and `two`."""
    built = build_app(Settings.local(tmp_path, {}))
    for name in ("one", "two"):
        built.namespaces.create(StandaloneNamespaceCreate(namespace_id=name))
        extractor = FeatureExtractorConfig(feature_extractor_name="image.pdq")
        request = CollectionCreate(collection_name="logos", feature_extractor=extractor)
        built.collections.create(name, request)
    yield built
    built.close()


def paths(app: App, namespace_id: str) -> dict[str, str]:
    """Return the ids of the documents by their paths."""
    collection = app.collections.find(namespace_id, "logos")
    snapshot = app.store.snapshot(namespace_id, collection.collection_id)
    return {snapshot.payload(ref)["path"]: one for one, ref in snapshot.refs()}


def test_pictures_come_go_and_fail_for_themselves(app: App) -> None:
    assets = app.buckets.bucket("assets")
    whole = encode(landscape(1), "JPEG")
    files = {"a.jpg": whole, "torn.jpg": whole[:2000], "b.jpg": encode(landscape(2), "PNG")}
    keys = {path: f"one/ingest/logos/{path}" for path in (*files, "none.jpg")}
    for path, data in files.items():
        assets.put(keys[path], data)
    outcomes = app.ingest.run(list(keys.values()), deadline=NEVER)
    assert {path: outcomes[key].status for path, key in keys.items()} == {
        "a.jpg": "ingested",
        "torn.jpg": "failed",
        "b.jpg": "ingested",
        "none.jpg": "unchanged",
    }
    found = paths(app, "one")
    assert set(found) == {"a.jpg", "b.jpg"}
    namespace = app.namespaces.find("one")
    document = app.documents.get(namespace, "logos", found["a.jpg"], return_vectors=True)
    assert len(document["image_pdq_v2_hash"]) == 64
    assets.delete(keys["a.jpg"])
    assert app.ingest.run([keys["a.jpg"]], deadline=NEVER)[keys["a.jpg"]].status == "removed"
    assert set(paths(app, "one")) == {"b.jpg"}


def test_a_key_reaches_no_other_namespaces_collection(app: App) -> None:
    other = app.collections.find("two", "logos").collection_id
    key = f"one/ingest/{other}/a.jpg"
    app.buckets.bucket("assets").put(key, encode(landscape(1), "JPEG"))
    outcome = app.ingest.run([key], deadline=NEVER)[key]
    assert outcome.status == "failed"
    assert paths(app, "one") == paths(app, "two") == {}


@pytest.mark.parametrize("path", ["../../two/ingest/logos/a.jpg", "a/../b.jpg", "a//b.jpg", "./a"])
def test_a_key_that_is_no_plain_path_is_refused(app: App, path: str) -> None:
    key = f"one/ingest/logos/{path}"
    outcome = app.ingest.run([key], deadline=NEVER)[key]
    assert outcome.status == "failed"
    assert "segment" in str(outcome.error)
