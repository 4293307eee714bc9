"""The batch's promises under faults: slow and broken storage, defects, stages that do not obey."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from core.app import App
from core.deadline import NEVER
from core.engine import Engine
from core.errors import UnavailableError
from core.hits import SearchAnswer
from core.models.base import parse_model
from core.models.collections import CollectionCreate
from core.models.documents import UpsertRequest
from core.models.execution import BatchRequest
from core.models.namespaces import Namespace
from core.ports.blobs import Blobs
from core.rows.row import Row, Rows
from core.runtime.pipeline import prepare_query
from core.stage import StageContext
from core.storage.collections import CollectionStore
from core.types import JsonObject
from tests.core.service import (
    answer_of,
    make_namespace,
    make_retriever,
    random_documents,
    run_batch,
    running_app,
    search_stage,
    stage,
    upsert,
    vector_query,
)


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


SPILL_BYTES = 36_000  # of five results and their 50 documents, some fit


def statuses(answer: JsonObject) -> list[str]:
    return [result["status"] for result in answer["results"]]


def test_a_defect_while_one_query_is_checked_stays_in_it(
    app: App, shop: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = [vector_query(i) for i in range(3)]
    alone = run_batch(app, shop, "nearest", queries)
    whole = prepare_query

    def defective(environment: Any, plan: Any, inputs: JsonObject, *rest: Any, **more: Any) -> Any:
        if inputs == queries[1]["inputs"]:
            raise ValueError("a defect of ours")
        return whole(environment, plan, inputs, *rest, **more)

    monkeypatch.setattr("core.runtime.query.prepare_query", defective)
    answer = run_batch(app, shop, "nearest", queries)
    assert statuses(answer) == ["completed", "failed", "completed"]
    assert "a defect of ours" not in str(answer["results"][1]["error"])
    for i in (0, 2):
        assert answer_of(answer["results"][i]) == answer_of(alone["results"][i])


def test_storage_that_does_not_answer_cannot_hold_the_answer_up(
    app: App, shop: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed = threading.Event()
    whole = CollectionStore.snapshot

    def stuck(store: CollectionStore, *place: str) -> Any:
        freed.wait(10)
        return whole(store, *place)

    monkeypatch.setattr(CollectionStore, "snapshot", stuck)
    started = time.monotonic()
    try:
        with pytest.raises(UnavailableError) as caught:
            run_batch(app, shop, "nearest", [vector_query(0)], settings={"deadline_ms": 200})
        assert time.monotonic() - started < 5
    finally:
        freed.set()
    assert caught.value.retry_after_seconds is not None


class BucketDouble:
    """A results bucket whose `put` does something first."""

    def __init__(self, blobs: Blobs, before_put: Callable[[], object]) -> None:
        self.bucket = "results"
        self.before_put = before_put
        self.presign = blobs.presign
        self._put = blobs.put

    def put(self, *given: Any, **more: Any) -> Any:
        self.before_put()
        return self._put(*given, **more)


def engine_spilling(app: App, before_put: Callable[[], object]) -> Engine:
    """Return an engine whose answers of five results are a little too large."""
    blobs: Any = BucketDouble(app.engine._delivery.results, before_put)
    delivery = replace(app.engine._delivery, results=blobs, spill_bytes=SPILL_BYTES)
    return Engine(app._services, app.engine._planner, delivery)


def batch_of(engine: Engine, namespace: Namespace, count: int, **more: Any) -> JsonObject:
    queries = [vector_query(i, filters=None) for i in range(count)]
    request = parse_model(BatchRequest, {"queries": queries, **more})
    return asyncio.run(engine.execute_batch(namespace, "nearest", request, deadline=NEVER))


def test_a_results_bucket_that_hangs_costs_only_what_does_not_fit(
    app: App, shop: Namespace
) -> None:
    freed = threading.Event()
    engine = engine_spilling(app, lambda: freed.wait(10))
    started = time.monotonic()
    try:
        answer = batch_of(engine, shop, 5, settings={"deadline_ms": 1000})
        assert time.monotonic() - started < 5
    finally:
        freed.set()
    assert set(statuses(answer)) == {"completed", "timed_out"}
    assert answer["complete"] is False
    late = [r["index"] for r in answer["results"] if r["status"] == "timed_out"]
    assert answer["unprocessed"] == late
    for result in answer["results"]:
        assert bool(result["documents"]) is (result["status"] == "completed")


def test_a_results_bucket_that_breaks_costs_only_what_does_not_fit(
    app: App, shop: Namespace
) -> None:
    def broken() -> None:
        raise OSError("no space left on /a/secret/place")

    answer = batch_of(engine_spilling(app, broken), shop, 5)
    assert set(statuses(answer)) == {"completed", "failed"}
    failed = next(r for r in answer["results"] if r["status"] == "failed")
    assert failed["error"]["retryable"] is True
    assert "secret" not in failed["error"]["message"]


def test_documents_that_were_streamed_are_not_stored_again(app: App, shop: Namespace) -> None:
    def unwanted() -> None:
        raise AssertionError("stored, though every document was sent")

    async def tell(_: JsonObject) -> None:
        return None

    request = parse_model(BatchRequest, {"queries": [vector_query(i) for i in range(5)]})
    engine = engine_spilling(app, unwanted)
    work = engine.execute_batch(shop, "nearest", request, deadline=NEVER, on_result=tell)
    assert statuses(asyncio.run(work)) == ["completed"] * 5


def test_searches_that_cannot_be_merged_keep_to_the_concurrency(
    app: App, shop: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches = app._services.searches
    whole, lock = searches._search, threading.Lock()
    running = most = 0

    def counted(*given: Any) -> Any:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.01)
        try:
            return whole(*given)
        finally:
            with lock:
                running -= 1

    monkeypatch.setattr(searches, "_search", counted)
    filters = [{"field": "price", "operator": "gte", "value": i} for i in range(12)]
    queries = [vector_query(i, filters=one) for i, one in enumerate(filters)]
    answer = run_batch(app, shop, "nearest", queries, concurrency=2)
    assert statuses(answer) == ["completed"] * 12
    # Those begun ahead, and those of the queries whose turn it is.
    assert most <= 4


def with_stage(app: App, namespace: Namespace, run: Callable[..., Any]) -> Engine:
    """Return an engine whose plan of `nearest` has its second stage run so."""
    plan, _ = app.engine._planner.load(namespace, "nearest", optimized=False)
    head, second = plan.stages
    changed = replace(plan, stages=(head, replace(second, stage=replace(second.stage, run=run))))
    planner: Any = PlannerDouble(changed)
    return Engine(app._services, planner, app.engine._delivery)


class PlannerDouble:
    def __init__(self, plan: Any) -> None:
        self.plan = plan

    def load(self, *_: Any, **__: Any) -> Any:
        return self.plan, "memory"


@pytest.fixture(scope="module")
def two_stages(app: App) -> Namespace:
    namespace = make_namespace(app, "two-stages")
    upsert(app, namespace, random_documents(50))
    make_retriever(app, namespace, [search_stage(), stage("limit", limit=5)])
    return namespace


def test_a_stage_that_swallows_a_cancellation_does_not_outlive_the_answer(
    app: App, two_stages: Namespace
) -> None:
    left: list[int] = []

    async def stubborn(_: Any, rows: Rows, __: StageContext) -> Rows:
        for _ in range(3):
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                continue
        return rows

    async def work() -> JsonObject:
        engine = with_stage(app, two_stages, stubborn)
        queries = [vector_query(i) for i in range(3)]
        body = {"queries": queries, "settings": {"deadline_ms": 100, "optimize": False}}
        request = parse_model(BatchRequest, body)
        answer = await engine.execute_batch(two_stages, "nearest", request, deadline=NEVER)
        left.append(len(asyncio.all_tasks()) - 1)
        return answer

    answer = asyncio.run(work())
    assert [r["index"] for r in answer["results"]] == [0, 1, 2]
    assert left == [0]


@pytest.mark.parametrize("value", [2**80, float("nan").hex, {1, 2}])
def test_what_json_cannot_hold_fails_its_own_query(
    app: App, two_stages: Namespace, value: object
) -> None:
    async def odd(_: Any, rows: Rows, ctx: StageContext) -> Sequence[Row]:
        if ctx.inputs["odd"]:
            changes: Any = {"made": value}
            return [row.with_fields(changes) for row in rows]
        return rows

    queries = [vector_query(i) for i in range(3)]
    for i, query in enumerate(queries):
        query["inputs"]["odd"] = i == 1
    request = parse_model(BatchRequest, {"queries": queries, "settings": {"optimize": False}})
    engine = with_stage(app, two_stages, odd)
    work = engine.execute_batch(two_stages, "nearest", request, deadline=NEVER)
    assert statuses(asyncio.run(work)) == ["completed", "failed", "completed"]


def test_a_pinned_collection_is_found_while_another_is_being_opened(
    app: App, shop: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop must not wait for a thread that storage holds up."""
    from core.runtime.environment import Environment

    def unwanted(_: Any) -> Any:
        raise AssertionError("no plan is loaded here")

    environment = Environment(app._services, shop, unwanted)
    (pinned,) = environment.pin([shop.default_collection_id])
    found: list[Any] = []

    def look() -> None:
        found.extend(environment.pin([shop.default_collection_id]))

    with environment._lock:
        thread = threading.Thread(target=look)
        thread.start()
        thread.join(5)
        assert found == [pinned]


