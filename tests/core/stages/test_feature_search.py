"""feature_search: its modes, cuts, fusion and groups, and what it says when rows are lacking."""

import asyncio
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from core.errors import FilterError, InvalidRequestError, NotFoundError, StageError
from core.filtering.conditions import parse_filter
from core.hits import QueryChunk, SearchRequest
from core.registry import find_stage
from core.rows.row import Row
from tests.core.stages.context import Doc, FakeContext
from tests.core.stages.running import ids_of, run_stage

quick = settings(derandomize=True, deadline=None, max_examples=60)


def search(ctx: FakeContext, rows: Any = (), **parameters: Any) -> list[Row]:
    return run_stage("feature_search", parameters, list(rows), context=ctx)[0]


def vector(value: Any, uri: str = "v", **more: Any) -> dict[str, Any]:
    """Return a search entry of one vector."""
    return {"feature_uri": uri, "query": {"input_mode": "vector", "value": value}, **more}


def line(*names: str, **more: Any) -> list[Doc]:
    """Return documents whose dot product with [1] falls from 1.0 in steps of 0.1."""
    return [Doc(name, {"n": n, **more}, {"v": [1 - n / 10]}) for n, name in enumerate(names)]


def on_a_line(*names: str, **settings_: Any) -> FakeContext:
    return FakeContext({"c": line(*names)}, metrics={"v": "dot"}, **settings_)


# --- one search ---------------------------------------------------------------------------------


def test_nearest_first_with_what_scored_it() -> None:
    ctx = FakeContext({"c": [Doc("a", {"n": 1}, {"v": [1, 0]}), Doc("b", {}, {"v": [0, 1]})]})
    rows = search(ctx, searches=[vector([0.0, 2.0])])
    assert [dict(row.fields) for row in rows] == [
        {
            "document_id": "b",
            "collection_id": "c",
            "score": 1.0,
            "feature_uri": "v",
            "features": {"v": {"score": 1.0}},
        },
        {
            "document_id": "a",
            "collection_id": "c",
            "n": 1,
            "score": 0.0,
            "feature_uri": "v",
            "features": {"v": {"score": 0.0}},
        },
    ]
    assert ctx.report.evidence is not None and ctx.report.evidence.compared == 2


