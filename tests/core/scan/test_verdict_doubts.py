"""One thing wrong at a time with an answer that finds nothing: each alone keeps it from clear."""

from dataclasses import replace
from typing import Any

import pytest

from core.scan.thresholds import Scale
from core.scan.verdicts import canary_fault, judge, level_of
from core.types import JsonObject
from tests.core.scan.test_verdicts import FIELD, RULE, evidence, result, thresholds

OWN = {"compared": 9, "best_score": 0.1, "whole": True}


def of_own(**changes: Any) -> JsonObject:
    """Return a change of what is known of the one feature's search."""
    return {"evidence": {**evidence(0.1), "features": {"own": {**OWN, **changes}}}}


# Of these no rule makes an exception.
DOUBTS: list[tuple[str, JsonObject]] = [
    ("timed_out", {"status": "timed_out"}),
    ("incomplete", {"complete": False}),
    ("stage_skipped", {"incomplete": [{"code": "stage_skipped", "message": "m"}]}),
    ("documents_elsewhere", {"documents_count": 3}),
    ("nothing_compared", {"evidence": None}),
    ("nothing_compared", {"evidence": {**evidence(0.1), "features": {}}}),
    ("nothing_compared", {"evidence": {**evidence(0.1), "features": {"other": OWN}}}),
    ("nothing_compared", of_own(compared=0)),
    ("not_all_compared", of_own(whole=False)),
    ("unsearchable_documents", {"evidence": {**evidence(0.1), "unsearchable": 1}}),
]
NOT_EXACT = [
    {"evidence": evidence(0.1, exact=False)},
    {"evidence": {name: value for name, value in evidence(0.1).items() if name != "exact"}},
]
APPROXIMATE = {**RULE, "allow_approximate": True}


@pytest.mark.parametrize("rule", [RULE, FIELD, APPROXIMATE])
@pytest.mark.parametrize(("code", "changes"), DOUBTS)
def test_each_doubt_alone_keeps_an_answer_from_clear(
    rule: JsonObject, code: str, changes: JsonObject
) -> None:
    assert judge(result(0.1), thresholds(rule)).word == "clear"
    said = judge(result(0.1, **changes), thresholds(rule))
    assert (said.word, said.reasons[0].code) == ("unknown", code)


@pytest.mark.parametrize("changes", NOT_EXACT)
def test_what_is_not_proven_exact_clears_only_where_that_is_allowed(changes: JsonObject) -> None:
    for rule in (RULE, FIELD):
        said = judge(result(0.1, **changes), thresholds(rule))
        assert (said.word, said.reasons[0].code) == ("unknown", "not_exact")
    assert judge(result(0.1, **changes), thresholds(APPROXIMATE)).word == "clear"


@pytest.mark.parametrize("rule", [RULE, FIELD, APPROXIMATE])
def test_an_answer_whose_documents_are_elsewhere_is_not_clear(rule: JsonObject) -> None:
    gone = {name: value for name, value in result(0.1).items() if name != "documents"}
    said = judge(gone, thresholds(rule))
    assert (said.word, said.reasons[0].code) == ("unknown", "documents_elsewhere")


@pytest.mark.parametrize(
    ("best", "expected"),
    [(None, "no_best_score"), (0.95, "left_out"), (0.7, "left_out"), (0.69, None)],
)
def test_what_the_search_came_near_to_must_be_in_the_answer(
    best: float | None, expected: str | None
) -> None:
    said = judge(result(0.1, **of_own(best_score=best)), thresholds(RULE))
    assert said.word == ("unknown" if expected else "clear")
    assert [reason.code for reason in said.reasons] == ([expected] if expected else [])


def test_a_retriever_that_searches_for_nothing_clears_nothing() -> None:
    said = judge(result(0.1), replace(thresholds(RULE), features=()))
    assert (said.word, said.reasons[0].code) == ("unknown", "no_search")


def test_a_near_document_counts_whatever_else_went_wrong() -> None:
    for _, changes in DOUBTS[1:]:
        assert judge(result(0.95, **changes), thresholds(RULE)).word == "block", changes


