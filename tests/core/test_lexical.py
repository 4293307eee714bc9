"""Searches by words on a whole service: batches, writes, hybrids, hostile queries, no library."""

import asyncio
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import pytest

from core.adapters.text_tantivy import TantivyText
from core.app import App
from core.deadline import NEVER, Deadline
from core.engine import Engine
from core.models.base import parse_model
from core.models.collections import CollectionCreate
from core.models.documents import UpsertRequest
from core.models.execution import BatchRequest
from core.models.namespaces import Namespace
from core.ports.text import TextIndex
from core.runtime.texts import TextIndexes
from core.types import JsonObject
from tests.core.bm25 import bm25_scores
from tests.core.service import (
    answer_of,
    make_namespace,
    make_retriever,
    random_documents,
    run_batch,
    run_single,
    running_app,
    stage,
    upsert,
    vector_query,
)

COLORS, THINGS = ("red", "blue", "green", "black", "white"), ("cat", "dog", "bird")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with running_app(tmp_path_factory.mktemp("data")) as app:
        yield app


def described(count: int = 120) -> list[JsonObject]:
    """Return documents that say something, every tenth of them in a nested field."""
    documents = random_documents(count)
    for n, document in enumerate(documents):
        text = " ".join([COLORS[n % 5]] * (1 + n % 3) + [THINGS[n % 7 % 3]])
        payload = document["payload"]
        del payload["brand"], payload["tags"]
        payload |= {"said": {"in": [text]}} if n % 10 == 0 else {"text": text}
        payload["brand"] = ("acme", "zeta")[n % 2]
    return documents


def lexical(value: str = "{{INPUT.q}}", **more: object) -> JsonObject:
    query = {"input_mode": "text", "value": value}
    return {"feature_uri": "emb", "query": query, "lexical": True, **more}


DENSE = {"feature_uri": "emb", "query": {"input_mode": "vector", "value": "{{INPUT.v}}"}}


def asking(text: str, seed: int = 0, **more: object) -> JsonObject:
    query = vector_query(seed, **more)
    query["inputs"]["q"] = text
    return query


def stocked(app: App, name: str, *searches: JsonObject, **parameters: object) -> Namespace:
    namespace = make_namespace(app, name)
    upsert(app, namespace, described())
    search = stage("feature_search", searches=list(searches), **parameters)
    make_retriever(app, namespace, [search])
    return namespace


QUESTIONS = [
    "red cat",
    "blue",
    "GREEN dogs",
    "white white bird",
    "acme",
    "nothing",
    "black cat red",
]


def test_a_batch_of_words_is_plain_bm25_and_indexes_once(app: App) -> None:
    namespace = stocked(app, "words", lexical(), final_top_k=100)
    before = app._services.texts.builds
    queries = [asking(text) for text in QUESTIONS]
    answer = run_batch(app, namespace, "nearest", queries, settings={"limit": 100}, concurrency=7)
    assert answer["status"] == "completed"
    assert app._services.texts.builds == before + 1
    texts = {d["document_id"]: d["payload"] for d in described()}
    bags = [[p.get("text") or p["said"]["in"][0], p["brand"]] for p in texts.values()]
    for text, result in zip(QUESTIONS, answer["results"], strict=True):
        plain = dict(zip(texts, bm25_scores(bags, text.replace("dogs", "dog")), strict=True))
        documents = result["documents"]
        scores = [document["score"] for document in documents]
        best = sorted((score for score in plain.values() if score), reverse=True)[:100]
        assert scores == pytest.approx(best, rel=1e-5)
        for document in documents:
            assert document["score"] == pytest.approx(plain[document["document_id"]], rel=1e-5)
            assert document["features"] == {"emb#bm25": {"score": document["score"]}}
        order = [(-document["score"], document["document_id"]) for document in documents]
        assert order == sorted(order)
        assert result["evidence"]["compared"] == 120
        assert result["evidence"]["exact"] is True
        assert result["evidence"]["best_score"] == (scores[0] if scores else None)
    assert answer["results"][QUESTIONS.index("nothing")]["documents"] == []


@pytest.mark.parametrize("fusion", ["rrf", "weighted", "dbsf", "max"])
def test_a_hybrid_batch_equals_its_queries_alone_and_unoptimized(app: App, fusion: str) -> None:
    namespace = stocked(app, f"hybrid-{fusion}", DENSE, lexical(), fusion=fusion, final_top_k=40)
    queries = [asking(text, n) for n, text in enumerate(QUESTIONS * 2)]
    queries += [asking("red dog", 3, filters={"brand": "zeta"})]
    together = run_batch(app, namespace, "nearest", queries, concurrency=10)
    assert together["status"] == "completed"
    plain = run_batch(app, namespace, "nearest", queries, settings={"optimize": False})
    for n, (query, result) in enumerate(zip(queries, together["results"], strict=True)):
        alone = run_batch(app, namespace, "nearest", [query])["results"][0]
        assert answer_of(result) == answer_of(alone)
        assert plain["results"][n]["documents"] == result["documents"]
        single = run_single(app, namespace, "nearest", query, limit=10)
        assert single["documents"] == result["documents"]
    names = {name for d in together["results"][0]["documents"] for name in d["features"]}
    assert names == {"emb", "emb#bm25"}
    filtered = together["results"][-1]["documents"]
    assert filtered and all(document["brand"] == "zeta" for document in filtered)