def test_ties_break_by_document_then_collection() -> None:
    docs = [Doc(name, {}, {"v": [1.0]}) for name in "cab"]
    ctx = FakeContext({"y": docs, "x": docs})
    rows = search(ctx, searches=[vector([1.0])], final_top_k=5)
    found = [(row.document_id, row.fields["collection_id"]) for row in rows]
    assert found == [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"), ("c", "x")]


def test_no_more_than_is_wanted_is_searched_for() -> None:
    ctx = on_a_line("a", "b", "c")
    search(ctx, searches=[vector([1.0])], final_top_k=2)
    assert ctx.searches[0].k == 2
    grouped = on_a_line("a", "b", "c")
    search(grouped, searches=[vector([1.0])], final_top_k=2, group_by={"field": "n"})
    assert grouped.searches[0].k == 100


def test_min_score_cuts_and_the_shortfall_says_so() -> None:
    ctx = on_a_line("a", "b", "c")
    assert ids_of(search(ctx, searches=[vector([1.0], min_score=0.85)])) == ["a", "b"]
    assert ctx.report.shortfall == "3 documents were compared; min_score dropped 1 candidates"


def test_a_filter_constrains_the_search_and_explains_a_shortfall() -> None:
    ctx = on_a_line(
        "a", "b", "c", filter=parse_filter({"field": "n", "operator": "gte", "value": 1})
    )
    own = {"field": "n", "operator": "lt", "value": 2}
    assert ids_of(search(ctx, searches=[vector([1.0], filters=own)])) == ["b"]
    assert ctx.report.shortfall == "1 documents were compared, all that pass the filter"


def test_a_templated_value_that_came_from_data_is_plain_text() -> None:
    docs = [Doc("a", {"s": "{{x}}"}, {"v": [1.0]}), Doc("b", {"s": "x"}, {"v": [1.0]})]
    rows = search(FakeContext({"c": docs}), searches=[vector([1.0], filters={"s": "{{x}}"})])
    assert ids_of(rows) == ["a"]


def test_the_hint_only_shortens_the_answer() -> None:
    parameters = {"searches": [vector([1.0]), vector([0.5])], "final_top_k": 4}
    whole = search(on_a_line(*"abcde"), **parameters)
    assert search(on_a_line(*"abcde", hints={"limit": 2}), **parameters) == whole[:2]
    assert len(whole) == 4


def test_collections_narrow_from_retriever_to_stage_to_search() -> None:
    ctx = FakeContext({"x": line("a"), "y": line("b"), "z": line("c")})
    entries = [vector([1.0]), vector([1.0], collection_identifiers=["z"])]
    search(ctx, searches=entries, collection_identifiers=["y"])
    assert [request.collection_ids for request in ctx.searches] == [("y",), ("z",)]
    with pytest.raises(NotFoundError):
        search(ctx, searches=[vector([1.0])], collection_identifiers=["nowhere"])


def test_the_searches_known_in_advance_are_those_that_are_made() -> None:
    stage = find_stage("feature_search")
    entries = [vector([1.0]), vector([0.5], min_score=0.2, filters={"n": 1}), vector([])]
    params = stage.params.model_validate({"searches": [{**e, "on_empty": "skip"} for e in entries]})
    ctx = on_a_line(*"abc")
    assert stage.searches is not None
    known = stage.searches(params, ctx)
    asyncio.run(_finished(stage.run(params, [], ctx)))
    assert len(known) == len(ctx.searches) == 2
    for one, other in zip(known, ctx.searches, strict=True):
        assert one.vectors.tolist() == other.vectors.tolist()
        assert (one.k, one.filter, one.collection_ids) == (
            other.k,
            other.filter,
            other.collection_ids,
        )


async def _finished(work: Any) -> Any:
    return await work


# --- vectors that are none ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "path", "says"),
    [
        ([1.0], "searches.0.query.value", "takes 2 numbers, not 1"),
        ([1.0, float("nan")], "searches.0.query.value.1", "finite"),
        ([float("inf"), 0.0], "searches.0.query.value.0", "finite"),
        ([1e300, 0.0], "searches.0.query.value.0", "too large"),
        ([10**400, 0.0], "searches.0.query.value", "too large"),
        (["1", 2.0], "searches.0.query.value.0", "str is not a number"),
        ([None, 2.0], "searches.0.query.value.0", "NoneType is not a number"),
        ([True, False], "searches.0.query.value.0", "bool is not a number"),
        ([[1.0, 2.0]], "searches.0.query.value", "several vectors"),
        ([[1.0], 2.0], "searches.0.query.value", "one list"),
        ("{{INPUT.v}}", "searches.0.query.value", "not str"),
        (7, "searches.0.query.value", "not int"),
        ([0.0, 0.0], "searches.0.query.value", "no direction"),
    ],
)
def test_what_is_no_vector_is_refused_with_its_place(value: Any, path: str, says: str) -> None:
    ctx = FakeContext({"c": [Doc("a", {}, {"v": [1.0, 0.0]})]})
    with pytest.raises(InvalidRequestError, match=says) as caught:
        search(ctx, searches=[vector(value)])
    assert [problem.path for problem in caught.value.problems] == [path]


def test_an_unknown_vector_name_is_refused_with_the_known() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        search(FakeContext({"c": line("a")}), searches=[vector([1.0], "w")])
    assert caught.value.problems[0].accepted == ["v"]


HASH = "00ff" * 16


@pytest.mark.parametrize(
    "value", [HASH, [int(bit) for bit in f"{int(HASH, 16):0256b}"], list(bytes.fromhex(HASH))]
)
def test_binary_vectors_as_hex_bits_or_bytes(value: Any) -> None:
    near, far = bytes.fromhex(HASH), bytes.fromhex("ff00" * 16)
    docs = [Doc("far", {}, {"h": list(far)}), Doc("near", {}, {"h": list(near)})]
    rows = search(FakeContext({"c": docs}, metrics={"h": "hamming"}), searches=[vector(value, "h")])
    assert [(row.document_id, row.fields["score"]) for row in rows] == [("near", 1.0), ("far", 0.0)]


