"""Text indexes of snapshots: whose words, in which layout, built how often, ended by whom."""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.adapters.text_tantivy import TantivyText
from core.deadline import NEVER, Deadline
from core.errors import DeadlineError
from core.filtering.conditions import parse_filter
from core.filtering.operators import matches
from core.hits import SearchAnswer, TextRequest
from core.ports.text import TextIndex
from core.rows.row import Source
from core.runtime.texts import TextIndexes, search_texts, texts_of
from core.storage.segments import StoredDocument
from core.storage.snapshot import Snapshot
from core.types import JsonObject
from tests.core.bm25 import bm25_scores
from tests.core.storage.doubles import World, doc


def go_on() -> bool:
    return False


def ask(
    indexes: TextIndexes, snapshots: Sequence[Snapshot], text: str, k: int = 100, **more: Any
) -> SearchAnswer:
    names = tuple(snapshot.collection_id for snapshot in snapshots)
    request = TextRequest(names, text, k, **more)
    return search_texts(indexes, snapshots, request, NEVER, go_on)


def found(answer: SearchAnswer) -> list[tuple[str, float]]:
    return [(hit.document_id, hit.score) for hit in answer.hits[0]]


def indexes_of(max_bytes: int = 1 << 30) -> TextIndexes:
    return TextIndexes(TantivyText(), max_bytes)


# --- which strings are words --------------------------------------------------------------------


def test_strings_at_any_depth_and_nothing_of_the_service() -> None:
    fields: JsonObject = {
        "title": "red cat",
        "n": 7,
        "none": None,
        "yes": True,
        "empty": "",
        "tags": ["a", {"b": "c", "d": ["e", 1]}],
        "meta": {"document_id": "kept", "_internal": "kept too"},
        "sku_id": "A-7",
        "url": "s3://bucket/key.png",
        "links": ["HTTPS://example.com/a", "http://x", "data:image/png;base64,AAAA"],
        "said": "https://example.com is good",
        "_internal": {"metadata": {"x": "hidden"}},
        "document_id": "hidden",
        "collection_id": "hidden",
        "document_blobs": [{"url": "x", "type": "hidden"}],
    }
    assert texts_of(fields) == [
        *("red cat", "a", "c", "e", "kept", "kept too", "A-7"),
        "https://example.com is good",
    ]


# --- layouts ------------------------------------------------------------------------------------

WORDS = st.sampled_from(["cat", "dog", "bird", "fish", "tree"])
TEXT = st.lists(WORDS, max_size=5).map(" ".join)
WRITES = st.lists(
    st.one_of(
        st.dictionaries(st.sampled_from("abcdefgh"), TEXT, min_size=1, max_size=4),
        st.sets(st.sampled_from("abcdefgh"), min_size=1, max_size=3),  # deletes
        st.just("merge"),
    ),
    max_size=7,
)


def write(world: World, writes: Sequence[Any]) -> dict[str, str]:
    """Write, and return what then lives."""
    world.store.create("ns", "col", None)
    live: dict[str, str] = {}
    for one in writes:
        if isinstance(one, dict):
            documents = [doc(name, t=text, n=ord(name)) for name, text in one.items()]
            world.store.upsert("ns", "col", documents)
            live |= one
        elif isinstance(one, set):
            world.store.delete("ns", "col", one)
            live = {name: text for name, text in live.items() if name not in one}
        else:
            world.store.merge("ns", "col")
    return live


