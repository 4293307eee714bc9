"""The batch's promises (`docs/design.md`), each tested on a whole service with real storage."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from core.app import App
from core.deadline import NEVER, Deadline
from core.engine import Engine
from core.errors import DeadlineError, InvalidRequestError, MediaError, NotFoundError
from core.models.base import parse_model
from core.models.collections import CollectionCreate
from core.models.execution import BatchRequest
from core.models.namespaces import Namespace
from core.ports.media import Extraction
from core.types import JsonObject
from tests.core.service import (
    answer_of,
    make_namespace,
    make_retriever,
    random_documents,
    run_batch,
    run_single,
    running_app,
    search_stage,
    stage,
    upsert,
    vector_query,
)

BATCH_KEYS = {
    *("batch_id", "retriever_id", "retriever_name", "retriever_version", "status", "complete"),
    *("results", "unprocessed", "concurrency", "snapshots", "optimization_applied"),
    *("optimization_summary", "timing", "warnings"),
}
RESULT_KEYS = {
    *("index", "execution_id", "status", "complete", "incomplete", "documents", "total", "error"),
    *("evidence", "duplicate_of", "duration_ms", "stage_statistics", "facets", "warnings"),
    "limits",
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with running_app(tmp_path_factory.mktemp("data")) as app:
        yield app


@pytest.fixture(scope="module")
def shop(app: App) -> Namespace:
    namespace = make_namespace(app)
    upsert(app, namespace, random_documents(300))
    make_retriever(app, namespace, [search_stage(final_top_k=20)])
    return namespace


def test_the_answer_has_the_designed_shape(app: App, shop: Namespace) -> None:
    answer = run_batch(app, shop, "nearest", [vector_query(i) for i in range(7)])
    assert set(answer) == BATCH_KEYS
    assert answer["status"] == "completed"
    assert answer["complete"] is True
    assert [result["index"] for result in answer["results"]] == list(range(7))
    for result in answer["results"]:
        assert set(result) == RESULT_KEYS
        assert len(result["documents"]) == 10
        assert result["total"] == 20
        assert result["evidence"]["compared"] == 300
        assert result["evidence"]["exact"] is True
        assert result["evidence"]["best_score"] == result["documents"][0]["score"]
    assert orjson.loads(orjson.dumps(answer)) == answer


PIPELINES: Mapping[str, list[JsonObject]] = {
    "search": [search_stage(final_top_k=20)],
    "filtered": [
        search_stage(final_top_k=20),
        stage("attribute_filter", field="brand", operator="eq", value="acme"),
        stage("limit", limit=5),
    ],
    "grouped": [search_stage(final_top_k=50), stage("group_by", group_by_field="brand")],
    "sorted": [
        search_stage(final_top_k=30),
        stage("sort_attribute", field="price", direction="asc"),
        stage("limit", limit=8, offset=2),
    ],
    "diverse": [search_stage(final_top_k=30), stage("mmr", top_k=7)],
    "scanned": [
        stage("attribute_filter", field="price", operator="lt", value="{{INPUT.most}}"),
        stage("sort_attribute", field="price"),
    ],
}


@pytest.mark.parametrize("name", PIPELINES)
def test_a_batch_equals_its_queries_alone(app: App, name: str, tmp_path: Path) -> None:
    namespace = make_namespace(app, f"equal-{name}")
    upsert(app, namespace, random_documents(300))
    schema = {"most": {"type": "number", "default": 20}}
    make_retriever(app, namespace, PIPELINES[name], input_schema=schema)
    queries = [vector_query(i) for i in range(20)]
    queries += [vector_query(i, filters={"price": i}) for i in range(5)]
    together = run_batch(app, namespace, "nearest", queries, concurrency=20)
    for query, result in zip(queries, together["results"], strict=True):
        alone = run_batch(app, namespace, "nearest", [query])["results"][0]
        assert answer_of(result) == answer_of(alone)
        single = run_single(app, namespace, "nearest", query, limit=10)
        assert single["documents"] == result["documents"]
        assert single["evidence"] == result["evidence"]


def test_leading_searches_of_a_whole_batch_are_one_call(app: App, shop: Namespace) -> None:
    before = app._services.searches.calls
    run_batch(app, shop, "nearest", [vector_query(i) for i in range(50)], concurrency=2)
    assert app._services.searches.calls == before + 1


def test_a_siblings_failure_changes_nothing(app: App, shop: Namespace) -> None:
    good = [vector_query(i) for i in range(4)]
    alone = run_batch(app, shop, "nearest", good)
    bad: list[JsonObject] = [
        {"inputs": {"v": [1.0, 2.0]}},  # wrong dimension
        {"inputs": {"v": [float("nan")] * 8}},
        {"inputs": {}},  # the template names nothing
        {"inputs": {"v": "not a vector"}},
        {
            "inputs": vector_query(1)["inputs"],
            "filters": {"field": "a", "operator": "no", "value": 1},
        },
    ]
    mixed = run_batch(app, shop, "nearest", [bad[0], good[0], *bad[1:], *good[1:]])
    assert mixed["status"] == "partial"
    assert mixed["complete"] is False
    assert mixed["unprocessed"] == []
    good_at = [1, 6, 7, 8]
    for index, expected in zip(good_at, alone["results"], strict=True):
        assert answer_of(mixed["results"][index]) == answer_of(expected)
    for index in (0, 2, 3, 4, 5):
        result = mixed["results"][index]
        assert result["status"] == "failed"
        assert result["documents"] == []
        assert result["error"]["blame"] == "caller"
        assert result["error"]["retryable"] is False
        assert result["error"]["message"]


def test_equal_queries_run_once_and_say_so(app: App, shop: Namespace) -> None:
    first, other = vector_query(1), vector_query(2)
    queries = [first, other, first, first]
    answer = run_batch(app, shop, "nearest", queries)
    assert [r["duplicate_of"] for r in answer["results"]] == [None, None, 0, 0]
    assert len({r["execution_id"] for r in answer["results"]}) == 4
    assert answer_of(answer["results"][2]) == answer_of(answer["results"][0])
    assert answer["concurrency"]["peak"] == 2
    separate = run_batch(app, shop, "nearest", queries, settings={"dedupe": False})
    assert [r["duplicate_of"] for r in separate["results"]] == [None] * 4
    assert [answer_of(r) for r in separate["results"]] == [answer_of(r) for r in answer["results"]]


def test_ties_break_by_document_id(app: App, shop: Namespace) -> None:
    vector = random_documents(300)[0]["vectors"]["emb"]
    answer = run_batch(app, shop, "nearest", [{"inputs": {"v": vector}}])
    documents = answer["results"][0]["documents"]
    assert [d["document_id"] for d in documents] == sorted(d["document_id"] for d in documents)
    assert len({d["score"] for d in documents}) == 1


def test_a_write_is_seen_by_the_next_batch_and_not_by_a_running_one(app: App) -> None:
    namespace = make_namespace(app, "writes")
    upsert(app, namespace, random_documents(20))
    make_retriever(app, namespace, [search_stage(final_top_k=5)])
    before = run_batch(app, namespace, "nearest", [vector_query(0)])
    vector = vector_query(0)["inputs"]["v"]
    upsert(app, namespace, [{"document_id": "new", "vectors": {"emb": vector}}])
    after = run_batch(app, namespace, "nearest", [vector_query(0)])
    assert after["results"][0]["documents"][0]["document_id"] == "new"
    assert after["results"][0]["evidence"]["compared"] == 21
    assert after["snapshots"].keys() == before["snapshots"].keys()
    assert max(after["snapshots"].values()) > max(before["snapshots"].values())


def test_another_namespaces_documents_and_retrievers_are_not_there(
    app: App, shop: Namespace
) -> None:
    other = make_namespace(app, "other")
    with pytest.raises(NotFoundError):
        run_batch(app, other, "nearest", [vector_query(0)])
    make_retriever(app, other, [search_stage()])
    answer = run_batch(app, other, "nearest", [vector_query(0)])
    assert answer["results"][0]["documents"] == []
    assert answer["results"][0]["evidence"]["compared"] == 0


def test_vectors_leave_only_when_asked_for(app: App, shop: Namespace) -> None:
    plain = run_batch(app, shop, "nearest", [vector_query(0)])["results"][0]
    assert all("emb" not in d for d in plain["documents"])
    whole = run_batch(app, shop, "nearest", [vector_query(0)], return_vectors=True)["results"][0]
    stored = {d["document_id"]: d["vectors"]["emb"] for d in random_documents(300)}
    for document in whole["documents"]:
        assert document["emb"] == stored[document["document_id"]]


def test_documents_past_the_size_limit_move_out_whole(tmp_path: Path) -> None:
    with running_app(tmp_path, spill_bytes=20_000) as small:
        namespace = make_namespace(small)
        documents = random_documents(60)
        for document in documents:
            document["payload"]["text"] = "x" * 2_000
        upsert(small, namespace, documents)
        make_retriever(small, namespace, [search_stage(final_top_k=20)])
        queries = [vector_query(0), vector_query(1), vector_query(0)]
        answer = run_batch(small, namespace, "nearest", queries)
        assert len(orjson.dumps(answer)) < 20_000
        assert answer["complete"] is True
        moved = answer["results"][0]
        assert moved["documents"] == []
        assert moved["documents_count"] == 10
        assert moved["documents_url"] == answer["results"][2]["documents_url"]
        key = moved["documents_url"].split("/results/", 1)[1].split("?")[0]
        lines = small.buckets.bucket("results").get(key).splitlines()
        ids = [orjson.loads(line)["document_id"] for line in lines]
    with running_app(tmp_path) as large:
        whole = run_batch(large, namespace, "nearest", [vector_query(0)])["results"][0]
    assert ids == [d["document_id"] for d in whole["documents"]]


class StuckExtractor:
    """Blocks until its deadline, as a slow file does; `poison` raises at once."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self.lock = threading.Lock()

    def extract(self, extractor: str, data: bytes, *, deadline: Deadline, **_: Any) -> Extraction:
        if data == b"poison":
            raise MediaError("the file is truncated")
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        threading.Event().wait(min(deadline.remaining(), 5.0))
        with self.lock:
            self.running -= 1
        raise DeadlineError("time ran out while a file was read")

    def close(self) -> None:
        return None