def test_filters_and_limits_after_it_reach_into_the_search(app: App) -> None:
    namespace = stocked(app, "after", lexical(), final_top_k=5)
    stages = [
        stage("feature_search", searches=[lexical()], final_top_k=5),
        stage("attribute_filter", field="brand", operator="eq", value="acme"),
        stage("limit", limit=3),
    ]
    make_retriever(app, namespace, stages, name="filtered")
    for settings in ({}, {"optimize": False}):
        query = asking("red cat")
        result = run_batch(app, namespace, "filtered", [query], settings=settings)["results"][0]
        assert len(result["documents"]) == 3
        assert {document["brand"] for document in result["documents"]} == {"acme"}
        assert result["evidence"]["compared"] == 60


def test_a_write_and_a_delete_are_seen_by_the_next_batch(app: App) -> None:
    namespace = stocked(app, "writes", lexical())
    query = [asking("zebra")]
    assert run_batch(app, namespace, "nearest", query)["results"][0]["documents"] == []
    vector = [1.0] * 8
    new = {"document_id": "d0001", "vectors": {"emb": vector}, "payload": {"x": ["a zebra"]}}
    upsert(app, namespace, [new])
    found = run_batch(app, namespace, "nearest", query)["results"][0]
    assert [document["document_id"] for document in found["documents"]] == ["d0001"]
    assert found["evidence"]["compared"] == 120
    place = app.collections.all(namespace.namespace_id)[0].collection_id
    app.documents.delete(namespace, place, "d0001")
    gone = run_batch(app, namespace, "nearest", query)["results"][0]
    assert (gone["documents"], gone["evidence"]["compared"]) == ([], 119)


def test_hostile_queries_are_words_and_empty_ones_fail_alone(app: App) -> None:
    namespace = stocked(app, "hostile", lexical())
    hostile = ['title:("red', "red AND (", "red~ ^ \\", "{{INPUT.v}} red", "red\x00", "-red +*"]
    alone = run_batch(app, namespace, "nearest", [asking("red")])["results"][0]
    queries = [asking(text) for text in [*hostile, "", "?!"]]
    answer = run_batch(app, namespace, "nearest", queries)
    assert answer["status"] == "partial"
    for result in answer["results"][: len(hostile)]:
        assert result["status"] == "completed"
        best = {document["document_id"] for document in result["documents"]}
        assert best == {document["document_id"] for document in alone["documents"]}
    empty, wordless = answer["results"][-2:]
    assert empty["error"]["blame"] == "caller"
    assert "empty" in empty["error"]["message"]
    assert wordless["documents"] == []
    assert any("no word" in warning for warning in wordless["warnings"])


def test_collections_of_texts_alone(app: App) -> None:
    namespace = make_namespace(app, "plain")
    for name, text in (("notes", "a red cat"), ("posts", "a red bird")):
        app.collections.create(
            namespace.namespace_id, parse_model(CollectionCreate, {"collection_name": name})
        )
        document = {"document_id": name, "payload": {"text": text}}
        body = {"documents": [document], "collection_id": name}
        app.documents.upsert(namespace, parse_model(UpsertRequest, body), deadline=NEVER)
    search = stage("feature_search", searches=[{**lexical(), "feature_uri": "text"}])
    make_retriever(app, namespace, [search], collection_identifiers=["notes", "posts"])
    result = run_batch(app, namespace, "nearest", [asking("red bird")])["results"][0]
    assert [document["document_id"] for document in result["documents"]] == ["posts", "notes"]
    assert result["evidence"]["compared"] == 2


def test_without_the_library_only_words_fail(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    namespace = stocked(app, "missing", lexical())
    make_retriever(app, namespace, [stage("feature_search", searches=[DENSE])], name="dense")
    monkeypatch.setitem(sys.modules, "tantivy", None)
    result = run_batch(app, namespace, "nearest", [asking("red")])["results"][0]
    assert result["status"] == "failed"
    assert result["error"]["code"] == "missing_extra"
    assert "[text]" in result["error"]["message"]
    assert run_batch(app, namespace, "dense", [asking("red")])["status"] == "completed"


def test_time_runs_out_while_texts_are_indexed(app: App) -> None:
    namespace = stocked(app, "late", lexical())
    answer = run_batch(
        app, namespace, "nearest", [asking("red"), asking("blue")], deadline=Deadline.after(0)
    )
    assert [result["status"] for result in answer["results"]] == ["timed_out", "timed_out"]
    assert answer["unprocessed"] == [0, 1]
    after = run_batch(app, namespace, "nearest", [asking("red")])
    assert after["status"] == "completed"


class PausedText(TantivyText):
    """Begins to build when let go, and says whether it was told to stop by then."""

    def __init__(self) -> None:
        self.gate, self.ended = threading.Event(), threading.Event()
        self.told: bool | None = None

    def build(
        self, documents: Iterable[Sequence[str]], *, stop: Callable[[], bool] = lambda: False
    ) -> TextIndex:
        self.gate.wait(20)
        self.told = stop()
        self.ended.set()
        return super().build(documents, stop=stop)


def test_a_search_that_the_stage_gave_up_builds_no_further(app: App) -> None:
    namespace = stocked(app, "paused", DENSE, lexical(), hard_timeout_ms=700)
    paused = PausedText()
    services = replace(app._services, texts=TextIndexes(paused, 1 << 30))
    engine = Engine(services, app.engine._planner, app.engine._delivery)
    request = parse_model(BatchRequest, {"queries": [asking("red")]})
    answer = asyncio.run(engine.execute_batch(namespace, "nearest", request, deadline=NEVER))
    paused.gate.set()
    result = answer["results"][0]
    assert [reason["code"] for reason in result["incomplete"]] == ["stage_timeout"]
    assert {name for d in result["documents"] for name in d["features"]} == {"emb"}
    assert paused.ended.wait(20)
    assert paused.told is True
