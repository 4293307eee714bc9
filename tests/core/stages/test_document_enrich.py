"""document_enrich: joins by value and by retriever, and how the found document is merged."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from mixpeek.models.stage_params_document_enrich import StageParamsDocumentEnrich
from pydantic import ValidationError

from core.errors import DeadlineError, FilterError, NotFoundError, StageError, TemplateError
from core.registry import find_stage
from core.rows.row import Row, Rows
from core.traits import ALL
from core.types import ReadOnlyObject
from tests.core.stages.context import Doc, FakeContext, rows_of
from tests.core.stages.running import ids_of, run_stage

BRANDS = [
    Doc("b1", {"name": "Acme", "info": {"country": "CH", "since": 1900}}),
    Doc("b2", {"name": "Zeta", "info": {"country": "FR"}, "tier": 2}),
]
CTX = {"brands": BRANDS}
JOIN = {"target_collection_id": "brands", "source_field": "brand_id"}


def enrich(rows: Sequence[Any], **parameters: Any) -> list[dict[str, Any]]:
    ctx = FakeContext(CTX, is_first=False)
    out, _ = run_stage("document_enrich", parameters, rows, context=ctx)
    return [dict(row.fields) for row in out]


def test_a_root_merge_leaves_the_document_who_it_is() -> None:
    row = {"document_id": "d", "collection_id": "c", "score": 0.5, "brand_id": "b1", "name": "x"}
    assert enrich([row], **JOIN) == [
        {**row, "name": "Acme", "info": {"country": "CH", "since": 1900}}
    ]


def test_named_fields_are_merged_even_into_the_identity() -> None:
    row = {"document_id": "d", "brand_id": "b2", "info": {"mine": 1}}
    out = enrich([row], **JOIN, fields_to_merge=["info.country", "document_id", "nothing"])
    assert out == [{"document_id": "b2", "brand_id": "b2", "info": {"mine": 1, "country": "FR"}}]


@pytest.mark.parametrize(
    ("old", "strategy", "new"),
    [
        (None, "enrich", {"name": "Acme"}),
        ({"mine": 1}, "enrich", {"mine": 1, "name": "Acme"}),
        ({"mine": 1}, "replace", {"name": "Acme"}),
        (None, "append", [{"name": "Acme"}]),
        ([{"mine": 1}], "append", [{"mine": 1}, {"name": "Acme"}]),
        ("mine", "append", ["mine", {"name": "Acme"}]),
    ],
)
def test_strategies_at_an_output_field(old: Any, strategy: str, new: Any) -> None:
    row = {"document_id": "d", "brand_id": "b1", "e": {"keep": 1} | ({"brand": old} if old else {})}
    into = {"output_field": "e.brand", "fields_to_merge": ["name"], "strategy": strategy}
    assert enrich([row], **JOIN, **into) == [{**row, "e": {"keep": 1, "brand": new}}]


def test_replacing_the_root_leaves_only_the_identity() -> None:
    ctx = FakeContext({**CTX, "c": [Doc("d", {"brand_id": "b2", "old": 1})]}, is_first=False)
    row = ctx.all_rows()[2]
    parameters = {**JOIN, "strategy": "replace"}
    (out,), _ = run_stage("document_enrich", parameters, [row], context=ctx)
    assert dict(out.fields) == {
        "document_id": "d",
        "collection_id": "c",
        "name": "Zeta",
        "info": {"country": "FR"},
        "tier": 2,
    }
    assert asyncio.run(ctx.hydrate([out])) == [out]


def test_missing_matches_pass_or_go() -> None:
    rows = [{"brand_id": "b9"}, {}, {"brand_id": None}, {"brand_id": "b1"}]
    kept = enrich(rows, **JOIN)
    assert [r["document_id"] for r in kept] == ["d0", "d1", "d2", "d3"]
    assert [("name" in r) for r in kept] == [False, False, False, True]
    ctx = FakeContext(CTX, is_first=False)
    out, report = run_stage("document_enrich", {**JOIN, "allow_missing": False}, rows, context=ctx)
    assert ids_of(out) == ["d3"]
    assert report.shortfall == "3 of 4 documents have no match to be joined with"


def test_when_excludes_documents_from_enriching_and_from_dropping() -> None:
    rows = [{"brand_id": "b1", "n": 1}, {"brand_id": "b9", "n": 2}, {"brand_id": "b9", "n": 1}]
    out = enrich(rows, **JOIN, when={"field": "n", "value": 1}, allow_missing=False)
    assert [(r["document_id"], r.get("name")) for r in out] == [("d0", "Acme"), ("d1", None)]


def test_of_an_array_the_first_element_with_a_match_counts() -> None:
    rows = [{"brand_id": ["b9", "b2", "b1"]}, {"brand_id": []}]
    assert [r.get("name") for r in enrich(rows, **JOIN)] == ["Zeta", None]


def test_any_fields_can_be_joined_and_the_first_document_wins() -> None:
    rows = [{"a": {"land": "CH"}}, {"a": {"land": "FR"}}]
    found = enrich(
        rows,
        collection_id="brands",
        source_field="a.land",
        lookup_field="info.country",
        select_fields=["name"],
        result_field="found",
    )
    assert [r["found"] for r in found] == [{"name": "Acme"}, {"name": "Zeta"}]


def test_an_unknown_collection_fails() -> None:
    with pytest.raises(NotFoundError):
        enrich([{"brand_id": "b1"}], **{**JOIN, "target_collection_id": "nowhere"})


def test_a_scalar_in_the_way_of_the_output_is_not_overwritten() -> None:
    with pytest.raises(StageError, match="cannot set"):
        enrich([{"brand_id": "b1", "e": 1}], **JOIN, output_field="e.brand")


# --- retriever joins ----------------------------------------------------------------------------


class Found:
    """A retriever that returns what its table says, and keeps what it was asked."""

    def __init__(self, **table: list[dict[str, Any]]) -> None:
        self.table = table
        self.asked: list[Any] = []
        self.running = self.peak = 0

    async def __call__(self, inputs: ReadOnlyObject) -> Rows:
        self.asked.append(inputs["q"])
        self.running += 1
        self.peak = max(self.peak, self.running)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.running -= 1
        return rows_of(*self.table.get(str(inputs["q"]), []))


def test_a_retriever_join_takes_the_best_result_with_its_score() -> None:
    found = Found(x=[{"document_id": "best", "score": 0.9}, {"document_id": "next"}])
    ctx = FakeContext(retrievers={"r": found}, scope={"INPUT": {"p": "!"}}, is_first=False)
    parameters = {
        "retriever_id": "r",
        "retriever_inputs": {"q": "{{DOC.m.tag}}", "p": "{{INPUT.p}}"},
        "output_field": "near",
    }
    rows = [{"m": {"tag": "x"}, "score": 0.1}, {"m": {"tag": "y"}}, {"m": {"tag": "x"}}]
    out, _ = run_stage("document_enrich", parameters, rows, context=ctx)
    best = {"document_id": "best", "score": 0.9}
    assert [row.fields.get("near") for row in out] == [best, None, best]
    assert out[0].fields["score"] == 0.1
    assert sorted(found.asked) == ["x", "y"]


def test_inputs_keep_their_type_and_undefined_names_fail() -> None:
    found = Found()
    ctx = FakeContext(retrievers={"r": found}, is_first=False)
    parameters = {"retriever_id": "r", "retriever_inputs": {"q": "{{DOC.v}}"}}
    run_stage("document_enrich", parameters, [{"v": [0.5, 1]}], context=ctx)
    assert found.asked == [[0.5, 1]]
    with pytest.raises(TemplateError):
        run_stage("document_enrich", parameters, [{"w": 1}], context=ctx)


def test_at_most_ten_lookups_at_once() -> None:
    found = Found()
    ctx = FakeContext(retrievers={"r": found}, is_first=False)
    parameters = {"retriever_id": "r", "retriever_inputs": {"q": "{{DOC.n}}"}}
    run_stage("document_enrich", parameters, [{"n": n} for n in range(35)], context=ctx)
    assert (len(found.asked), found.peak) == (35, 10)


def test_an_inline_retriever_is_handed_on_unrendered_and_scoped() -> None:
    seen: list[Any] = []

    def on_stages(config: Any, inputs: Any) -> list[Row]:
        seen.append((config, inputs))
        return [Row("x", {"document_id": "x", "name": "N"})]

    config = {"stages": [{"stage_id": "limit", "parameters": {"limit": "{{INPUT.n}}"}}]}
    ctx = FakeContext(on_stages=on_stages, is_first=False)
    parameters = {"retriever_config": config, "target_collection_id": "brands"}
    out, _ = run_stage("document_enrich", parameters, [{"a": 1}], context=ctx)
    assert out[0].fields["name"] == "N" and out[0].document_id == "d0"
    assert seen == [({"collection_identifiers": ["brands"], **config}, {})]
    assert {"retriever_config", "retriever_inputs"} <= find_stage("document_enrich").row_templates


def test_a_lookup_out_of_time_is_no_match_and_incomplete() -> None:
    def late(_: ReadOnlyObject) -> Rows:
        raise DeadlineError("time ran out")

    ctx = FakeContext(retrievers={"r": late}, is_first=False)
    out, report = run_stage("document_enrich", {"retriever_id": "r"}, [{"a": 1}], context=ctx)
    assert ids_of(out) == ["d0"]
    assert [item["code"] for item in report.incomplete] == ["lookup_timeout"]
    with pytest.raises(NotFoundError):
        run_stage("document_enrich", {"retriever_id": "s"}, [{"a": 1}], context=ctx)


# --- parameters ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"retriever_id": "r", "retriever_config": {"stages": [{}]}},
        {"retriever_config": {"stages": []}},
        {"retriever_config": {}},
        {"retriever_id": "r", "target_collection_id": "c"},
        {**JOIN, "retriever_inputs": {"q": 1}},
        {**JOIN, "strategy": "append"},
        {**JOIN, "strategy": "merge"},
        {**JOIN, "multiple": True},
    ],
)
def test_joins_that_mean_nothing_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        find_stage("document_enrich").params.model_validate(parameters)


def test_what_the_sdk_s_typed_model_sends_is_understood() -> None:
    read = find_stage("document_enrich").params.model_validate
    sent = StageParamsDocumentEnrich(retriever_id="r").to_dict()
    assert sent["target_collection_id"] == "{{COLLECTION_ID}}" and sent["output_field"] == "null"
    assert read(sent) == read({"retriever_id": "r"})
    assert read(StageParamsDocumentEnrich(target_collection_id="c").to_dict()) == read(
        {"target_collection_id": "c"}
    )


def test_the_collection_may_be_named_by_an_input() -> None:
    ctx = FakeContext(CTX, scope={"INPUT": {"where": "brands"}}, is_first=False)
    parameters = {**JOIN, "target_collection_id": "{{INPUT.where}}", "fields_to_merge": ["name"]}
    out, _ = run_stage("document_enrich", parameters, [{"brand_id": "b1"}], context=ctx)
    assert out[0].fields["name"] == "Acme"


def test_a_faulty_when_is_named() -> None:
    with pytest.raises(FilterError):
        raw = {**JOIN, "when": {"field": "n", "operator": "nearly"}}
        find_stage("document_enrich").params.model_validate(raw)


@pytest.mark.parametrize(
    ("parameters", "reads", "writes"),
    [
        (JOIN, {"brand_id"}, ALL),
        ({**JOIN, "output_field": "m.b"}, {"brand_id", "m"}, {"m.b"}),
        ({**JOIN, "fields_to_merge": ["i.c"], "when": {"n": 1}}, {"brand_id", "i", "n"}, {"i.c"}),
        (
            {"retriever_id": "r", "retriever_inputs": {"q": "{{DOC.t}}"}, "output_field": "o"},
            {"o", "t"},
            {"o"},
        ),
        ({"retriever_id": "r", "retriever_inputs": {"q": "{{DOC}}"}}, ALL, ALL),
    ],
)
def test_what_it_declares(parameters: dict[str, Any], reads: Any, writes: Any) -> None:
    stage = find_stage("document_enrich")
    params = stage.params.model_validate(parameters)
    assert stage.traits.reads(params) == reads
    assert stage.traits.writes(params) == writes