def content_retriever(app: App, name: str) -> Namespace:
    namespace = make_namespace(app, name)
    extractor = {"feature_extractor_name": "image.pdq", "version": "v1"}
    body = {"collection_name": "pictures", "feature_extractor": extractor}
    app.collections.create(namespace.namespace_id, parse_model(CollectionCreate, body))
    uri = "mixpeek://image.pdq@v1/hash"
    query = {"input_mode": "content", "value": "{{INPUT.file}}"}
    search = stage("feature_search", searches=[{"feature_uri": uri, "query": query}])
    make_retriever(app, namespace, [search], collection_identifiers=["pictures"])
    return namespace


def engine_with(app: App, extractor: Any) -> Engine:
    services = replace(app._services, extractor=extractor)
    return Engine(services, app.engine._planner, app.engine._delivery)


def run_content(engine: Engine, namespace: Namespace, files: list[str], **more: Any) -> JsonObject:
    queries = [{"inputs": {"file": file}} for file in files]
    deadline = more.pop("deadline", NEVER)
    request = parse_model(BatchRequest, {"queries": queries, **more})
    return asyncio.run(engine.execute_batch(namespace, "nearest", request, deadline=deadline))


def test_the_answer_leaves_before_the_deadline_with_what_is_done(app: App) -> None:
    namespace = content_retriever(app, "slow")
    stuck = StuckExtractor()
    poison = "data:image/png;base64,cG9pc29u"
    slow = [f"data:image/png;base64,{i}AAA" for i in range(4)]
    answer = run_content(
        engine_with(app, stuck), namespace, [poison, *slow], settings={"deadline_ms": 300}
    )
    assert [r["status"] for r in answer["results"]] == ["failed", *["timed_out"] * 4]
    assert answer["status"] == "failed"
    assert answer["unprocessed"] == [1, 2, 3, 4]
    assert answer["results"][0]["error"]["blame"] == "media"
    assert answer["results"][0]["error"]["retryable"] is False
    assert answer["results"][1]["error"]["retryable"] is True
    assert all(r["evidence"]["exact"] is False for r in answer["results"])


