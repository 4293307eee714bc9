"""What a collection promises to whoever searches it, whoever keeps its vectors.

Inherit and give `shelf`, for example by `make_shelf`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.app import App
from core.catalog.document_listing import list_documents
from core.deadline import NEVER
from core.filtering.conditions import parse_filter
from core.filtering.operators import matches
from core.models.base import parse_model
from core.models.collections import CollectionCreate
from core.models.documents import DocumentList, UpsertRequest
from core.models.namespaces import Namespace, StandaloneNamespaceCreate
from core.models.retriever import RetrieverCreate
from core.types import JsonObject, Metric
from tests.contracts.vectors import independent_score
from tests.core.service import run_batch, running_app, stage

DIMENSION = 8
FIELDS = ("brand", "price", "tags", "meta.group")
FLOAT_METRICS: tuple[Metric, ...] = ("cosine", "euclidean")


@dataclass
class Shelf:
    """A namespace of an app, whose collections one engine keeps."""

    app: App
    namespace: Namespace
    engine: str
    names: Iterator[int] = field(default_factory=count)

    def make(self, metric: Metric = "cosine", engine: str | None = None) -> str:
        """Make a collection with the vector `v`; return its id."""
        body: JsonObject = {
            "collection_name": f"collection {next(self.names)}",
            "vector_configs": [{"name": "v", "dimension": DIMENSION, "metric": metric}],
            "engine": engine or self.engine,
        }
        if body["engine"] != "embedded":
            body["filterable_fields"] = list(FIELDS)
        request = parse_model(CollectionCreate, body)
        return self.app.collections.create(self.namespace.namespace_id, request).collection_id

    def upsert(self, collection: str, documents: Sequence[JsonObject]) -> JsonObject:
        """Store documents."""
        body = {"collection_id": collection, "documents": list(documents)}
        request = parse_model(UpsertRequest, body)
        return self.app.documents.upsert(self.namespace, request, deadline=NEVER)

    def search(
        self, collections: Sequence[str], query: Any, k: int = 10, filters: Any = None, **more: Any
    ) -> JsonObject:
        """Return one query's result; `more` holds later stages and the batch's own."""
        return self.search_all(collections, [(query, filters)], k, **more)[0]

    def search_all(
        self,
        collections: Sequence[str],
        queries: Sequence[tuple[Any, Any]],
        k: int = 10,
        *,
        stages: Sequence[JsonObject] = (),
        **batch: Any,
    ) -> list[JsonObject]:
        """Return the results of vectors with their filters, as one batch."""
        retriever = self.retriever(collections, [nearest(k), *stages])
        asked = [
            {"inputs": {"v": np.asarray(vector).tolist()}, **({"filters": f} if f else {})}
            for vector, f in queries
        ]
        batch = {"settings": {"limit": 500}, **batch}
        answer = run_batch(self.app, self.namespace, retriever, asked, **batch)
        for result in answer["results"]:
            assert result["status"] == "completed", result["error"]
        results: list[JsonObject] = answer["results"]
        return results

    def retriever(self, collections: Sequence[str], stages: Sequence[JsonObject]) -> str:
        """Store a retriever; return its id."""
        body = {
            "retriever_name": f"retriever {next(self.names)}",
            "stages": list(stages),
            "collection_identifiers": list(collections),
        }
        request = parse_model(RetrieverCreate, body)
        made = self.app.retrievers.create(self.namespace, request, check=self.app.engine.check)
        return made.retriever_id


@contextmanager
def make_shelf(folder: Path, engine: str, **settings: Any) -> Iterator[Shelf]:
    """Yield a shelf in a new data folder."""
    with running_app(folder, **settings) as app:
        yield Shelf(app, app.namespaces.create(StandaloneNamespaceCreate()), engine)


def nearest(k: int, **more: Any) -> JsonObject:
    """Return the stage that finds the k nearest of the input `v`."""
    query = {"input_mode": "vector", "value": "{{INPUT.v}}"}
    search = {"feature_uri": "v", "query": query, "top_k": k}
    return stage("feature_search", searches=[search], final_top_k=k, **more)


def make_documents(size: int, seed: int = 0) -> list[JsonObject]:
    """Return documents whose fields hold every kind of value; each seventh vector is the same."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((size, DIMENSION), dtype=np.float32)
    vectors[1::7] = vectors[0]
    odd: tuple[JsonObject, ...] = (
        {"brand": None},
        {"brand": ["acme", None, 3]},
        {"brand": True},
        {"price": "30"},
        {},
    )
    return [
        {
            "document_id": f"d{n:03}",
            "vectors": {"v": vectors[n].tolist()},
            "payload": {
                "brand": ("acme", "Zeta", "noma" * 40)[n % 3],
                "price": float(rng.integers(0, 50)) if n % 2 else int(rng.integers(0, 50)),
                "tags": ["red", "blue", ["tall"]][: n % 4],
                "meta": {"group": n % 5, "when": f"2024-05-{n % 28 + 1:02}"},
                "note": f"item {n}",
                **odd[n % 5],
            },
        }
        for n in range(size)
    ]


