"""The tantivy adapter against BM25 written out; hostile queries; what must not change a score."""

import random
import sys
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.adapters.text_tantivy import TantivyText
from core.errors import DeadlineError, MissingExtraError
from core.ports.text import TextHits, TextIndex
from tests.core.bm25 import bm25_scores

quick = settings(derandomize=True, deadline=None, max_examples=40)

# Each its own English stem; lengths stay below 40, where tantivy keeps them exactly.
WORDS = st.sampled_from(["cat", "dog", "bird", "fish", "tree", "42", "straße", "名前"])
TEXTS = st.lists(st.lists(WORDS, max_size=8).map(" ".join), min_size=1, max_size=4)
QUERIES = st.lists(WORDS, max_size=6).map(" ".join)


def build(*texts: str | Sequence[str]) -> TextIndex:
    return TantivyText().build([[text] if isinstance(text, str) else text for text in texts])


def found(hits: TextHits) -> list[int]:
    rows: list[int] = hits.rows.tolist()
    return rows


@quick
@given(st.lists(TEXTS, max_size=12), QUERIES, st.data())
def test_the_best_k_by_plain_bm25(texts: list[list[str]], query: str, data: st.DataObject) -> None:
    mask = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(texts), max_size=len(texts))), np.bool_
    )
    k = data.draw(st.integers(1, 14))
    index = build(*texts)
    plain = np.array(bm25_scores(texts, query))
    for chosen in (None, mask):
        passing = np.ones(len(texts), np.bool_) if chosen is None else chosen
        hits = index.search(query, k, chosen)
        assert hits.compared == int(passing.sum())
        assert len(hits.rows) == min(k, int(((plain > 0) & passing).sum()))
        assert hits.scores == pytest.approx(plain[hits.rows], rel=1e-5)
        assert passing[hits.rows].all()
        best = np.sort(plain[passing])[::-1][: len(hits.rows)]
        assert hits.scores == pytest.approx(best, rel=1e-5)
        order = list(zip((-hits.scores).tolist(), found(hits), strict=True))
        assert order == sorted(order)


@quick
@given(st.lists(TEXTS, min_size=1, max_size=12), QUERIES, st.randoms(use_true_random=False))
def test_scores_follow_from_the_documents_alone(
    texts: list[list[str]], query: str, shuffler: random.Random
) -> None:
    whole = build(*texts).search(query, 100)
    scores = dict(zip(found(whole), whole.scores.tolist(), strict=True))
    order = shuffler.sample(range(len(texts)), len(texts))
    moved = build(*(texts[n] for n in order)).search(query, 100)
    assert {order[row]: s for row, s in zip(found(moved), moved.scores.tolist(), strict=True)} == (
        scores
    )
    for k in (1, 2, 5):
        part = build(*texts).search(query, k)
        assert (found(part), part.scores.tolist()) == (
            found(whole)[:k],
            whole.scores.tolist()[:k],
        )


def test_ties_keep_the_order_of_rows_whatever_k_is() -> None:
    index = build(*["a red cat"] * 50, "cat", *["a red cat"] * 50)
    for k in (1, 2, 10, 60):
        assert found(index.search("red", k)) == [n for n in range(101) if n != 50][:k]
    assert found(index.search("cat", 3)) == [50, 0, 1]


def test_words_are_folded_and_stemmed() -> None:
    index = build("Running SHOES", "a runner", "caf\u00e9", "o'neill's", "x" * 300)
    assert found(index.search("run shoe", 5)) == [0]
    assert found(index.search("RUNS", 5)) == [0]
    assert found(index.search("cafe\u0301", 5)) == [2]
    assert found(index.search("cafe", 5)) == []
    assert found(index.search("neill", 5)) == [3]
    assert found(index.search("x" * 300, 5)) == []


@pytest.mark.parametrize(
    "query",
    [
        *("title:(", '"', "text:cat AND", "cat~2", "c*t", "[a TO b]", "-cat +", "row:0", "\\"),
        *("{{INPUT.x}}", "a" * 100_000, "( " * 5000, "\x00", "\ud800", "\U0001f600", "cat^1e400"),
        *("", " \t\n", "!?", "NOT cat", "IN [1 2]", "*", "/.*/"),
    ],
)
def test_no_character_of_a_query_is_syntax(query: str) -> None:
    index = build("a cat", "title", "nothing of it")
    hits = index.search(query, 5)
    assert 0 in found(hits) or "cat" not in query
    assert np.isfinite(hits.scores).all()
    assert hits.compared == 3


def test_many_words_and_words_said_twice() -> None:
    index = build("cat dog", "cat bird")
    once, twice = index.search("cat dog", 1), index.search("cat dog dog", 1)
    assert twice.scores[0] > once.scores[0]
    assert found(index.search(" ".join(f"w{n}" for n in range(3000)) + " bird", 5)) == [1]


def test_more_documents_than_one_tantivy_segment_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [
        " ".join([f"word{n % 7}", *(f"i{n}x{m}" for m in range(n % 40))]) for n in range(12_000)
    ]
    whole = build(*texts)
    monkeypatch.setattr("core.adapters.text_tantivy._HEAP_BYTES", 15_000_000)
    several = build(*texts)
    assert several._searcher.num_segments > whole._searcher.num_segments  # type: ignore[attr-defined]  # only to see that this tests something
    plain = np.array(bm25_scores([[text] for text in texts], "word3 i8046x5"))
    for index in (whole, several):
        hits = index.search("word3 i8046x5", 2000)
        assert found(hits)[0] == 8046
        assert hits.scores == pytest.approx(plain[hits.rows], rel=1e-5)
        assert found(hits) == found(whole.search("word3 i8046x5", 2000))


def test_no_document_at_all() -> None:
    hits = build().search("cat", 3)
    assert (found(hits), hits.compared) == ([], 0)


def after(calls: int) -> Callable[[], bool]:
    """Return a stop that says yes from its n-th call on."""
    left = iter(range(calls))
    return lambda: next(left, None) is None


def test_a_build_and_a_search_end_when_told() -> None:
    taken: list[int] = []

    def texts() -> Iterator[list[str]]:
        for n in range(100):
            taken.append(n)
            yield ["cat"]

    with pytest.raises(DeadlineError):
        TantivyText().build(texts(), stop=after(3))
    assert len(taken) == 4
    index = build("cat dog")
    with pytest.raises(DeadlineError):
        index.search("cat dog", 1, stop=after(1))
    assert found(index.search("cat dog", 1, stop=after(2))) == [0]


def test_what_is_kept_of_words_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.adapters.text_tantivy._KEPT_POSTINGS", 3)
    index = build("cat dog bird", "cat dog", "cat fish", "cat tree")
    first = index.search("cat dog bird fish tree", 9)
    for _ in range(3):
        again = index.search("cat dog bird fish tree", 9)
        assert (found(again), again.scores.tolist()) == (found(first), first.scores.tolist())
    assert index.size > 0


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tantivy", None)
    with pytest.raises(MissingExtraError, match=r"\[text\]") as caught:
        TantivyText().build([])
    assert caught.value.details == {"extra": "text"}
