"""Lists of collections: a page costs what it shows, and says the same as before."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.app import App, build_app
from core.settings import Settings
from core.storage.collections import CollectionStore
from handlers.client import AppTransport, Client

NAMES = [f"shelf{n}" for n in range(5)]


@pytest.fixture
def app(tmp_path: Path) -> App:
    return build_app(Settings.local(tmp_path, {}))


@pytest.fixture
def client(app: App) -> Iterator[Client]:
    client = Client(AppTransport(app), namespace="shop")
    client.call("POST", "/v1/namespaces/standalone", {"namespace_id": "shop"})
    for name in NAMES:
        client.call("POST", "/v1/collections", {"collection_name": name})
    yield client
    client.close()


@pytest.fixture
def described(client: Client, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The collections whose manifests were read since the others were made."""
    read: list[str] = []
    describe = CollectionStore.describe

    def counted(store: CollectionStore, namespace_id: str, collection_id: str) -> Any:
        read.append(collection_id)
        return describe(store, namespace_id, collection_id)

    monkeypatch.setattr(CollectionStore, "describe", counted)
    return read


def test_a_page_reads_the_manifests_of_what_it_shows(client: Client, described: list[str]) -> None:
    found = client.call("POST", "/v1/collections/list", {"search": "shelf", "limit": 2})
    shown = found["results"]
    assert [len(shown), found["total_count"]] == [2, 5]
    assert described == [one["collection_id"] for one in shown]
    alone = client.call("GET", f"/v1/collections/{shown[0]['collection_id']}")
    assert {**shown[0], "document_count": 0} == alone


def test_what_stands_in_manifests_can_be_filtered_by(client: Client) -> None:
    (first,) = client.call("POST", "/v1/collections/list", {"search": "shelf3"})["results"]
    documents = [{"document_id": "d", "vectors": {"v": [1.0, 0.0]}}]
    body = {"collection_id": first["collection_id"], "documents": documents}
    client.call("POST", "/v1/namespaces/shop/documents/upsert", body)
    condition = {"field": "vector_indexes.name", "operator": "eq", "value": "v"}
    found = client.call("POST", "/v1/collections/list", {"filters": condition, "limit": 1})
    assert [one["collection_name"] for one in found["results"]] == ["shelf3"]
    assert found["total_count"] == 1