@pytest.mark.parametrize("value", ["0f", "xy" * 32, [2] * 256, [-1] * 32, [0.5] * 256, [0] * 7])
def test_what_is_no_binary_vector_is_refused(value: Any) -> None:
    ctx = FakeContext({"c": [Doc("a", {}, {"h": [0] * 32})]}, metrics={"h": "hamming"})
    with pytest.raises(InvalidRequestError, match=r"searches\.0\.query\.value"):
        search(ctx, searches=[vector(value, "h")])


# --- the other modes ----------------------------------------------------------------------------


def entry(query: Any, **more: Any) -> dict[str, Any]:
    return {"feature_uri": "v", "query": query, **more}


def test_a_document_as_query() -> None:
    ctx = FakeContext({"c": [Doc("a", {}, {"v": [1, 0]}), Doc("b", {}, {"v": [0, 1]}), Doc("n")]})
    ref = {"collection_id": "c", "document_id": "b"}
    wanted = ["b", "a"]
    assert (
        ids_of(search(ctx, searches=[entry({"input_mode": "document", "document_ref": ref})]))
        == wanted
    )
    assert ids_of(search(ctx, searches=[entry(ref)])) == wanted
    with pytest.raises(NotFoundError):
        search(ctx, searches=[entry({**ref, "document_id": "n"})])
    with pytest.raises(InvalidRequestError, match="empty"):
        search(ctx, searches=[entry({**ref, "document_id": None})])


@pytest.mark.parametrize("query", [{"input_mode": "text", "value": "up"}, {"text": "up"}, "up"])
def test_text(query: Any) -> None:
    docs = [Doc("a", {}, {"v": [1, 0]}), Doc("b", {}, {"v": [0, 1]})]
    ctx = FakeContext({"c": docs}, embedder=lambda text: [0.0, 1.0] if text == "up" else [1.0, 0.0])
    assert ids_of(search(ctx, searches=[entry(query)])) == ["b", "a"]


def test_text_that_looks_like_a_url_stays_text_when_the_mode_says_so() -> None:
    seen: list[str] = []

    def embed(text: str) -> list[float]:
        seen.append(text)
        return [1.0]

    ctx = FakeContext({"c": line("a")}, embedder=embed)
    search(ctx, searches=[entry({"input_mode": "text", "value": "https://x.test/a.png"})])
    assert seen == ["https://x.test/a.png"] and ctx.extractions == []


@pytest.mark.parametrize(
    "query",
    [
        "https://x.test/a.png",
        {"input_mode": "content", "value": "https://x.test/a.png"},
        {"input_mode": "content", "content": {"url": "https://x.test/a.png"}},
        {"content": {"url": "https://x.test/a.png"}},
    ],
)
def test_content_spellings(query: Any) -> None:
    ctx = FakeContext({"c": line("a")}, extractor=lambda _: [chunk([1.0])])
    assert ids_of(search(ctx, searches=[entry(query)])) == ["a"]
    assert ctx.extractions == [("v", "https://x.test/a.png", 20, {})]


def chunk(numbers: list[float], start_ms: int | None = None) -> QueryChunk:
    end_ms = None if start_ms is None else start_ms + 1000
    return QueryChunk(np.array(numbers, np.float32), start_ms, end_ms)


CORNERS = [
    Doc("a", {"p": "x"}, {"v": [1, 0]}),
    Doc("b", {"p": "x"}, {"v": [0, 1]}),
    Doc("m", {"p": "y"}, {"v": [0.8, 0.6]}),
]


def content(**more: Any) -> dict[str, Any]:
    return entry({"input_mode": "content", "value": "https://x.test/f"}, **more)


