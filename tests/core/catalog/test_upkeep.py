"""Upkeep: every collection, whatever happens to one of them, while there is time."""

from collections.abc import Callable
from typing import Any

import pytest

from core.app import App
from core.catalog.upkeep import Upkeep
from core.deadline import NEVER, Deadline
from core.errors import UnavailableError
from core.models.collections import CollectionCreate
from core.models.namespaces import Namespace
from core.storage.collections import CollectionStore
from core.storage.segment_cache import SegmentCache
from core.storage.segment_files import collection_folder
from core.storage.upkeep import SWEEP_AGE_S
from tests.core.storage.doubles import EAGER, doc

NAMES = ("logos", "photos", "songs")


class Stores:
    """The app's store without merging after writes, and others with another clock or policy."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.lazy = self.make(None)

    def make(self, policy: Any, clock: Callable[[], float] | None = None) -> CollectionStore:
        """Return a store of the same data."""
        options: dict[str, Any] = {} if clock is None else {"clock": clock}
        index = self._app.buckets.bucket("index")
        cache = SegmentCache()
        return CollectionStore(self._app.records, index, cache, merge_policy=policy, **options)

    def upkeep(self, store: CollectionStore) -> Upkeep:
        """Return the upkeep of that store."""
        app = self._app
        return Upkeep(app.namespaces, app.collections, store, app.records, app.buckets)


@pytest.fixture
def stores(app: App, namespace: Namespace) -> Stores:
    """Three collections of six small segments each."""
    made = Stores(app)
    for name in NAMES:
        one = app.collections.create("space", CollectionCreate(collection_name=name))
        for n in range(6):
            made.lazy.upsert("space", one.collection_id, [doc(f"d{n}", [n, 1.0], n=n)])
    return made


def documents(app: App, stores: Stores) -> dict[str, list[str]]:
    """Return what each collection holds."""
    return {
        one.collection_name: [
            name for name, _ in stores.make(None).snapshot("space", one.collection_id).refs()
        ]
        for one in app.collections.all("space")
    }


def test_what_is_due_is_merged_and_nothing_else_changes(app: App, stores: Stores) -> None:
    before = documents(app, stores)
    report = stores.upkeep(stores.make(EAGER)).run(deadline=NEVER)
    assert (len(report.collections), report.unreached, report.faults) == (4, 0, ())
    assert [one.collection for one in report.collections if one.merged] == list(NAMES)
    assert documents(app, stores) == before
    again = stores.upkeep(stores.make(EAGER)).run(deadline=NEVER)
    assert again.to_json()["details"] == []


def test_one_collections_failure_stops_none_of_the_others(app: App, stores: Stores) -> None:
    store = stores.make(EAGER)
    bad = app.collections.find("space", "photos").collection_id
    merge, sweep = store.merge_due, store.sweep

    def fail(namespace_id: str, collection_id: str) -> bool:
        if collection_id == bad:
            raise ZeroDivisionError("a defect")
        return merge(namespace_id, collection_id)

    def refuse(namespace_id: str, collection_id: str, **_: Any) -> int:
        if collection_id == bad:
            raise UnavailableError("no answer")
        return sweep(namespace_id, collection_id)

    patched: Any = store
    patched.merge_due, patched.sweep = fail, refuse
    report = stores.upkeep(store).run(deadline=NEVER)
    [failed] = report.failures
    assert failed.collection == "photos"
    assert "unexpected ZeroDivisionError" in str(failed.error)
    assert "no answer" in str(failed.error)
    merged = [one.collection for one in report.collections if one.merged]
    assert merged == ["logos", "songs"]


def test_a_damaged_segment_is_reported_and_the_others_are_merged(app: App, stores: Stores) -> None:
    index = app.buckets.bucket("index")
    bad = app.collections.find("space", "logos").collection_id
    key = next(iter(index.list(f"space/collections/{bad}/"))).key
    index.put(key, b"rubbish" * 100)
    report = stores.upkeep(stores.make(EAGER)).run(deadline=NEVER)
    assert [one.collection for one in report.failures] == ["logos"]
    assert sum(one.merged for one in report.collections) == 2


def test_dropped_collections_and_crashed_writers_leave_nothing(app: App, stores: Stores) -> None:
    index = app.buckets.bucket("index")
    gone = app.collections.find("space", "songs").collection_id
    kept = {info.key: index.get(info.key) for info in index.list(f"space/collections/{gone}/")}
    app.collections.delete("space", "songs")
    # As if whoever dropped it had been killed before its segments went.
    for key, data in kept.items():
        index.put(key, data)
    at_once = stores.upkeep(stores.make(None)).run(deadline=NEVER)
    assert sum(one.swept for one in at_once.collections) == 0
    later = stores.make(None, clock=lambda: _now(kept) + SWEEP_AGE_S + 60)
    report = stores.upkeep(later).run(deadline=NEVER)
    assert {one.collection: one.swept for one in report.collections if one.swept} == {gone: 6}
    assert list(index.list(f"space/collections/{gone}/")) == []
    assert len(documents(app, stores)["logos"]) == 6


def _now(keys: dict[str, bytes]) -> float:
    """Return when the last of these segments was made: its key says so."""
    return max(int(key.rpartition("/")[2][:12], 16) for key in keys) / 1000


def test_time_that_is_over_begins_no_collection(app: App, stores: Stores) -> None:
    report = stores.upkeep(stores.make(EAGER)).run(deadline=Deadline.after(0))
    assert (report.collections, report.unreached, report.purged) == ((), 4, 0)


def test_a_listing_that_fails_is_told_and_the_rest_goes_on(app: App, stores: Stores) -> None:
    def refuse() -> Any:
        raise UnavailableError("no answer")

    patched: Any = app.namespaces
    patched.all = refuse
    report = stores.upkeep(stores.make(EAGER)).run(deadline=NEVER)
    assert [fault.partition(":")[0] for fault in report.faults] == ["listing the collections"]
    # Those with segments are found by these.
    assert sum(one.merged for one in report.collections) == 3


def test_what_could_not_be_erased_is_no_success(app: App, stores: Stores) -> None:
    """Another merge goes first: a deletion may not be taken for done meanwhile."""
    logos = app.collections.find("space", "logos").collection_id
    busy = stores.lazy._upkeep._merging
    busy.add(collection_folder("space", logos))
    pauses: list[float] = []

    def leave_after_three(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            busy.clear()

    stores.lazy._upkeep._manifests._sleep = pauses.append
    report = stores.upkeep(stores.lazy).run(deadline=NEVER, erase=True)
    [failed] = report.failures
    assert (failed.collection, failed.merged) == ("logos", False)
    assert pauses
    pauses.clear()
    stores.lazy._upkeep._manifests._sleep = leave_after_three
    report = stores.upkeep(stores.lazy).run(deadline=NEVER, erase=True)
    assert [one.collection for one in report.collections if one.merged] == ["logos"]
    assert not report.failures
