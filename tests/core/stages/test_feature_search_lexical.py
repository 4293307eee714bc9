"""feature_search by words: what it asks for, how it names scores, and fusion with vectors."""

from typing import Any

import pytest

from core.errors import InvalidRequestError
from core.filtering.conditions import parse_filter
from core.hits import TextRequest
from core.registry import find_stage
from core.rows.fusion import fuse
from core.rows.row import Row
from tests.core.stages.context import Doc, FakeContext
from tests.core.stages.running import ids_of, run_stage

DOCS = [
    Doc("a", {"title": "red cat", "n": 1}, {"v": [0.1]}),
    Doc("b", {"title": "red red dog", "n": 2}, {"v": [0.9]}),
    Doc("c", {"title": "blue bird", "n": 3}, {"v": [0.5]}),
    Doc("d", {"title": "red cat", "n": 4}),
    Doc("e", {"n": 5}, {"v": [0.7]}),
]


def words(value: Any, **more: Any) -> dict[str, Any]:
    return {"feature_uri": "v", "query": value, "lexical": True, **more}


VECTOR = {"feature_uri": "v", "query": [1.0]}


def context(**settings: Any) -> FakeContext:
    return FakeContext({"c": DOCS}, metrics={"v": "dot"}, **settings)


def search(ctx: FakeContext, rows: Any = (), **parameters: Any) -> list[Row]:
    return run_stage("feature_search", parameters, list(rows), context=ctx)[0]


def test_best_words_first_under_a_name_of_their_own() -> None:
    ctx = context()
    rows = search(ctx, searches=[words("red cat")])
    assert ids_of(rows) == ["a", "d", "b"]
    fields = rows[0].fields
    assert fields["feature_uri"] == "v#bm25"
    assert fields["features"] == {"v#bm25": {"score": fields["score"]}}
    assert not ctx.searches
    assert ctx.report.evidence is not None
    assert ctx.report.evidence.best_score == fields["score"]
    assert ctx.report.shortfall is not None
    assert "found 3 with a word of its query" in ctx.report.shortfall


@pytest.mark.parametrize(
    "query",
    [
        *("http://cat red", {"input_mode": "text", "value": "http://cat red"}),
        *({"text": "http://cat red"}, {"input_mode": "auto", "value": "http://cat red"}),
    ],
)
def test_any_string_is_words(query: Any) -> None:
    ctx = context()
    search(ctx, searches=[words(query)], final_top_k=3)
    assert ctx.text_searches == [TextRequest(("c",), "http://cat red", 3)]


def test_filters_and_incoming_rows_constrain_it() -> None:
    ctx = context(filter=parse_filter({"field": "n", "operator": "gt", "value": 1}))
    own = {"field": "n", "operator": "lt", "value": 4}
    assert ids_of(search(ctx, searches=[words("red cat", filters=own)])) == ["b"]
    assert ctx.report.evidence is not None and ctx.report.evidence.compared == 2
    later = context(is_first=False)
    came = [row.with_fields({"kept": True}) for row in later.all_rows() if row.document_id in "bcd"]
    rows = search(later, came, searches=[words("red cat")])
    assert ids_of(rows) == ["d", "b"]
    assert all(row.fields["kept"] for row in rows)


def test_min_score_is_compared_with_the_raw_score() -> None:
    whole = search(context(), searches=[words("red dog")])
    least = min(row.fields["score"] for row in whole)
    assert 0 < least < 1 < whole[0].fields["score"]
    kept = search(context(), searches=[words("red dog", min_score=1.0)])
    assert ids_of(kept) == ["b"]


@pytest.mark.parametrize("fusion", ["rrf", "weighted", "dbsf", "max"])
def test_words_and_vectors_fuse(fusion: Any) -> None:
    ctx = context()
    rows = search(
        ctx, searches=[{**VECTOR, "weight": 0.5}, words("red cat", weight=0.75)], fusion=fusion
    )
    dense = [(("b", "c"), 0.9), (("e", "c"), 0.7), (("c", "c"), 0.5), (("a", "c"), 0.1)]
    alone = [search(context(), searches=[entry]) for entry in (VECTOR, words("red cat"))]
    lists = [[((r.document_id, "c"), r.fields["score"]) for r in found] for found in alone]
    assert [key for key, _ in lists[0]] == [key for key, _ in dense]
    assert [score for _, score in lists[0]] == pytest.approx([score for _, score in dense])
    expected = fuse(lists, fusion, [0.5, 0.75])
    assert [(r.document_id, r.fields["score"]) for r in rows] == [
        (fused.key[0], fused.score) for fused in expected
    ]
    by_id = {row.document_id: row.fields for row in rows}
    assert set(by_id["a"]["features"]) == {"v", "v#bm25"}
    assert by_id["a"]["features"]["v#bm25"]["rank"] == 1
    assert set(by_id["d"]["features"]) == {"v#bm25"}
    assert by_id["d"]["feature_uri"] == "v#bm25"
    assert by_id["e"]["feature_uri"] == "v"
    assert ctx.text_searches[0].k == 100


@pytest.mark.parametrize("empty", ["", "  ", None])
def test_an_empty_query_does_what_on_empty_says(empty: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"searches\.0\.query: the query is empty"):
        search(context(), searches=[words(empty)])
    ctx = context()
    rows = search(ctx, searches=[words(empty, on_empty="skip"), VECTOR])
    assert ids_of(rows) == ["b", "e", "c", "a"]
    assert ctx.report.warnings == ["search 0 was skipped: its query is empty"]


def test_a_query_without_words_finds_nothing_and_says_so() -> None:
    ctx = context()
    assert search(ctx, searches=[words("?! :(")]) == []
    assert ctx.report.warnings == ["search 0 finds nothing: its query has no word in it"]


@pytest.mark.parametrize("value", [[0.5], 7, {"collection_id": "c", "title": "x"}])
def test_what_is_no_string_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match="a lexical query takes a string"):
        search(context(), searches=[words({"input_mode": "auto", "value": value})])


def test_an_unknown_feature_is_refused_as_it_is_for_vectors() -> None:
    with pytest.raises(InvalidRequestError, match="unknown vector"):
        search(context(), searches=[{**words("red"), "feature_uri": "w"}])
    none = FakeContext({"c": [Doc("a", {"t": "red"})]}, metrics={"w": "dot"})
    assert ids_of(search(none, searches=[{**words("red"), "feature_uri": "w"}])) == ["a"]


def test_only_vectors_are_searched_ahead() -> None:
    stage, ctx = find_stage("feature_search"), context()
    assert stage.searches is not None
    entries = [words({"input_mode": "auto", "value": [1.0]}), VECTOR, words("red")]
    params = stage.params.model_validate({"searches": entries})
    assert [request.k for request in stage.searches(params, ctx)] == [100]


def test_two_searches_of_words_are_one_feature() -> None:
    rows = search(context(), searches=[words("cat"), words("red")])
    single = {n: search(context(), searches=[words(n)]) for n in ("cat", "red")}
    best = max(found[0].fields["score"] for found in single.values())
    assert ids_of(rows)[0] == "a"
    assert rows[0].fields["features"]["v#bm25"]["score"] <= best