def test_variants_of_an_image_count_as_their_nearest() -> None:
    ctx = FakeContext({"c": CORNERS}, extractor=lambda _: [chunk([1, 0]), chunk([0, 1])])
    rows = search(ctx, searches=[content()])
    assert [(r.document_id, round(r.fields["score"], 6)) for r in rows] == [
        ("a", 1.0),
        ("b", 1.0),
        ("m", 0.8),
    ]
    assert len(ctx.searches) == 1 and ctx.searches[0].vectors.shape == (2, 2)
    assert "query_chunks" not in rows[0].fields


def test_chunks_in_time_are_fused_by_rank_and_say_where() -> None:
    ctx = FakeContext({"c": CORNERS}, extractor=lambda _: [chunk([1, 0], 0), chunk([0, 1], 1000)])
    rows = search(ctx, searches=[content()])
    assert ids_of(rows) == ["a", "b", "m"]
    assert rows[0].fields["score"] == pytest.approx(1 / 61 + 1 / 63)
    assert rows[0].fields["features"]["v"]["similarity"] == 1.0
    assert rows[2].fields["query_chunks"] == [
        {"start_ms": 0, "end_ms": 1000, "score": pytest.approx(0.8)},
        {"start_ms": 1000, "end_ms": 2000, "score": pytest.approx(0.6)},
    ]


@pytest.mark.parametrize(("aggregation", "best"), [("max", "a"), ("avg", "m"), ("rrf", "a")])
def test_preprocessing_decides_how_chunks_are_fused(aggregation: str, best: str) -> None:
    ctx = FakeContext({"c": CORNERS}, extractor=lambda _: [chunk([1, 0], 0), chunk([0, 1], 1000)])
    prep = {"aggregation": aggregation, "params": {"split_method": "time"}, "feature_uri": "w"}
    assert ids_of(search(ctx, searches=[content(query_preprocessing=prep)]))[0] == best
    assert ctx.extractions == [("w", "https://x.test/f", 20, {"split_method": "time"})]


def test_max_chunks_from_request_search_and_stage() -> None:
    def asked(request: int | None, own: int | None, stage: int | None) -> int:
        ctx = FakeContext({"c": CORNERS}, extractor=lambda _: [chunk([1, 0])], max_chunks=request)
        prep = {} if own is None else {"query_preprocessing": {"max_chunks": own}}
        whole = {} if stage is None else {"query_preprocessing": {"max_chunks": stage}}
        search(ctx, searches=[content(**prep)], **whole)
        return ctx.extractions[0][2]

    assert asked(3, 4, 5) == 3
    assert asked(None, 4, 5) == 4
    assert asked(None, None, 5) == 5
    assert asked(None, None, None) == 20


def test_one_document_for_each_value_of_the_dedup_field() -> None:
    ctx = FakeContext({"c": CORNERS}, extractor=lambda _: [chunk([1, 0.1], 0)])
    prep = {"dedup_field": "p"}
    assert ids_of(search(ctx, searches=[content(query_preprocessing=prep)])) == ["a", "m"]


def test_content_without_chunks_is_incomplete_and_no_error() -> None:
    ctx = FakeContext({"c": CORNERS}, extractor=lambda _: [])
    assert search(ctx, searches=[content()]) == []
    assert [item["code"] for item in ctx.report.incomplete] == ["no_query_chunks"]


def test_an_extractor_of_other_vectors_is_refused() -> None:
    ctx = FakeContext({"c": CORNERS}, extractor=lambda _: [chunk([1, 0, 0])])
    with pytest.raises(StageError, match="makes no vectors for v"):
        search(ctx, searches=[content()])


# --- nothing to ask, nothing to search ----------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "",
        " ",
        None,
        [],
        {"input_mode": "vector", "value": None},
        {"input_mode": "text", "value": ""},
    ],
)
def test_an_empty_query_follows_on_empty(query: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"searches\.0\.query: the query is empty"):
        search(on_a_line("a"), searches=[entry(query)])
    ctx = on_a_line("a", "b")
    rows = search(ctx, searches=[entry(query, on_empty="skip"), vector([1.0])])
    assert ids_of(rows) == ["a", "b"] and "features" in rows[0].fields
    assert ctx.report.warnings == ["search 0 was skipped: its query is empty"]
    with pytest.raises(InvalidRequestError, match="every search was skipped"):
        search(on_a_line("a"), searches=[entry(query, on_empty="skip")])