def collection(app: App, namespace: Namespace, name: str, spec: JsonObject, count: int) -> None:
    """Make a collection of one vector; its documents d0, d1, … have the vector's first axis."""
    body = {"collection_name": name, "vector_configs": [spec]}
    app.collections.create(namespace.namespace_id, parse_model(CollectionCreate, body))
    vector = [1.0, *[0.0] * (spec["dimension"] - 1)]
    documents = [{"document_id": f"d{i}", "vectors": {spec["name"]: vector}} for i in range(count)]
    if documents:
        request = {"documents": documents, "collection_id": name}
        app.documents.upsert(namespace, parse_model(UpsertRequest, request), deadline=NEVER)


@pytest.fixture(scope="module")
def several(app: App) -> Namespace:
    namespace = make_namespace(app, "several")
    emb = {"name": "emb", "dimension": 8}
    collection(app, namespace, "alike", emb, 2)
    collection(app, namespace, "bare", emb, 0)
    collection(app, namespace, "strangers", {"name": "other", "dimension": 8}, 3)
    collection(app, namespace, "short", {**emb, "dimension": 4}, 1)
    collection(app, namespace, "distances", {**emb, "metric": "euclidean"}, 1)
    return namespace


@pytest.mark.parametrize("names", [["alike", "strangers"], ["strangers", "alike"]])
def test_a_collection_that_has_no_such_vector_makes_a_no_match_incomplete(
    app: App, several: Namespace, names: list[str]
) -> None:
    label = "-".join(names)
    make_retriever(app, several, [search_stage()], label, collection_identifiers=names)
    answer = run_batch(app, several, label, [vector_query(0), vector_query(1)])
    assert answer["complete"] is False
    for result in answer["results"]:
        assert result["status"] == "completed"
        (why,) = result["incomplete"]
        assert why["code"] == "collection_not_searched"
        assert "none of its 3" in why["message"]


