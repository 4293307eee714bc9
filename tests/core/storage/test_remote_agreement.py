"""Whatever is written, merged, swept and asked: vectors outside answer as those in segments do."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.runtime import remote_searching
from core.storage.segment_files import WRITE_WINDOW_S
from core.storage.segments import StoredDocument
from core.storage.upkeep import SWEEP_AGE_S
from core.types import JsonObject, Metric, VectorSpec
from tests.core.storage.doubles import EAGER, World, doc
from tests.core.storage.remote_worlds import PLACE, RemoteWorld, search
from tests.s3vectors_fake import Fault

# No two directions alike, so that no order hangs on the last bit of a score.
VECTORS = [(1.0, n * 0.37, (n * n) % 5 - 1.7) for n in range(12)]
ids = st.sampled_from([f"d{n}" for n in range(9)])
brands = st.sampled_from(["x", "y", None, ["x", "z"], 1, "absent"])
documents = st.builds(
    lambda one, vector, brand, price: (one, vector, brand, price),
    ids,
    st.one_of(st.none(), st.integers(0, len(VECTORS) - 1)),
    brands,
    st.integers(0, 9),
)
writes = st.lists(documents, min_size=1, max_size=6, unique_by=lambda one: one[0])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("upsert"), writes),
        st.tuples(st.just("delete"), st.lists(ids, min_size=1, max_size=3)),
        st.tuples(st.just("merge"), st.none()),
        st.tuples(st.just("sweep"), st.none()),
        st.tuples(st.just("fail"), writes),
        st.tuples(st.just("litter"), writes),
    ),
    min_size=1,
    max_size=10,
)
FILTERS: list[JsonObject | None] = [
    None,
    {"field": "brand", "operator": "eq", "value": "x"},
    {"field": "brand", "operator": "nin", "value": ["x", 1]},
    {"field": "price", "operator": "gt", "value": 4},
    {"field": "note", "operator": "regex", "value": "^[a-m]"},
    {"NOT": [{"field": "brand", "operator": "exists", "value": True}]},
]


def stored(items: list[Any]) -> list[StoredDocument]:
    """The documents as they are written."""
    made = []
    for one, vector, brand, price in items:
        fields = {"price": price, "note": chr(97 + 3 * price)}
        if brand != "absent":
            fields["brand"] = brand
        made.append(doc(one, None if vector is None else VECTORS[vector], **fields))
    return made


def apply(world: World, step: str, what: Any) -> None:
    """Take one step; `fail` is a write that is not made, `litter` one whose cleaning fails."""
    if step in ("upsert", "litter"):
        world.store.upsert(*PLACE, stored(what))
    elif step == "delete":
        world.store.delete(*PLACE, what)
    elif step == "merge":
        world.store.merge(*PLACE)
    elif step == "sweep":
        world.now += SWEEP_AGE_S + WRITE_WINDOW_S + 1
        world.store.sweep(*PLACE)


def apply_outside(world: RemoteWorld, step: str, what: Any) -> None:
    """Take the same step where it may fail half way."""
    refused = "DeleteVectors" if step == "litter" else None

    def before(name: str, _request: JsonObject) -> None:
        if name == refused:
            raise Fault("ServiceUnavailableException")

    world.fake.before = before
    if step == "fail":
        lost: list[int] = []

        def refuse() -> None:
            lost.append(1)
            raise RuntimeError("the process ended here")

        world.records.before = refuse
        with pytest.raises(RuntimeError):
            world.store.upsert(*PLACE, stored(what))
        world.records.before = lambda: None
    else:
        apply(world, step, what)


@pytest.mark.parametrize("most_read", [500, -1])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_answers_are_those_of_the_embedded_engine(
    metric: Metric, most_read: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_searching, "MAX_READ", most_read)

    @settings(derandomize=True, deadline=None, max_examples=20)
    @given(steps)
    def check(taken: list[Any]) -> None:
        inside, outside = World(EAGER), RemoteWorld(EAGER, metric)
        inside.store.create(*PLACE, [VectorSpec("v", 3, metric)])
        for step, what in taken:
            apply(inside, step, what)
            apply_outside(outside, step, what)
        for filters in FILTERS:
            for query in ((1.0, 0.2, 0.1), (-0.4, 1.0, 2.0)):
                wanted = search(inside.reopen(), query, 7, filters).hits[0]
                got = search(outside.reopen(), query, 7, filters).hits[0]
                assert [hit.document_id for hit in got] == [hit.document_id for hit in wanted]
                scores = [hit.score for hit in wanted]
                assert [hit.score for hit in got] == pytest.approx(scores, abs=1e-5)

    check()