def expected(
    documents: Sequence[JsonObject], query: Any, metric: Metric, filters: Any = None
) -> list[tuple[str, float]]:
    """Return every passing document and its score, best first, computed one by one."""
    tree = parse_filter(filters, templates=False) if filters else None
    found = [
        (
            document["document_id"],
            independent_score(metric, query, np.array(document["vectors"]["v"], np.float32)),
        )
        for document in documents
        if document.get("vectors") and (tree is None or matches(tree, document["payload"]))
    ]
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def check(result: JsonObject, wanted: Sequence[tuple[str, float]]) -> None:
    """Fail unless the result has these documents in this order with these scores."""
    got = [(one["document_id"], one["score"]) for one in result["documents"]]
    assert [one for one, _ in got] == [one for one, _ in wanted]
    assert [score for _, score in got] == pytest.approx([s for _, s in wanted], abs=1e-5)
    evidence = result["evidence"]
    assert evidence["best_score"] == (pytest.approx(wanted[0][1], abs=1e-5) if wanted else None)


def query_vector(seed: int = 5) -> Any:
    """Return a seeded query."""
    return np.random.default_rng(seed).standard_normal(DIMENSION, dtype=np.float32)


def where(name: str, operator: str, value: Any) -> JsonObject:
    """Return a filter of one condition."""
    return {"AND": [{"field": name, "operator": operator, "value": value}]}


FILTERS: tuple[JsonObject, ...] = (
    where("brand", "eq", "acme"),
    where("brand", "ne", "acme"),
    where("brand", "eq", "noma" * 40),
    where("brand", "ne", "noma" * 40),
    where("brand", "eq", None),
    where("brand", "in", ["acme", None, True, 3.0]),
    where("brand", "nin", ["acme", 3]),
    where("brand", "is_null", True),
    where("brand", "is_null", False),
    where("brand", "exists", False),
    where("brand", "contains", "ZET"),
    where("price", "gt", 20),
    where("price", "lte", 20.0),
    where("price", "gte", "25"),
    where("tags", "eq", "tall"),
    where("tags", "nin", ["blue"]),
    where("meta.group", "in", [1, 2.0]),
    where("meta.when", "lt", "2024-05-09"),
    where("note", "regex", "item 1[0-9]$"),
    where("absent", "eq", 1),
    {"OR": [where("brand", "eq", "acme"), where("price", "lt", 5)]},
    {"NOT": [where("brand", "eq", "acme"), where("price", "lt", 25)]},
    {"AND": [where("tags", "eq", "red"), {"NOT": [where("tags", "in", ["blue", "x"])]}]},
)