def test_a_random_query_is_the_same_for_the_same_inputs() -> None:
    docs = [Doc(f"d{n}", {}, {"v": [np.cos(n), np.sin(n)]}) for n in range(20)]

    def answer(inputs: dict[str, Any]) -> list[str]:
        ctx = FakeContext({"c": docs}, inputs=inputs)
        return ids_of(search(ctx, searches=[entry("", on_empty="random")]))

    assert answer({"q": "", "n": 1}) == answer({"n": 1, "q": ""})
    assert len({tuple(answer({"n": n})) for n in range(8)}) > 1
    hashes = FakeContext({"c": [Doc("a", {}, {"v": [0] * 32})]}, metrics={"v": "hamming"})
    assert ids_of(search(hashes, searches=[entry("", on_empty="random")])) == ["a"]


def test_an_index_with_nothing_in_it() -> None:
    def ctx() -> FakeContext:
        return FakeContext({"c": line("a")}, metrics={"v": "dot", "later": "cosine"})

    assert search(ctx(), searches=[vector([1.0], "later")]) == []
    other = ctx()
    rows = search(other, searches=[vector([1.0], "later", optional=True), vector([1.0])])
    assert ids_of(rows) == ["a"]
    assert other.report.warnings == ["search 0 was skipped: no later is indexed"]
    with pytest.raises(InvalidRequestError, match="every search was skipped"):
        search(ctx(), searches=[vector([1.0], "later", optional=True)])


# --- several searches ---------------------------------------------------------------------------

TWO = [
    Doc("a", {}, {"v": [1.0, 0.0], "w": [0.0, 1.0]}),
    Doc("b", {}, {"v": [0.8, 0.6], "w": [0.6, 0.8]}),
    Doc("o", {}, {"v": [0.0, 1.0]}),
]


def test_fused_rows_tell_each_search_s_part() -> None:
    entries = [vector([1.0, 0.0]), vector([1.0, 0.0], "w", min_score=0.5)]
    rows = search(FakeContext({"c": TWO}), searches=entries)
    assert ids_of(rows) == ["b", "a", "o"]
    best = rows[0].fields
    assert best["features"] == {
        "v": {"score": pytest.approx(0.8), "rank": 2},
        "w": {"score": pytest.approx(0.6), "rank": 1},
    }
    assert best["feature_uri"] == "w"
    assert best["score"] == pytest.approx(1 / 62 + 1 / 61)


@pytest.mark.parametrize(
    ("fusion", "score"), [("weighted", 0.7), ("max", 0.8), ("rrf", 0.5 / 62 + 0.5 / 61)]
)
def test_weights(fusion: str, score: float) -> None:
    entries = [vector([1.0, 0.0], weight=0.5), vector([1.0, 0.0], "w", weight=0.5)]
    rows = search(FakeContext({"c": TWO}), searches=entries, fusion=fusion)
    assert {r.document_id: r.fields["score"] for r in rows}["b"] == pytest.approx(score)


def test_searches_run_at_once_and_an_error_stops_the_others() -> None:
    started: list[str] = []
    cancelled: list[str] = []
    both = asyncio.Event()

    async def hold(request: SearchRequest) -> None:
        started.append(request.feature_uri)
        if len(started) == 2:
            both.set()
        if request.feature_uri == "w":
            await both.wait()
            raise StageError("broken")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(request.feature_uri)
            raise

    ctx = FakeContext({"c": TWO}, before_search=hold)
    with pytest.raises(StageError, match="broken"):
        search(ctx, searches=[vector([1.0, 0.0]), vector([1.0, 0.0], "w")])
    assert (sorted(started), cancelled) == (["v", "w"], ["v"])


