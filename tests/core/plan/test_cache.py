"""The plan cache: three levels, one build, and whatever is stored never costs an answer."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.adapters.blobs_directory import DirectoryBlobStores
from core.adapters.records_sqlite import SqliteRecords
from core.errors import InvalidRequestError, UnavailableError
from core.models.base import parse_model
from core.models.retriever import Retriever
from core.plan.build import build_plan
from core.plan.cache import PlanCache, PlanKey
from core.plan.nodes import Plan
from core.ports.blobs import Blobs
from core.ports.records import Put, Records
from core.types import JsonObject

KEY = PlanKey("ns_a", "ret_1", 3, "7", optimized=True)


def make_plan(namespace: str = "ns_a", note: str = "") -> Plan:
    search = {"feature_uri": "emb", "query": {"input_mode": "vector", "value": "{{INPUT.v}}"}}
    filters = {"field": "brand", "operator": "ne", "value": f"acme{note}"}
    parameters = {"searches": [search], "final_top_k": 5}
    config = {"stage_id": "feature_search", "parameters": parameters, "pre_filters": filters}
    body = {
        "retriever_id": "ret_1",
        "namespace_id": namespace,
        "retriever_name": "nearest",
        "version": 3,
        "collection_ids": ["col_1"],
        "stages": [{"stage_name": "search", "config": config}],
    }
    return build_plan(parse_model(Retriever, body))


@pytest.fixture
def places(tmp_path: Path) -> tuple[Records, Blobs]:
    stores = DirectoryBlobStores(tmp_path / "b", signing_key=b"k" * 32, base_url="http://x")
    return SqliteRecords(tmp_path / "records.sqlite"), stores.bucket("index")


def unwanted() -> Plan:
    raise AssertionError("the plan was there already")


def test_a_plan_is_found_in_the_process_then_in_records(places: tuple[Records, Blobs]) -> None:
    cache, plan = PlanCache(*places), make_plan()
    assert cache.find(KEY, lambda: plan)[1] == "built"
    assert cache.find(KEY, unwanted)[1] == "memory"
    found, level = PlanCache(*places).find(KEY, unwanted)
    assert (found.plan, level) == (plan, "records")


def test_a_plan_too_large_for_a_record_lies_in_blobs(places: tuple[Records, Blobs]) -> None:
    plan = make_plan(note="x" * 500_000)
    PlanCache(*places).find(KEY, lambda: plan)
    found, level = PlanCache(*places).find(KEY, unwanted)
    assert (found.plan, level) == (plan, "blobs")
    places[1].delete(KEY.blob)
    assert PlanCache(*places).find(KEY, lambda: plan)[1] == "built"


@pytest.mark.parametrize(
    "change",
    [
        {"namespace_id": "ns_b"},
        {"retriever_id": "ret_2"},
        {"retriever_version": 4},
        {"planner_version": "8"},
        {"optimized": False},
    ],
)
def test_whatever_it_is_made_from_makes_another_plan(
    places: tuple[Records, Blobs], change: dict[str, Any]
) -> None:
    cache = PlanCache(*places)
    cache.find(KEY, make_plan)
    assert cache.find(replace(KEY, **change), make_plan)[1] == "built"


def spoilt(change: Callable[[JsonObject], object]) -> Callable[[JsonObject], JsonObject]:
    def make(value: JsonObject) -> JsonObject:
        change(value["plan"])
        return value

    return make


SPOILT: dict[str, Callable[[JsonObject], JsonObject]] = {
    "another form": lambda _: {"plan": {"x": 1}},
    "nothing": lambda _: {"plan": None},
    "no stages": spoilt(lambda plan: plan.update(stages=[])),
    "an unknown stage": spoilt(lambda plan: plan["stages"][0].update(stage_id="telepathy")),
    "an unknown parameter": spoilt(lambda plan: plan["stages"][0].update(parameters={"x": 1})),
    "a broken template": spoilt(lambda plan: plan["stages"][0]["parameters"].update(a="{{")),
    "another tenant's": spoilt(lambda plan: plan.update(namespace_id="ns_b")),
    "another version": spoilt(lambda plan: plan.update(retriever_version=2)),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_stored_plan_of_no_use_is_built_again_and_replaced(
    places: tuple[Records, Blobs], name: str
) -> None:
    plan = make_plan()
    PlanCache(*places).find(KEY, lambda: plan)
    record = places[0].get(KEY.partition, KEY.name)
    assert record is not None
    places[0].put(Put(KEY.partition, KEY.name, SPOILT[name](dict(record.value))))
    found, level = PlanCache(*places).find(KEY, lambda: plan)
    assert (found.plan, level) == (plan, "built")
    assert PlanCache(*places).find(KEY, unwanted)[1] == "records"


class DeadRecords:
    """Records that do not answer."""

    def get(self, *_: object) -> object:
        raise UnavailableError("no answer")

    def put(self, *_: object) -> object:
        raise UnavailableError("no answer")


def test_a_store_that_does_not_answer_costs_no_plan(places: tuple[Records, Blobs]) -> None:
    dead: Any = DeadRecords()
    cache = PlanCache(dead, places[1])
    assert cache.find(KEY, make_plan)[1] == "built"
    assert cache.find(KEY, unwanted)[1] == "memory"


def test_one_build_for_all_who_ask_at_once(places: tuple[Records, Blobs]) -> None:
    cache, builds, first = PlanCache(*places), [0], threading.Event()

    def build() -> Plan:
        builds[0] += 1
        first.wait(0.05)
        return make_plan()

    with ThreadPoolExecutor(8) as pool:
        levels = [f.result()[1] for f in [pool.submit(cache.find, KEY, build) for _ in range(8)]]
    assert builds == [1]
    assert sorted(levels) == ["built", *["memory"] * 7]


def test_a_build_that_fails_is_not_kept(places: tuple[Records, Blobs]) -> None:
    cache = PlanCache(*places)

    def fail() -> Plan:
        raise InvalidRequestError("no such vector")

    for _ in range(2):
        with pytest.raises(InvalidRequestError):
            cache.find(KEY, fail)
    assert cache.find(KEY, make_plan)[1] == "built"


def test_the_least_recently_used_leaves_the_process_first(places: tuple[Records, Blobs]) -> None:
    cache = PlanCache(*places, capacity=2)
    keys = [replace(KEY, planner_version=str(n)) for n in range(3)]

    def ask(order: str) -> Iterator[str]:
        return (cache.find(keys[int(n)], make_plan)[1] for n in order)

    assert list(ask("01020")) == ["built", "built", "memory", "built", "memory"]
    assert list(ask("1")) == ["records"]