def test_an_empty_collection_leaves_nothing_out(app: App, several: Namespace) -> None:
    make_retriever(app, several, [search_stage()], "x", collection_identifiers=["alike", "bare"])
    assert run_batch(app, several, "x", [vector_query(0)])["complete"] is True


@pytest.mark.parametrize("other", ["short", "distances"])
def test_vectors_that_cannot_be_compared_are_not_ranked_together(
    app: App, several: Namespace, other: str
) -> None:
    names = ["alike", other]
    make_retriever(app, several, [search_stage()], other, collection_identifiers=names)
    answer = run_batch(app, several, other, [vector_query(0)])
    error = answer["results"][0]["error"]
    assert error["details"]["validation_errors"][0]["type"] == "not_comparable"
    one_by_one = search_stage()
    (entry,) = one_by_one["config"]["parameters"]["searches"]
    entry["collection_identifiers"] = ["alike"]
    label = f"{other}-apart"
    make_retriever(app, several, [one_by_one], label, collection_identifiers=[other, "alike"])
    assert run_batch(app, several, label, [vector_query(0)])["results"][0]["total"] == 2


def test_an_input_that_only_the_querys_filter_reads_is_not_called_unused(
    app: App, shop: Namespace
) -> None:
    query = vector_query(0, filters={"field": "brand", "operator": "eq", "value": "{{INPUT.b}}"})
    query["inputs"] |= {"b": "acme", "c": 1}
    (result,) = run_batch(app, shop, "nearest", [query])["results"]
    assert [text for text in result["warnings"] if "used by no stage" in text] == [
        "input 'c' is used by no stage"
    ]


def test_what_is_not_proven_is_not_complete(
    app: App, two_stages: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches = app._services.searches
    whole = searches._search

    def unproven(*given: Any) -> list[SearchAnswer]:
        return [
            replace(answer, evidence=replace(answer.evidence, exact=False))
            for answer in whole(*given)
        ]

    monkeypatch.setattr(searches, "_search", unproven)
    (result,) = run_batch(app, two_stages, "nearest", [vector_query(0)])["results"]
    assert result["complete"] is False
    assert [why["code"] for why in result["incomplete"]] == ["approximate"]
    enrich = stage(
        "document_enrich", retriever_id="nearest", retriever_inputs={"v": "{{INPUT.v}}"},
        output_field="inner",
    )  # fmt: skip  # one call
    scan = stage("attribute_filter", field="price", operator="gte", value=0)
    make_retriever(app, two_stages, [scan, stage("limit", limit=1), enrich], "outer")
    (outer,) = run_batch(app, two_stages, "outer", [vector_query(0)])["results"]
    assert outer["status"] == "completed", outer["error"]
    assert {"approximate"} == {why["code"] for why in outer["incomplete"]}


def test_filters_that_take_long_to_read_hold_nobody_else_up(
    app: App, shop: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[int] = set()
    whole = prepare_query

    def watched(*given: Any, **more: Any) -> Any:
        threads.add(threading.get_ident())
        return whole(*given, **more)

    monkeypatch.setattr("core.runtime.query.prepare_query", watched)
    tree = {"OR": [{"field": "price", "operator": "eq", "value": i} for i in range(900)]}
    queries = [vector_query(i, filters=tree if i else None) for i in range(4)]
    answer = run_batch(app, shop, "nearest", queries)
    assert statuses(answer) == ["completed"] * 4
    assert threading.get_ident() not in threads
    hurried = run_batch(app, shop, "nearest", queries * 12, settings={"deadline_ms": 1})
    assert set(statuses(hurried)) == {"timed_out"}
    assert hurried["unprocessed"] == list(range(48))