@settings(derandomize=True, deadline=None, max_examples=40)
@given(WRITES, TEXT, st.integers(1, 9))
def test_answers_follow_from_what_lives_however_it_was_written(
    writes: list[Any], query: str, k: int
) -> None:
    layered, plain = World(), World()
    live = write(layered, writes)
    write(plain, [live] if live else [])
    snapshot = layered.store.snapshot("ns", "col")
    once = plain.store.snapshot("ns", "col")
    condition = {"field": "n", "operator": "gte", "value": ord("c")}
    for filter_ in (None, parse_filter(condition)):
        answer = ask(indexes_of(), [snapshot], query, k, filter=filter_)
        again = ask(indexes_of(), [once], query, k, filter=filter_)
        assert found(answer) == found(again)
        assert answer.evidence == again.evidence
        assert answer.evidence.exact
        names = sorted(live)
        scores = bm25_scores([[live[name]] if live[name] else [] for name in names], query)
        passing = {
            name: score
            for name, score in zip(names, scores, strict=True)
            if filter_ is None or matches(filter_, {"n": ord(name)})
        }
        assert answer.evidence.compared == sum(bool(live[name]) for name in passing)
        best = sorted((s for s in passing.values() if s), reverse=True)[:k]
        assert [score for _, score in found(answer)] == pytest.approx(best, rel=1e-5)
        for name, score in found(answer):
            assert passing[name] == pytest.approx(score, rel=1e-5)
        order = [(-score, name) for name, score in found(answer)]
        assert order == sorted(order)
        for hit in answer.hits[0]:
            segment = snapshot.parts[hit.source.part].segment
            assert segment.ids[hit.source.row] == hit.document_id
            assert segment.payload(hit.source.row)["t"] == live[hit.document_id]


def collection(world: World, name: str, documents: Sequence[StoredDocument]) -> Snapshot:
    world.store.create("ns", name, None)
    world.store.upsert("ns", name, documents)
    return world.store.snapshot("ns", name)


def test_collections_do_not_change_each_others_scores() -> None:
    world = World()
    one = collection(world, "one", [doc("b", t="red cat"), doc("d", t="blue dog")])
    two = collection(world, "two", [doc("b", t="red cat"), doc("a", t="red cat"), doc("e", t="x")])
    indexes = indexes_of()
    alone = {s.collection_id: dict(found(ask(indexes, [s], "red"))) for s in (one, two)}
    together = ask(indexes, [two, one], "red")
    places = [(hit.document_id, hit.source.collection_id) for hit in together.hits[0]]
    assert places == [("b", "one"), ("a", "two"), ("b", "two")]
    for hit in together.hits[0]:
        assert hit.score == alone[hit.source.collection_id][hit.document_id]
    assert together.evidence.compared == 5
    assert together.evidence.best_score == together.hits[0][0].score
    assert found(ask(indexes, [two, one], "red", 2)) == found(together)[:2]


def test_equal_scores_stand_in_the_order_of_ids_across_collections() -> None:
    world = World()
    same = [doc(name, t="red cat") for name in "ca"]
    snapshots = [collection(world, name, same) for name in ("y", "x")]
    answer = ask(indexes_of(), snapshots, "red", 3)
    places = [(hit.document_id, hit.source.collection_id) for hit in answer.hits[0]]
    assert places == [("a", "x"), ("a", "y"), ("c", "x")]


def test_within_some_rows_only() -> None:
    world = World()
    snapshot = collection(world, "one", [doc(name, t="red cat") for name in "abcd"])
    within = (Source("one", 0, 1), Source("one", 0, 3), Source("two", 0, 0))
    answer = ask(indexes_of(), [snapshot], "red", within=within)
    assert [name for name, _ in found(answer)] == ["b", "d"]
    assert answer.evidence.compared == 2
    assert dict(found(ask(indexes_of(), [snapshot], "red")))["b"] == found(answer)[0][1]


# --- the cache ----------------------------------------------------------------------------------


class SlowText(TantivyText):
    """Waits at its gate before it builds; `begun` says that it came there."""

    def __init__(self) -> None:
        self.gate, self.begun = threading.Event(), threading.Event()
        self.error: Exception | None = None

    def build(
        self, documents: Iterable[Sequence[str]], *, stop: Callable[[], bool] = go_on
    ) -> TextIndex:
        self.begun.set()
        assert self.gate.wait(20)
        if self.error is not None:
            raise self.error
        return super().build(documents, stop=stop)


