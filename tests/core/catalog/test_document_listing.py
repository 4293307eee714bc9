"""Pages of documents: complete, in order, and equal to filtering them one by one."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.app import App
from core.catalog.document_listing import list_documents, matching_ids
from core.deadline import NEVER
from core.errors import InvalidRequestError
from core.models.documents import DocumentList, UpsertRequest
from core.models.namespaces import Namespace
from core.storage.snapshot import Snapshot

COUNT = 25


@pytest.fixture
def snapshot(app: App, namespace: Namespace) -> Snapshot:
    """Twenty-five documents written in three calls, some replaced and one deleted again."""
    documents = [
        {
            "document_id": f"d{i:02}",
            "payload": {"n": i % 7, "name": f"Item {i}", "tags": ["even"] if i % 2 == 0 else []},
            "vectors": {"v": [i + 1]},
        }
        for i in range(COUNT + 1)
    ]
    for part in (documents[:15], documents[10:], documents[3:5]):
        request = UpsertRequest.model_validate({"documents": part})
        app.documents.upsert(namespace, request, deadline=NEVER)
    app.documents.delete(namespace, "default", f"d{COUNT}")
    return app.documents.snapshot(app.collections.find("space", "default"))


def pages(snapshot: Snapshot, **request: Any) -> list[list[str]]:
    """Follow the cursors to the end; return the ids page by page."""
    found: list[list[str]] = []
    cursor = None
    while True:
        body = DocumentList.model_validate({**request, "cursor": cursor})
        answer = list_documents(snapshot, body)
        found.append([one["document_id"] for one in answer["results"]])
        cursor = answer["pagination"]["next_cursor"]
        assert (cursor is not None) == answer["pagination"]["has_next"]
        if cursor is None:
            return found


ALL = [f"d{i:02}" for i in range(COUNT)]


@pytest.mark.parametrize("limit", [1, 7, 25, 26])
def test_cursors_pass_every_document_once(snapshot: Snapshot, limit: int) -> None:
    found = pages(snapshot, limit=limit)
    assert [one for page in found for one in page] == ALL
    assert all(len(page) == limit for page in found[:-1])


@given(
    n=st.integers(0, 8),
    direction=st.sampled_from([None, "asc", "desc"]),
    limit=st.integers(1, 9),
    search=st.sampled_from([None, "item 1", "ITEM 2", "nothing"]),
)
@settings(
    derandomize=True,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # examples only read it
)
def test_filter_search_and_sort_equal_doing_it_by_hand(
    snapshot: Snapshot, n: int, direction: Any, limit: int, search: str | None
) -> None:
    wanted = []
    for one, ref in snapshot.refs():
        fields = snapshot.payload(ref)
        if fields["n"] < n and (search is None or search.lower() in fields["name"].lower()):
            wanted.append((fields["n"], one))
    if direction is not None:
        sign = 1 if direction == "asc" else -1
        wanted.sort(key=lambda pair: (sign * pair[0], pair[1]))
    request: dict[str, Any] = {
        "filters": {"field": "n", "operator": "lt", "value": n},
        "limit": limit,
        "search": search,
    }
    if direction is not None:
        request["sort"] = {"field": "n", "direction": direction}
    found = [one for page in pages(snapshot, **request) for one in page]
    assert found == [one for _, one in wanted]
    answer = list_documents(
        snapshot, DocumentList.model_validate({**request, "include_total": True})
    )
    assert answer["total_documents"] == len(wanted)


def test_pages_by_number_and_by_offset(snapshot: Snapshot) -> None:
    def ids(**request: Any) -> list[str]:
        answer = list_documents(snapshot, DocumentList.model_validate(request))
        return [one["document_id"] for one in answer["results"]]

    assert ids(limit=10, page=3) == ALL[20:]
    assert ids(limit=10, offset=5) == ALL[5:15]
    assert ids(limit=10, page=4) == []
    [first, *_] = pages(snapshot, limit=4, offset=2)
    assert first == ALL[2:6]


def test_selected_fields_alone_come_back(snapshot: Snapshot) -> None:
    body = DocumentList(select=["n", "tags", "missing", "_internal.created_at"], limit=1)
    [document] = list_documents(snapshot, body)["results"]
    assert set(document) == {"document_id", "collection_id", "n", "tags", "_internal"}
    assert set(document["_internal"]) == {"created_at"}


def test_vectors_come_only_if_asked_for(snapshot: Snapshot) -> None:
    [document] = list_documents(snapshot, DocumentList(limit=1))["results"]
    assert "v" not in document
    body = DocumentList(limit=1, return_vectors=True)
    assert list_documents(snapshot, body)["results"][0]["v"] == [1.0]


@pytest.mark.parametrize("cursor", ["?", "eA", "bzE-", "b" * 100, "ÿ", "bzk5OTk5OTk5OTk5OTk5"])
def test_a_cursor_that_is_none_is_refused(snapshot: Snapshot, cursor: str) -> None:
    with pytest.raises(InvalidRequestError) as error:
        list_documents(snapshot, DocumentList(cursor=cursor))
    assert error.value.problems[0].path == "cursor"


def test_a_filter_names_documents_to_delete_and_never_all_by_accident(snapshot: Snapshot) -> None:
    assert matching_ids(snapshot, {"n": 0}) == ["d00", "d07", "d14", "d21"]
    nothings: list[Any] = [{}, [], {"AND": []}]
    for nothing in nothings:
        with pytest.raises(InvalidRequestError):
            matching_ids(snapshot, nothing)