def test_the_hard_timeout_keeps_what_is_done_and_says_so() -> None:
    async def hang(request: SearchRequest) -> None:
        if request.feature_uri == "w":
            await asyncio.Event().wait()

    ctx = FakeContext({"c": TWO}, before_search=hang)
    entries = [vector([1.0, 0.0]), vector([1.0, 0.0], "w")]
    assert ids_of(search(ctx, searches=entries, hard_timeout_ms=20)) == ["a", "b", "o"]
    assert [item["code"] for item in ctx.report.incomplete] == ["stage_timeout"]
    alone = FakeContext({"c": TWO}, before_search=hang)
    assert search(alone, searches=entries[1:], hard_timeout_ms=20) == []
    assert [item["code"] for item in alone.report.incomplete] == ["stage_timeout"]


# --- filter alone, facets, groups ---------------------------------------------------------------


def test_without_searches_it_is_a_scroll_by_filter() -> None:
    ctx = on_a_line(*"cab", filter=parse_filter({"field": "n", "operator": "gte", "value": 1}))
    rows = search(ctx)
    assert ids_of(rows) == ["a", "b"] and "score" not in rows[0].fields
    assert ctx.report.shortfall == "2 documents pass the filter"
    with pytest.raises(InvalidRequestError, match="needs a filter"):
        search(on_a_line("a"))


def test_facets_count_the_whole_filtered_set() -> None:
    docs = [
        Doc("a", {"tag": ["x", "y"], "n": 1}, {"v": [1.0]}),
        Doc("b", {"tag": "x", "n": 10}, {"v": [1.0]}),
        Doc("c", {"tag": "z", "n": 9}, {"v": [1.0]}),
        Doc("d", {"tag": "w", "n": 9, "hidden": True}, {"v": [1.0]}),
    ]
    hidden = parse_filter({"NOT": {"hidden": True}})
    ctx = FakeContext({"c": docs}, filter=hidden)
    search(ctx, searches=[vector([1.0])], final_top_k=1, facets=["tag", {"key": "n", "limit": 2}])
    wanted = [
        {
            "key": "tag",
            "buckets": [
                {"value": "x", "count": 2},
                {"value": "y", "count": 1},
                {"value": "z", "count": 1},
            ],
        },
        {"key": "n", "buckets": [{"value": 1, "count": 1}, {"value": 9, "count": 1}]},
    ]
    assert ctx.report.facets == wanted == ctx.report.metadata["facets"]
    later = FakeContext({"c": docs}, filter=hidden, is_first=False)
    search(later, later.all_rows("tag"), searches=[vector([1.0])], facets=["tag"])
    assert later.report.facets == wanted[:1]


GROUPED = [
    Doc(f"d{n}", {"brand": brand, "title": f"t{n}"}, {"v": [1 - n / 10]})
    for n, brand in enumerate(["x", "y", "x", "x", None, "y"])
]


@pytest.mark.parametrize(
    ("mode", "found"), [("first", ["d0", "d1", "d4"]), ("flatten", ["d0", "d2", "d1", "d5", "d4"])]
)
def test_groups_as_rows(mode: str, found: list[str]) -> None:
    ctx = FakeContext({"c": GROUPED}, metrics={"v": "dot"}, hints={"columns": ["brand"]})
    group_by = {"field": "brand", "group_size": 2, "output_mode": mode}
    assert ids_of(search(ctx, searches=[vector([1.0])], group_by=group_by)) == found


def test_groups_with_their_documents() -> None:
    ctx = FakeContext({"c": GROUPED}, metrics={"v": "dot"}, hints={"columns": ["brand"]})
    group_by = {"field": "brand", "max_per_group": 2, "limit": 2}
    rows = search(ctx, searches=[vector([1.0])], group_by=group_by)
    assert [(r.fields["group_key"], r.fields["count"], r.document_id) for r in rows] == [
        ("x", 3, 'group:"x"'),
        ("y", 2, 'group:"y"'),
    ]
    inner = rows[0].fields["documents"]
    assert [(d["document_id"], d["title"]) for d in inner] == [("d0", "t0"), ("d2", "t2")]
    assert rows[0].source is None