def test_slow_files_never_exceed_the_concurrency(app: App) -> None:
    namespace = content_retriever(app, "bounded")
    stuck = StuckExtractor()
    files = [f"data:image/png;base64,{i:02}AA" for i in range(12)]
    answer = run_content(
        engine_with(app, stuck), namespace, files, concurrency=3, settings={"deadline_ms": 200}
    )
    assert stuck.most == 3
    assert answer["concurrency"] == {"requested": 3, "peak": 3}


def test_a_retrievers_own_time_limit_bounds_each_query(app: App) -> None:
    namespace = content_retriever(app, "budget")
    body = {"stages": app.retrievers.find(namespace.namespace_id, "nearest").stages}
    stages = [s.model_dump() for s in body["stages"]]
    make_retriever(
        app,
        namespace,
        stages,
        name="quick",
        collection_identifiers=["pictures"],
        budget_limits={"max_time_ms": 50},
    )
    engine = engine_with(app, StuckExtractor())
    request = parse_model(
        BatchRequest, {"queries": [{"inputs": {"file": "data:image/png;base64,AAAA"}}]}
    )
    answer = asyncio.run(engine.execute_batch(namespace, "quick", request, deadline=NEVER))
    assert answer["results"][0]["status"] == "timed_out"


def test_an_unknown_key_in_settings_is_named(app: App, shop: Namespace) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        run_batch(app, shop, "nearest", [vector_query(0)], settings={"limt": 3})
    assert caught.value.problems[0].path == "settings.limt"
    assert "limit" in caught.value.problems[0].accepted


