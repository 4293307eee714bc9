"""What an answer says of itself where vectors lie in an approximate index outside."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.adapters import vectors_s3
from core.deadline import Deadline
from core.errors import InvalidRequestError, UnavailableError
from core.runtime import remote_searching
from core.types import JsonObject
from tests.contracts.collection_search import (
    Shelf,
    check,
    expected,
    make_documents,
    make_shelf,
    nearest,
    query_vector,
    where,
)
from tests.core.service import run_batch, stage
from tests.s3vectors_fake import BUCKET, FakeS3Vectors, Fault

NOTE = where("note", "regex", "item [0-9]*7$")  # a tenth; no index is told of notes


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeS3Vectors:
    fake = FakeS3Vectors()
    monkeypatch.setattr(vectors_s3, "make_client", lambda *_, **__: fake.client)
    return fake


@pytest.fixture
def shelf(fake: FakeS3Vectors, tmp_path: Path) -> Iterator[Shelf]:
    assert fake.indexes == {}
    with make_shelf(tmp_path, "s3vectors", vector_bucket=BUCKET) as shelf:
        yield shelf


def codes(result: JsonObject) -> set[str]:
    """Why a result says that it is incomplete."""
    return {entry["code"] for entry in result["incomplete"]}


def test_an_answer_is_never_called_exact(shelf: Shelf) -> None:
    collection = shelf.make()
    shelf.upsert(collection, make_documents(30))
    for filters in (None, where("brand", "eq", "acme"), NOTE):
        result = shelf.search([collection], query_vector(), 5, filters)
        assert result["evidence"]["exact"] is False
        assert codes(result) == {"approximate"}
        assert not result["complete"]


def test_a_lost_neighbour_is_missing_and_nothing_else_changes(
    fake: FakeS3Vectors, shelf: Shelf
) -> None:
    documents = make_documents(50)
    collection = shelf.make()
    shelf.upsert(collection, documents)
    full = expected(documents, query_vector(), "cosine")
    lost = {full[0][0], full[3][0]}
    fake.drop = lambda key: key.split(".", 1)[1] in lost
    wanted = [pair for pair in full if pair[0] not in lost]
    check(shelf.search([collection], query_vector(), 10), wanted[:10])
    # Few documents pass this filter: they are read, and none of them can be lost.
    some = where("price", "lt", 40)
    check(
        shelf.search([collection], query_vector(), 50, some),
        expected(documents, query_vector(), "cosine", some),
    )


def test_a_filter_that_few_pass_is_answered_whole_though_the_index_cannot_apply_it(
    fake: FakeS3Vectors, shelf: Shelf
) -> None:
    documents = make_documents(700)
    collection = shelf.make()
    shelf.upsert(collection, documents)
    wanted = expected(documents, query_vector(), "cosine", NOTE)
    result = shelf.search([collection], query_vector(), 200, NOTE)
    check(result, wanted)
    assert codes(result) == {"approximate"}
    assert result["evidence"]["compared"] == len(wanted) == 70
    assert fake.count("QueryVectors") == 0


def test_candidates_that_run_out_are_told(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_searching, "MAX_READ", 20)
    documents = make_documents(400)
    collection = shelf.make()
    shelf.upsert(collection, documents)
    result = shelf.search([collection], query_vector(), 30, NOTE)
    found = [one["document_id"] for one in result["documents"]]
    wanted = [one for one, _ in expected(documents, query_vector(), "cosine", NOTE)]
    assert found == wanted[: len(found)]
    assert len(found) < 30 < len(wanted)
    assert codes(result) == {"approximate", "candidates_exhausted"}
    assert result["evidence"]["compared"] == 100
    # What the index can apply leaves no such hole.
    brand = where("brand", "in", ["acme", "Zeta"])
    result = shelf.search([collection], query_vector(), 30, brand)
    check(result, expected(documents, query_vector(), "cosine", brand)[:30])
    assert codes(result) == {"approximate"}


def test_vectors_of_the_past_that_crowd_the_index_are_told(
    fake: FakeS3Vectors, shelf: Shelf
) -> None:
    documents = make_documents(130)
    for document in documents:
        document["vectors"] = {"v": query_vector().tolist()}
    collection = shelf.make()
    shelf.upsert(collection, documents)

    def busy(name: str, _request: Any) -> None:
        if name == "DeleteVectors":
            raise Fault("TooManyRequestsException")

    fake.before = busy
    for document in documents:
        document["vectors"] = {"v": (-query_vector()).tolist()}
    shelf.upsert(collection, documents)
    result = shelf.search([collection], query_vector(), 10)
    assert result["documents"] == []
    assert codes(result) == {"approximate", "candidates_exhausted"}


def test_more_than_a_hundred_is_a_limit_that_is_told(shelf: Shelf) -> None:
    documents = make_documents(150)
    collection = shelf.make()
    shelf.upsert(collection, documents)
    result = shelf.search([collection], query_vector(), 120)
    check(result, expected(documents, query_vector(), "cosine")[:100])
    limit = {"name": "candidates", "requested": 120, "applied": 100, "ceiling": 100}
    assert [{**limit, "stage": result["limits"][0]["stage"]}] == result["limits"]
    assert codes(result) == {"approximate", "capped"}
    assert shelf.search([collection], query_vector(), 100)["limits"] == []


def test_beside_an_embedded_collection_what_may_be_missing_is_weighed_by_score(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_searching, "MAX_READ", 20)
    far, near = shelf.make(), shelf.make(engine="embedded")
    shelf.upsert(far, make_documents(400))
    close = make_documents(40, seed=1)
    for document in close:
        document["document_id"] += "-near"
        vector = query_vector() + np.array(document["vectors"]["v"]) / 100
        document["vectors"] = {"v": vector.tolist()}
        document["payload"] = {"note": "item 7"}
    shelf.upsert(near, close)
    result = shelf.search([far, near], query_vector(), 30, NOTE)
    check(result, expected(close, query_vector(), "cosine")[:30])
    # The hundred candidates hold fewer than 30, but what they kept back is worse than all of these.
    assert codes(result) == {"approximate"}
    assert "candidates_exhausted" in codes(shelf.search([far, near], query_vector(), 60, NOTE))


def test_a_batch_is_one_call_of_the_service_for_each_different_vector(
    fake: FakeS3Vectors, shelf: Shelf
) -> None:
    collection = shelf.make()
    shelf.upsert(collection, make_documents(30))
    vectors = [query_vector(n) for n in range(12)]
    results = shelf.search_all([collection], [(vector, None) for vector in vectors], 5)
    for vector, result in zip(vectors, results, strict=True):
        check(result, expected(make_documents(30), vector, "cosine")[:5])
    assert fake.count("QueryVectors") == 12


def test_a_service_that_is_down_fails_the_query_alone_and_says_that_it_may_be_sent_again(
    fake: FakeS3Vectors, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors_s3, "_FIRST_PAUSE_S", 0.0)
    far, near = shelf.make(), shelf.make(engine="embedded")
    for place in (far, near):
        shelf.upsert(place, make_documents(5))

    def down(name: str, _request: Any) -> None:
        if name == "QueryVectors":
            raise Fault("ServiceUnavailableException")

    fake.before = down
    retriever = shelf.retriever([far, near], [by_place()])
    queries = [{"inputs": {"v": query_vector().tolist(), "place": [one]}} for one in (far, near)]
    answer = run_batch(shelf.app, shelf.namespace, retriever, queries)
    lost, found = answer["results"]
    assert (lost["status"], lost["error"]["code"]) == ("failed", "unavailable")
    assert lost["error"]["retryable"]
    assert (found["status"], found["evidence"]["exact"]) == ("completed", True)


def by_place() -> JsonObject:
    """A search of the collection that the query names."""
    search = nearest(5)
    search["config"]["parameters"]["collection_identifiers"] = "{{INPUT.place}}"
    return search


def test_the_deadline_ends_a_search_that_the_service_holds_up(
    fake: FakeS3Vectors, shelf: Shelf
) -> None:
    collection = shelf.make()
    shelf.upsert(collection, make_documents(5))
    retriever = shelf.retriever([collection], [nearest(5)])

    def busy(_name: str, _request: Any) -> None:
        raise Fault("TooManyRequestsException")

    fake.before = busy
    query = {"inputs": {"v": query_vector().tolist()}}
    deadline = Deadline.after(0.3)
    answer = run_batch(shelf.app, shelf.namespace, retriever, [query], deadline=deadline)
    assert answer["results"][0]["error"]["code"] == "timed_out"


def test_stages_that_filter_rank_and_group_work_on_top(shelf: Shelf) -> None:
    documents = make_documents(40)
    collection = shelf.make()
    shelf.upsert(collection, documents)
    after = [
        stage("attribute_filter", field="brand", operator="eq", value="acme"),
        stage("limit", limit=3),
    ]
    result = shelf.search([collection], query_vector(), 40, stages=after)
    filters = where("brand", "eq", "acme")
    wanted = [one for one, _ in expected(documents, query_vector(), "cosine", filters)[:3]]
    assert [one["document_id"] for one in result["documents"]] == wanted
    assert result["documents"][0]["meta"]["when"].startswith("2024")


def test_a_removal_that_failed_can_be_asked_for_again(
    fake: FakeS3Vectors, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors_s3, "_FIRST_PAUSE_S", 0.0)
    place = (shelf.namespace.namespace_id, shelf.make())
    shelf.upsert(place[1], make_documents(3))

    def down(_name: str, _request: Any) -> None:
        raise Fault("ServiceUnavailableException")

    fake.before = down
    with pytest.raises(UnavailableError):
        shelf.app.collections.delete(*place)
    fake.before = lambda _name, _request: None
    check(
        shelf.search([place[1]], query_vector()),
        expected(make_documents(3), query_vector(), "cosine"),
    )
    shelf.app.store.drop(*place)  # and here a process ended
    shelf.app.collections.delete(*place)
    assert fake.indexes == {}
    assert shelf.app.collections.all(place[0])[0].is_default


def test_a_laptop_without_a_vector_bucket_says_what_to_set(tmp_path: Path) -> None:
    with (
        make_shelf(tmp_path, "s3vectors") as shelf,
        pytest.raises(InvalidRequestError, match=r"s3vectors=true.*TRAWL_VECTOR_BUCKET") as error,
    ):
        shelf.make()
    assert error.value.problems[0].path == "engine"


def test_what_was_made_says_who_keeps_its_vectors(shelf: Shelf) -> None:
    app, namespace = shelf.app, shelf.namespace
    collection = app.collections.find(namespace.namespace_id, shelf.make())
    told = app.collections.describe(collection)
    assert told["engine"] == "s3vectors"
    assert list(told["filterable_fields"]) == ["brand", "price", "tags", "meta.group"]