@pytest.mark.parametrize("mode", ["first", "flatten", "all"])
@pytest.mark.parametrize("more", [{}, {"max_groups": 2, "exclude_null": True}])
def test_a_moved_group_by_stage_gives_what_it_would_give(mode: str, more: Any) -> None:
    stage = {"group_by_field": "brand", "max_per_group": 2, "output_mode": mode, **more}
    parameters = {"searches": [vector([1.0])], "final_top_k": 5}
    moved = FakeContext({"c": GROUPED}, metrics={"v": "dot"}, hints={"group": stage})
    apart = FakeContext({"c": GROUPED}, metrics={"v": "dot"})
    wanted, _ = run_stage("group_by", stage, search(apart, **parameters), context=apart)
    assert search(moved, **parameters) == wanted
    moved.hints = {"group": stage, "limit": 1}
    assert search(moved, **parameters) == wanted[:1]


@given(
    brands=st.lists(st.sampled_from(["x", "y", "z", None]), max_size=12),
    size=st.integers(1, 3),
    limit=st.integers(1, 4),
    top_k=st.integers(1, 12),
)
@quick
def test_grouping_equals_the_obvious_loop(
    brands: list[str | None], size: int, limit: int, top_k: int
) -> None:
    docs = [Doc(f"d{n:02}", {"b": b}, {"v": [(n * 7 % 5) / 5]}) for n, b in enumerate(brands)]
    ctx = FakeContext({"c": docs}, metrics={"v": "dot"})
    group_by = {"field": "b", "max_per_group": size, "limit": limit, "output_mode": "flatten"}
    rows = search(ctx, searches=[vector([1.0], top_k=top_k)], group_by=group_by)

    best = sorted(docs, key=lambda d: (-np.float32(d.vectors["v"][0]), d.document_id))[:top_k]
    groups: dict[str | None, list[str]] = {}
    for doc in best:
        groups.setdefault(doc.fields["b"], []).append(doc.document_id)
    wanted = [name for members in list(groups.values())[:limit] for name in members[:size]]
    assert ids_of(rows) == wanted


# --- later in a pipeline ------------------------------------------------------------------------


def test_later_it_ranks_the_rows_that_came_in() -> None:
    ctx = FakeContext({"c": line(*"abcd")}, metrics={"v": "dot"}, is_first=False)
    incoming = [row.with_fields({"mine": row.document_id}) for row in ctx.all_rows("n")][1:]
    incoming[0] = incoming[0].with_fields({"features": {"w": {"score": 1}}, "score": 9})
    made = Row("made", {"document_id": "made"})
    rows = search(ctx, [incoming[2], made, *incoming[:2]], searches=[vector([1.0])], final_top_k=2)
    assert ids_of(rows) == ["b", "c"]
    assert rows[0].fields["mine"] == "b" and rows[0].fields["score"] == pytest.approx(0.9)
    assert rows[0].fields["features"].keys() == {"v", "w"}
    assert search(ctx, [], searches=[vector([1.0])]) == []


def test_later_without_searches_it_filters_the_rows() -> None:
    only = parse_filter({"n": 1})
    ctx = FakeContext({"c": line(*"abc")}, is_first=False, filter=only)
    assert ids_of(search(ctx, ctx.all_rows("nothing"))) == ["b"]


def test_rows_of_one_document_stay_apart() -> None:
    ctx = FakeContext({"c": line(*"ab")}, metrics={"v": "dot"}, is_first=False)
    b = ctx.all_rows()[1]
    rows = search(
        ctx, [b.with_fields({"part": 1}), b.with_fields({"part": 2})], searches=[vector([1.0])]
    )
    assert [(r.document_id, r.fields["part"]) for r in rows] == [("b", 1), ("b", 2)]


@given(
    points=st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=9),
    asked=st.lists(st.tuples(st.integers(-3, 3), st.integers(1, 3)), min_size=1, max_size=4),
)
@quick
def test_chunks_find_what_they_would_find_alone(
    points: list[tuple[int, int]], asked: list[tuple[int, int]]
) -> None:
    docs = [Doc(f"d{n}", {}, {"v": [float(x), float(y)]}) for n, (x, y) in enumerate(points)]
    chunks = [chunk([float(x), float(y)]) for x, y in asked]
    together = FakeContext({"c": docs}, metrics={"v": "dot"}, extractor=lambda _: chunks)
    rows = search(together, searches=[content()], final_top_k=4)

    best: dict[str, float] = {}
    for one in chunks:
        alone = FakeContext({"c": docs}, metrics={"v": "dot"})
        for row in search(alone, searches=[vector(one.vector.tolist())]):
            best[row.document_id] = max(best.get(row.document_id, -99.0), row.fields["score"])
    wanted = sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))[:4]
    assert [(row.document_id, row.fields["score"]) for row in rows] == wanted