def test_optimize_false_runs_the_plan_as_written(app: App) -> None:
    namespace = make_namespace(app, "written")
    upsert(app, namespace, random_documents(100))
    make_retriever(app, namespace, [*PIPELINES["sorted"], stage("limit", limit=3)])
    queries = [vector_query(i) for i in range(5)]
    fast = run_batch(app, namespace, "nearest", queries)
    slow = run_batch(app, namespace, "nearest", queries, settings={"optimize": False})
    assert slow["optimization_applied"] is False
    assert [answer_of(r)["documents"] for r in fast["results"]] == [
        answer_of(r)["documents"] for r in slow["results"]
    ]


def test_every_result_is_told_once_as_it_is_done(app: App, shop: Namespace) -> None:
    told: list[int] = []

    async def tell(result: JsonObject) -> None:
        told.append(result["index"])

    queries = [vector_query(i % 3) for i in range(6)]
    request = parse_model(BatchRequest, {"queries": queries})
    asyncio.run(app.engine.execute_batch(shop, "nearest", request, deadline=NEVER, on_result=tell))
    assert sorted(told) == list(range(6))


@pytest.mark.parametrize("place", ["stage", "query", "pre_filters"])
def test_what_names_a_document_can_be_filtered_on(app: App, shop: Namespace, place: str) -> None:
    wanted = ["d0003", "d0042", "d0299"]
    tree = {"field": "document_id", "operator": "in", "value": wanted}
    nearest = search_stage(final_top_k=20)
    stages: list[JsonObject] = [nearest]
    query = vector_query(0)
    if place == "stage":
        stages.append(stage("attribute_filter", **tree))
    elif place == "pre_filters":
        nearest["config"]["pre_filters"] = tree
    else:
        query["filters"] = tree
    make_retriever(app, shop, stages, name=f"ids-{place}")
    result = run_batch(app, shop, f"ids-{place}", [query])["results"][0]
    assert sorted(d["document_id"] for d in result["documents"]) == wanted
    assert result["evidence"]["compared"] == 3


def test_a_filter_on_the_collection_is_one_on_a_field(app: App, shop: Namespace) -> None:
    own = {"collection_id": shop.default_collection_id}
    both = [vector_query(0, filters=own), vector_query(0, filters={"NOT": own})]
    found, none = run_batch(app, shop, "nearest", both)["results"]
    assert (found["evidence"]["compared"], none["evidence"]["compared"]) == (300, 0)


def test_a_filter_on_a_field_that_no_document_has_says_so(app: App, shop: Namespace) -> None:
    queries = [
        vector_query(0, filters={"brnad": "acme", "price": 5}),
        vector_query(0, filters={"brand": "nobody"}),
        vector_query(0, filters={"brand": "acme"}),
    ]
    misspelt, nobody, found = run_batch(app, shop, "nearest", queries)["results"]
    said = "no document has the field 'brnad', which the filter names"
    assert said in misspelt["warnings"]
    assert misspelt["evidence"]["compared"] == nobody["evidence"]["compared"] == 0
    assert not [text for text in nobody["warnings"] if "no document has" in text]
    assert not [text for text in found["warnings"] if "no document has" in text]