def test_the_worst_level_counts_before_the_greatest_margin() -> None:
    scales = {"film": Scale(0.79, 0.78), "sound": Scale(0.85, 0.5)}
    both = replace(thresholds(RULE), features=("film", "sound"), scales=scales)
    film = {"document_id": "f", "features": {"film": {"score": 0.79}}}
    sound = {"document_id": "s", "features": {"sound": {"score": 0.84}}}
    for documents in ([film, sound], [sound, film]):
        said = judge(result(documents=documents), both)
        assert said.word == "block"
        assert said.nearest is not None
        assert said.nearest.document["document_id"] == "f"
    assert [level_of(one, both) for one in (film, sound, {"document_id": "n"})] == [
        *("block", "review", None)
    ]


@pytest.mark.parametrize(("likeness", "score", "word"), [(0.95, 0.1, "block"), (0.1, 0.6, "clear")])
def test_with_a_field_of_its_own_a_rule_looks_nowhere_else(
    likeness: float, score: float, word: str
) -> None:
    shown = {"document_id": "d", "features": {"own": {"score": score}}, "likeness": likeness}
    rule = thresholds({**FIELD, "block_at": 0.5, "review_at": 0.5})
    assert judge(result(documents=[shown], best=score), rule).word == word


def test_thresholds_that_no_score_reaches_clear_nothing() -> None:
    beyond = {"own": Scale(1.5, 1.2, most=1.0)}
    said = judge(result(0.1), replace(thresholds(RULE), scales=beyond))
    assert (said.word, said.reasons[0].code) == ("unknown", "unreachable")
    # Where a field decides, features need no thresholds.
    fielded = replace(thresholds(FIELD), scales=beyond, strange=("own",))
    assert judge(result(0.1), fielded).word == "clear"


def test_a_similarity_counts_though_too_few_chunks_agree() -> None:
    hit = {"score": 0.2, "similarity": 0.95, "aligned": False}
    shown = {"document_id": "d", "features": {"own": hit}}
    assert judge(result(documents=[shown], best=0.95), thresholds(RULE)).word == "block"


# The canary is d1; documents are (id, score, `_internal`).
Shown = tuple[str, float, JsonObject]
CHUNK: JsonObject = {"chunk": {"of": "d1"}}
OTHER: JsonObject = {"chunk": {"of": "d2"}, "lineage": {"root_object_id": "d2"}}


@pytest.mark.parametrize(
    ("shown", "passes"),
    [
        ([], False),
        ([("d1", 0.95, {})], True),
        ([("d2", 0.94, {}), ("d1", 0.95, {})], True),
        ([("d2", 0.95, {}), ("d1", 0.95, {})], True),  # a copy of it is another reference
        ([("d2", 0.99, {}), ("d1", 0.95, {})], False),  # not on top
        ([("d2", 0.99, {})], False),  # something else
        ([("d1", 0.8, {})], False),  # a review only
        ([("d1", 0.1, {})], False),
        ([("d1#3", 0.95, CHUNK)], True),
        ([("d1#3", 0.95, {"lineage": {"root_object_id": "d1"}})], True),
        ([("d2#3", 0.95, OTHER)], False),
    ],
)
def test_only_the_canary_itself_on_top_is_the_canary(shown: list[Shown], passes: bool) -> None:
    documents = [
        {"document_id": name, "features": {"own": {"score": score}}, "_internal": internal}
        for name, score, internal in shown
    ]
    rule = thresholds({**RULE, "canary": "d1"})
    fault = canary_fault(result(documents=documents), rule)
    assert (None if fault is None else fault.code) == (None if passes else "canary_missing")


def test_a_document_without_an_id_is_nobodys_canary() -> None:
    nameless = {"features": {"own": {"score": 0.95}}}
    assert canary_fault(result(documents=[nameless]), thresholds(RULE)) is not None


def test_a_failed_search_for_the_canary_is_no_pass() -> None:
    rule = thresholds({**RULE, "canary": "d1"})
    fault = canary_fault(result(0.95, status="failed", error={"message": "gone"}), rule)
    assert fault is not None
    assert (fault.code, "gone" in fault.message) == ("canary_failed", True)
    assert judge(result(0.1), rule, fault).word == "unknown"
    assert judge(result(0.95), rule, fault).word == "block"