class CollectionSearchContract:
    """Inherit and give `shelf`."""

    @pytest.fixture
    def shelf(self) -> Iterator[Shelf]:
        raise NotImplementedError

    @pytest.mark.parametrize("metric", FLOAT_METRICS)
    def test_the_nearest_come_with_their_scores_and_of_equals_the_smaller_id_first(
        self, shelf: Shelf, metric: Metric
    ) -> None:
        documents = make_documents(40)
        collection = shelf.make(metric)
        shelf.upsert(collection, documents)
        same = np.array(documents[0]["vectors"]["v"], np.float32)
        for query in (query_vector(), same):
            wanted = expected(documents, query, metric)
            check(shelf.search([collection], query, 12), wanted[:12])

    def test_more_than_there_is_gives_all_of_it(self, shelf: Shelf) -> None:
        documents = make_documents(9)
        collection = shelf.make()
        shelf.upsert(collection, documents)
        check(
            shelf.search([collection], query_vector(), 90),
            expected(documents, query_vector(), "cosine"),
        )

    def test_nothing_is_found_in_an_empty_collection(self, shelf: Shelf) -> None:
        result = shelf.search([shelf.make()], query_vector())
        assert result["documents"] == []
        assert result["evidence"]["compared"] == 0

    @pytest.mark.parametrize("metric", FLOAT_METRICS)
    def test_filters_hold_exactly(self, shelf: Shelf, metric: Metric) -> None:
        documents = make_documents(60)
        collection = shelf.make(metric)
        shelf.upsert(collection, documents)
        query = query_vector()
        results = shelf.search_all([collection], [(query, one) for one in FILTERS], 90)
        for filters, result in zip(FILTERS, results, strict=True):
            check(result, expected(documents, query, metric, filters))

    def test_an_upsert_replaces_vector_and_fields(self, shelf: Shelf) -> None:
        documents = make_documents(20)
        collection = shelf.make()
        shelf.upsert(collection, documents)
        changed = make_documents(20, seed=1)[3:9]
        changed[0]["vectors"] = {}
        changed[1]["payload"] = {"brand": "other"}
        shelf.upsert(collection, changed)
        now = [*documents[:3], *changed, *documents[9:]]
        check(
            shelf.search([collection], query_vector(), 30), expected(now, query_vector(), "cosine")
        )
        filters = where("brand", "eq", "other")
        wanted = expected(now, query_vector(), "cosine", filters)
        assert len(wanted) == 1
        check(shelf.search([collection], query_vector(), 30, filters), wanted)

    def test_what_is_deleted_is_not_found_and_may_come_again(self, shelf: Shelf) -> None:
        documents = make_documents(20)
        collection = shelf.make()
        shelf.upsert(collection, documents)
        app, namespace = shelf.app, shelf.namespace
        app.documents.delete(namespace, collection, "d004")
        app.documents.delete_many(namespace, collection, ["d005", "d006"])
        query = query_vector()
        wanted = expected(documents[:4] + documents[7:], query, "cosine")
        check(shelf.search([collection], query, 30), wanted)
        shelf.upsert(collection, documents[4:5])
        wanted = expected(documents[:5] + documents[7:], query, "cosine")
        check(shelf.search([collection], query, 30), wanted)

    def test_merging_changes_nothing(self, shelf: Shelf) -> None:
        collection = shelf.make()
        documents = make_documents(30)
        for start in range(0, 30, 5):
            shelf.upsert(collection, documents[start : start + 7])
        shelf.app.documents.delete(shelf.namespace, collection, "d002")
        live = documents[:2] + documents[3:]
        place = (shelf.namespace.namespace_id, collection)
        for _ in range(2):
            wanted = expected(live, query_vector(), "cosine")
            check(shelf.search([collection], query_vector(), 50), wanted)
            shelf.app.store.merge(*place)
        assert len(shelf.app.store.describe(*place).segments) == 1

    def test_several_collections_make_one_ranking(self, shelf: Shelf) -> None:
        # No two of one score: engines agree on scores to 1e-5, and only each its own equal to the
        # last bit.
        documents = [d for n, d in enumerate(make_documents(30)) if n % 7 != 1]
        places = [shelf.make(), shelf.make(), shelf.make(engine="embedded")]
        for n, place in enumerate(places):
            shelf.upsert(place, documents[n::3])
        wanted = expected(documents, query_vector(), "cosine")
        check(shelf.search(places, query_vector(), 17), wanted[:17])

    def test_a_later_search_ranks_only_what_came_in(self, shelf: Shelf) -> None:
        documents = make_documents(40)
        collection = shelf.make()
        shelf.upsert(collection, documents)
        again = nearest(40)
        again["config"]["parameters"]["searches"][0]["query"]["value"] = (-query_vector()).tolist()
        result = shelf.search([collection], query_vector(), 7, stages=[again])
        first = dict(expected(documents, query_vector(), "cosine")[:7])
        wanted = [p for p in expected(documents, -query_vector(), "cosine") if p[0] in first]
        got = [(one["document_id"], one["score"]) for one in result["documents"]]
        assert [one for one, _ in got] == [one for one, _ in wanted]
        assert [s for _, s in got] == pytest.approx([s for _, s in wanted], abs=1e-5)

    def test_stages_that_read_vectors_get_them(self, shelf: Shelf) -> None:
        documents = make_documents(30)
        documents[3]["vectors"] = {}
        collection, twin = shelf.make(), shelf.make(engine="embedded")
        mmr = stage("mmr", **{"lambda": 0.3, "top_k": 9, "diversity_feature_uri": "v"})
        orders = []
        for place in (collection, twin):
            shelf.upsert(place, documents)
            result = shelf.search([place], query_vector(), 25, stages=[mmr])
            orders.append([one["document_id"] for one in result["documents"]])
        assert orders[0] == orders[1]
        assert len(orders[0]) == 9

    def test_vectors_come_back_bit_by_bit_where_they_are_asked_for(self, shelf: Shelf) -> None:
        documents = make_documents(8)
        documents[2]["vectors"] = {}
        collection = shelf.make()
        shelf.upsert(collection, documents)
        stored = {one["document_id"]: one["vectors"].get("v") for one in documents}
        app, namespace = shelf.app, shelf.namespace
        one = app.documents.get(namespace, collection, "d001", return_vectors=True)
        assert one["v"] == stored["d001"]
        assert "v" not in app.documents.get(namespace, collection, "d001")
        many = app.documents.get_many(namespace, list(stored), collection, return_vectors=True)
        assert {d["document_id"]: d.get("v") for d in many["documents"]} == stored
        request = parse_model(DocumentList, {"return_vectors": True})
        snapshot = app.documents.snapshot(app.collections.find(namespace.namespace_id, collection))
        listed = list_documents(snapshot, request)["results"]
        assert {d["document_id"]: d.get("v") for d in listed} == stored
        found = shelf.search([collection], query_vector(), 8, return_vectors=True)["documents"]
        assert {d["document_id"]: d["v"] for d in found} == {k: v for k, v in stored.items() if v}

    def test_a_patch_keeps_the_vectors_it_does_not_name(self, shelf: Shelf) -> None:
        documents = make_documents(12)
        collection = shelf.make()
        shelf.upsert(collection, documents)
        app, namespace = shelf.app, shelf.namespace
        app.documents.patch(namespace, collection, "d003", {"brand": "patched"})
        both: list[tuple[str, JsonObject]] = [
            ("d004", {"brand": "patched"}),
            ("d005", {"vectors": {"v": query_vector().tolist()}}),
        ]
        app.documents.patch_many(namespace, collection, both)
        documents[3]["payload"]["brand"] = documents[4]["payload"]["brand"] = "patched"
        documents[5]["vectors"] = {"v": query_vector().tolist()}
        for filters in (None, where("brand", "eq", "patched")):
            wanted = expected(documents, query_vector(), "cosine", filters)
            check(shelf.search([collection], query_vector(), 12, filters), wanted)

    def test_a_stored_document_can_be_the_query(self, shelf: Shelf) -> None:
        documents = make_documents(12)
        collection = shelf.make()
        shelf.upsert(collection, documents)
        ref = {"collection_id": collection, "document_id": "d003"}
        query = {"input_mode": "document", "document_ref": ref}
        search = {"feature_uri": "v", "query": query}
        retriever = shelf.retriever([collection], [stage("feature_search", searches=[search])])
        limit = {"limit": 50}
        answer = run_batch(shelf.app, shelf.namespace, retriever, [{"inputs": {}}], settings=limit)
        own = np.array(documents[3]["vectors"]["v"], np.float32)
        check(answer["results"][0], expected(documents, own, "cosine"))

    def test_faulty_vectors_are_refused_whole(self, shelf: Shelf) -> None:
        collection = shelf.make()
        good, bad = make_documents(2)
        bad["vectors"] = {"v": [1.0, 2.0]}
        with pytest.raises(Exception, match="expected 8 dimensions"):
            shelf.upsert(collection, [good, bad])
        assert shelf.search([collection], query_vector())["documents"] == []

    def test_a_dropped_collection_is_gone(self, shelf: Shelf) -> None:
        collection = shelf.make()
        shelf.upsert(collection, make_documents(3))
        shelf.app.collections.delete(shelf.namespace.namespace_id, collection)
        with pytest.raises(Exception, match="not found"):
            shelf.app.collections.find(shelf.namespace.namespace_id, collection)