# --- parameters ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "place", "says"),
    [
        ({"searches": [vector([1])] * 11}, ("searches",), "at most 10"),
        ({"final_top_k": 0}, ("final_top_k",), "greater than or equal to 1"),
        ({"final_top_k": 5001}, ("final_top_k",), "less than or equal to 5000"),
        ({"searches": [vector([1], top_k=5001)]}, ("searches", 0, "top_k"), "5000"),
        ({"searches": [vector([1], min_score=1.5)]}, ("searches", 0, "min_score"), "1"),
        ({"searches": [vector([1], weight=-1)]}, ("searches", 0, "weight"), "0"),
        ({"searches": [vector([1], lexical=True)]}, ("searches", 0), "takes text, not vector"),
        (
            {
                "searches": [
                    {"feature_uri": "v", "query": "", "lexical": True, "on_empty": "random"}
                ]
            },
            ("searches", 0),
            "no random vector",
        ),
        ({"searches": [vector([1], surprise=1)]}, ("searches", 0, "surprise"), "not permitted"),
        ({"searches": [{"feature_uri": "v"}]}, ("searches", 0, "query"), "required"),
        ({"searches": [{"feature_uri": "", "query": "x"}]}, ("searches", 0, "feature_uri"), "1"),
        ({"fusion": "learned"}, ("fusion",), "interactions"),
        ({"learning_config": {}}, ("learning_config",), "not available"),
        ({"group_by": {"field": "b", "limit": 501}}, ("group_by", "limit"), "500"),
        ({"facets": [{"key": "b", "limit": 0}]}, ("facets", 0, "limit"), "1"),
        ({"hard_timeout_ms": 0}, ("hard_timeout_ms",), "1"),
        (
            {"searches": [entry({"input_mode": "multi_content", "values": ["a"]})]},
            ("searches", 0, "query", "input_mode"),
            "one search per input",
        ),
        (
            {"searches": [entry({"input_mode": "vector", "text": "a"})]},
            ("searches", 0, "query"),
            "takes value; not text",
        ),
        (
            {"searches": [entry({"content": {"url": "a", "base64": "b"}})]},
            ("searches", 0, "query", "content"),
            "exactly one",
        ),
        (
            {"searches": [entry({"value": "a", "input_mode": "text", "embedding_task": "x"})]},
            ("searches", 0, "query", "embedding_task"),
            "not supported",
        ),
    ],
)
def test_parameters_are_checked_in_their_place(
    parameters: dict[str, Any], place: tuple[Any, ...], says: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        find_stage("feature_search").params.model_validate(parameters)
    assert [error["loc"] for error in caught.value.errors()] == [place]
    assert says in caught.value.errors()[0]["msg"]


def test_a_search_s_faulty_filter_is_named() -> None:
    with pytest.raises(FilterError) as caught:
        bad = {"field": "n", "operator": "nearly", "value": 1}
        find_stage("feature_search").params.model_validate({"searches": [vector([1], filters=bad)]})
    assert caught.value.problems[0].path.startswith("searches.0.filters")


def test_other_spellings_and_nulls() -> None:
    params: Any = find_stage("feature_search").params.model_validate(
        {
            "searches": [{"vector_name": "v", "vector": [1, 2], "min_score": None, "top_k": None}],
            "final_top_k": None,
            "fusion": None,
            "group_by": None,
            "learning_config": None,
            "cache_behavior": "aggressive",
            "interactive": True,
        }
    )
    assert params.searches[0].feature_uri == "v"
    assert params.searches[0].query.value == [1, 2]
    assert (params.final_top_k, params.fusion, params.searches[0].top_k) == (25, "rrf", 100)
