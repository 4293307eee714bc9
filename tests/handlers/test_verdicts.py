"""A verdict never says more than the answer proves: above all, "clear" is proven or not said."""

from dataclasses import replace
from typing import Any

import pytest

from core.scan.thresholds import (
    Measure,
    Thresholds,
    read_measures,
    searched_features,
    thresholds_of,
)
from core.scan.verdicts import NOT_COMPARED
from core.types import JsonObject
from handlers.verdicts import Verdict, judge_result

URI = "mixpeek://image.pdq@v1/hash"
MEASURES = {URI: Measure(dimension=256, match=31, review=60, unit="bits")}


def thresholds(*features: str) -> Thresholds:
    search = {"searches": [{"feature_uri": uri} for uri in features]}
    stage = {"stage_name": "s", "config": {"stage_id": "feature_search", "parameters": search}}
    return thresholds_of({"stages": [stage]}, MEASURES)


def judge(answer: JsonObject, features: list[str], _: object) -> Verdict:
    return judge_result(answer, thresholds(*features))


def document(bits: int, name: str = "a", **more: Any) -> JsonObject:
    score = 1 - bits / 256
    return {"document_id": name, "score": score, "features": {URI: {"score": score}}, **more}


def result(*bits: int, **changes: Any) -> JsonObject:
    best = max((1 - n / 256 for n in bits), default=0.5)
    whole: JsonObject = {
        "status": "completed",
        "complete": True,
        "incomplete": [],
        "documents": [document(n, f"d{n}") for n in bits],
        "error": None,
        **evidence(best_score=best),
    }
    return {**whole, **changes}


def evidence(**changes: Any) -> JsonObject:
    own = {"compared": 100, "best_score": 0.5, "whole": True, **changes}
    return {
        "evidence": {"exact": True, "unsearchable": 0, "features": {URI: own}, **own, **changes}
    }


def word(answer: JsonObject) -> str:
    return judge(answer, [URI], MEASURES).word


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (0, "match"), (30, "match"), (31, "match"),
        (32, "review"), (60, "review"),
        (61, "clear"), (256, "clear"),
    ],
)  # fmt: skip  # thresholds in rows
def test_the_nearest_document_decides(bits: int, expected: str) -> None:
    verdict = judge(result(200, bits), [URI], MEASURES)
    assert verdict.word == expected
    assert verdict.distance == min(bits, 200)
    assert verdict.document is not None
    assert verdict.unit == "bits"


def test_every_distance_comes_back_as_it_was_scored() -> None:
    measure = MEASURES[URI]
    assert [measure.distance(1 - bits / 256) for bits in range(257)] == list(range(257))


def test_a_rank_score_is_not_a_distance() -> None:
    fused = document(250)
    fused["features"][URI] = {"score": 1.0, "similarity": 1 - 250 / 256}
    assert word(result(documents=[fused])) == "clear"


def test_nothing_near_is_clear_when_it_is_proven() -> None:
    verdict = judge(result(), [URI], MEASURES)
    assert (verdict.word, verdict.reason, verdict.document) == ("clear", None, None)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"status": "timed_out", "error": {"message": "too slow"}}, "too slow"),
        ({"status": "failed", "error": {"message": "truncated"}}, "truncated"),
        ({"status": "failed", "error": None}, "failed"),
        ({"complete": False, "incomplete": [{"code": "c", "message": "skipped"}]}, "skipped"),
        ({"complete": False}, "incomplete"),
        ({"incomplete": [{"code": "c", "message": "capped"}]}, "capped"),
        (evidence(exact=False), "exact"),
        (evidence(compared=0), NOT_COMPARED),
        (evidence(best_score=None), "how near"),
        ({"evidence": None}, NOT_COMPARED),
        (evidence(best_score=1.0), "left it out"),
        (evidence(best_score=1 - 60 / 256), "60 bits"),
    ],
)
def test_whatever_is_not_proven_is_unknown(changes: JsonObject, why: str) -> None:
    for documents in ([], [document(200)]):
        verdict = judge(result(**{"documents": documents, **changes}), [URI], MEASURES)
        assert verdict.word == "unknown"
        assert why in (verdict.reason or "")


def test_documents_that_moved_to_a_file_are_not_taken_for_none() -> None:
    moved = result()
    del moved["documents"]
    assert word(moved) == "unknown"


def test_a_match_stands_though_something_was_skipped() -> None:
    entry = {"code": "c", "message": "one frame was skipped"}
    verdict = judge(result(3, complete=False, incomplete=[entry]), [URI], MEASURES)
    assert (verdict.word, verdict.reason) == ("match", "one frame was skipped")


def test_what_a_later_stage_left_out_is_not_clear_beside_farther_documents() -> None:
    left = result(100, **evidence(best_score=1 - 5 / 256))
    assert word(left) == "unknown"


@pytest.mark.parametrize("features", [[], ["text_embedding"], [URI, "text_embedding"]])
def test_without_thresholds_nothing_is_clear(features: list[str]) -> None:
    assert judge(result(200), features, MEASURES).word == "unknown"


def test_a_document_without_its_distance_proves_nothing() -> None:
    bare = {"document_id": "a", "score": 1.0}
    assert word(result(documents=[bare], **evidence(best_score=1.0))) == "unknown"


def test_measures_and_features_are_read_from_answers() -> None:
    entry = {
        "feature_uri": URI,
        "vector_name": "image_pdq_v1_hash",
        "metric": "hamming",
        "dimension": 256,
        "thresholds": {"match": 31, "review": 60, "unit": "bits"},
    }
    found = read_measures([entry, {**entry, "feature_uri": "other", "metric": "cosine"}])
    assert found == {URI: MEASURES[URI], "image_pdq_v1_hash": MEASURES[URI]}
    search = {"stage_id": "feature_search", "parameters": {"searches": [{"feature_uri": URI}]}}
    limit = {"stage_id": "limit", "parameters": {"limit": 3}}
    retriever = {"stages": [{"config": search}, {"config": limit}, {"config": search}]}
    assert searched_features(retriever) == [URI]


def test_a_canary_that_nobody_looked_for_clears_nothing() -> None:
    watched = replace(thresholds(URI), canary="bird")
    said = judge_result(result(200), watched)
    assert said.word == "unknown"
    assert "trawl scan" in str(said.reason)
    assert judge_result(result(3), watched).word == "match"