@pytest.fixture
def snapshot() -> Snapshot:
    return collection(World(), "one", [doc(name, t="red cat") for name in "abcd"])


def test_one_build_for_all_who_ask_at_once(snapshot: Snapshot) -> None:
    engine = SlowText()
    indexes = TextIndexes(engine, 1 << 30)
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(indexes.get, snapshot, NEVER, go_on) for _ in range(8)]
        engine.gate.set()
        assert len({id(future.result(20)) for future in futures}) == 1
    indexes.get(snapshot, NEVER, go_on)
    assert indexes.builds == 1


def test_a_new_version_and_a_new_collection_of_the_same_id_are_indexed_anew() -> None:
    world, indexes = World(), indexes_of()
    first = collection(world, "one", [doc("a", t="red")])
    assert found(ask(indexes, [first], "red blue"))[0][0] == "a"
    world.store.upsert("ns", "one", [doc("b", t="blue")])
    second = world.store.snapshot("ns", "one")
    assert [name for name, _ in found(ask(indexes, [second], "red blue"))] == ["a", "b"]
    assert [name for name, _ in found(ask(indexes, [first], "red blue"))] == ["a"]
    world.store.drop("ns", "one")
    other = collection(world, "one", [doc("c", t="red")])
    assert [name for name, _ in found(ask(indexes, [other], "red"))] == ["c"]
    assert indexes.builds == 3


def test_the_least_recently_used_goes_first() -> None:
    world = World()
    one, two, three = (collection(world, n, [doc("a", t="red")]) for n in ("one", "two", "six"))
    size = indexes_of().get(one, NEVER, go_on).index.size
    indexes = indexes_of(2 * size)
    for snapshot in (one, two, one, three, one, three):
        indexes.get(snapshot, NEVER, go_on)
    assert indexes.builds == 3
    indexes.get(two, NEVER, go_on)
    assert indexes.builds == 4
    tiny = indexes_of(1)
    for _ in range(2):
        tiny.get(one, NEVER, go_on)
    assert tiny.builds == 1


def test_who_gives_up_does_not_end_the_others_build(snapshot: Snapshot) -> None:
    engine = SlowText()
    indexes = TextIndexes(engine, 1 << 30)
    with ThreadPoolExecutor(3) as pool:
        gone = threading.Event()
        first = pool.submit(indexes.get, snapshot, NEVER, gone.is_set)
        assert engine.begun.wait(20)
        with pytest.raises(DeadlineError):
            indexes.get(snapshot, Deadline.after(0.01), go_on)
        other = pool.submit(indexes.get, snapshot, NEVER, go_on)
        while not any(build.stops[2:] for build in indexes._building.values()):
            threading.Event().wait(0.001)
        gone.set()
        engine.gate.set()
        assert other.result(20) is first.result(20)
    assert indexes.builds == 1


def test_a_build_that_nobody_wants_ends_and_is_not_kept(snapshot: Snapshot) -> None:
    indexes = indexes_of()
    with pytest.raises(DeadlineError):
        indexes.get(snapshot, NEVER, lambda: True)
    assert len(indexes.get(snapshot, NEVER, go_on).rows) == 4
    bare = collection(World(), "two", [doc("a", n=1)])  # not a word in it
    with pytest.raises(DeadlineError):
        indexes.get(bare, NEVER, lambda: True)


def test_a_failure_reaches_all_and_the_next_tries_again(snapshot: Snapshot) -> None:
    engine = SlowText()
    engine.error = RuntimeError("broken")
    indexes = TextIndexes(engine, 1 << 30)
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(indexes.get, snapshot, NEVER, go_on) for _ in range(2)]
        while not any(build.stops[1:] for build in indexes._building.values()):
            threading.Event().wait(0.001)
        engine.gate.set()
        for future in futures:
            with pytest.raises(RuntimeError, match="broken"):
                future.result(20)
    engine.error = None
    assert len(indexes.get(snapshot, NEVER, go_on).rows) == 4
