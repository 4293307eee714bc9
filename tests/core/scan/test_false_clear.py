"""Ways to a "clear" that proves nothing: each must end in "unknown", or in what was found."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.deadline import NEVER
from core.hits import Evidence
from core.media.extractors import AUDIO_CHROMAPRINT
from core.models.base import parse_model
from core.models.documents import UpsertRequest
from core.models.execution import BatchRequest
from core.models.retriever import RetrieverPatch
from core.scan.thresholds import (
    Measure,
    Scale,
    Thresholds,
    own_measures,
    thresholds_of,
    with_metrics,
)
from core.scan.verdicts import judge
from core.stages._votes import voted_evidence
from core.types import JsonObject
from tests.core.scan.test_verdicts import RULE, evidence, result
from tests.core.scan.world import PDQ, World, cells_of, result_of, url, world
from tests.core.service import stage


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("data")) as made:
        yield made


def said_of(here: World, name: str, file: str = "new1", **more: Any) -> tuple[str, str | None]:
    """Make a retriever, scan one file with it; return the verdict and the first reason's code."""
    here.retriever(name, "art", **more)
    (cell,) = cells_of(here.scan([url(file)], [name])).values()
    return cell["verdict"], cell["reasons"][0]["code"] if cell["reasons"] else None


def near(**search: Any) -> JsonObject:
    """Return a stage that searches for the file."""
    query = {"input_mode": "content", "value": "{{INPUT.file}}"}
    return stage("feature_search", searches=[{"feature_uri": PDQ, "query": query, **search}])


def put_stages(here: World, name: str, stages: Sequence[JsonObject]) -> None:
    """Give a retriever other stages."""
    named = [{**one, "stage_name": f"s{n}"} for n, one in enumerate(stages)]
    patch = parse_model(RetrieverPatch, {"stages": named})
    here.app.retrievers.patch(here.namespace, name, patch, check=here.app.engine.check)


def test_a_search_for_something_else_says_nothing_of_the_file(here: World) -> None:
    query = {"input_mode": "content", "value": url("new2")}
    found = said_of(here, "elsewhere", file="art0", search={"query": query})
    assert found == ("unknown", "no_search")
    quoted = {"input_mode": "content", "value": "{{ INPUT['file'] }}"}
    assert said_of(here, "quoted", search={"query": quoted}) == ("clear", None)


def test_a_search_among_what_others_found_says_nothing_of_the_rest(here: World) -> None:
    first = stage("attribute_filter", field="filename", operator="ne", value="art0.jpg")
    here.retriever("second", "art")
    put_stages(here, "second", [first, stage("limit", limit=1), near()])
    (cell,) = cells_of(here.scan([url("art4")], ["second"])).values()
    assert cell["evidence"]["features"][PDQ] == {
        "compared": 1,
        "best_score": cell["evidence"]["best_score"],
        "whole": False,
    }
    assert (cell["verdict"], cell["reasons"][0]["code"]) == ("unknown", "not_all_compared")


def test_documents_without_vectors_are_no_references_that_were_compared(here: World) -> None:
    here.references("blind", ["blind0", "blind1"])
    here.retriever("blind", "blind")
    here.retriever(
        "sighted",
        "blind",
        search={"filters": {"field": "filename", "operator": "ne", "value": "plain.png"}},
    )
    plain = {"document_id": "plain", "payload": {"filename": "plain.png", "path": "a b/plain.png"}}
    body = {"collection_id": "blind", "documents": [plain]}
    request = parse_model(UpsertRequest, body)
    here.app.documents.upsert(here.namespace, request, deadline=NEVER)
    cells = cells_of(here.scan([url("new1"), url("blind1")], ["blind", "sighted"]))
    assert cells[0, "blind"]["evidence"]["unsearchable"] == 1
    assert cells[0, "blind"]["evidence"]["unsearchable_documents"] == ["plain"]
    [entry] = cells[0, "blind"]["evidence"]["unsearchable_files"]
    collection = here.app.collections.find(here.namespace.namespace_id, "blind").collection_id
    assert entry == {
        "document_id": "plain",
        "collection_id": collection,
        "path": "a b/plain.png",
    }
    (reason,) = cells[0, "blind"]["reasons"]
    assert reason["code"] == "unsearchable_documents"
    # Which one, and what to do.
    assert "('a b/plain.png' as 'plain')" in reason["message"]
    command = f"delete them (trawl documents delete {collection} plain), or keep them out"
    assert command in reason["message"]
    words = {key: cell["verdict"] for key, cell in cells.items()}
    assert words == {
        (0, "blind"): "unknown",
        (0, "sighted"): "clear",  # its filter leaves the other out
        (1, "blind"): "block",
        (1, "sighted"): "block",
    }


def test_of_many_documents_without_vectors_the_first_are_named(here: World) -> None:
    here.references("blinder", ["blind0"])
    here.retriever("blinder", "blinder")
    documents = [{"document_id": f"plain{n}"} for n in range(8)]
    request = parse_model(UpsertRequest, {"collection_id": "blinder", "documents": documents})
    here.app.documents.upsert(here.namespace, request, deadline=NEVER)
    (cell,) = cells_of(here.scan([url("new1")], ["blinder"])).values()
    assert cell["evidence"]["unsearchable"] == 8
    assert cell["evidence"]["unsearchable_documents"] == [f"plain{n}" for n in range(5)]
    message = cell["reasons"][0]["message"]
    assert "'plain4', 3 more)" in message
    assert " plain0 plain1 plain2 plain3 plain4), or" in message


@pytest.mark.parametrize("rule", [{"block_at": 90}, {"block_at": 1.01}])
def test_thresholds_that_nothing_reaches_clear_nothing(here: World, rule: JsonObject) -> None:
    assert said_of(here, f"high{rule['block_at']}", "art0", verdict=rule) == (
        "unknown",
        "unreachable",
    )


def test_the_highest_scores_of_own_vectors_follow_from_their_metric() -> None:
    ruled = _thresholds({**RULE, "block_at": 3, "review_at": 2})
    assert judge(result(0.9), ruled).word == "clear"
    for metric, word in (("dot", "clear"), ("cosine", "unknown"), ("euclidean", "unknown")):
        said = judge(result(0.9), with_metrics(ruled, {"own": metric}))  # type: ignore[dict-item]  # a Metric each
        assert said.word == word


def _thresholds(rule: JsonObject | None, *features: str, **search: Any) -> Thresholds:
    searches = [{"feature_uri": uri, **search} for uri in features or ("own",)]
    parameters = {"searches": searches}
    near = {
        "stage_name": "near",
        "config": {"stage_id": "feature_search", "parameters": parameters},
    }
    return thresholds_of({"stages": [near], "verdict": rule}, own_measures())


def test_one_feature_does_not_hide_anothers_match() -> None:
    """0.80 means nothing of sound, and 0.78 of film is a review that was left out."""
    sound = Scale(0.85, 0.81, Measure(256, 38, 50, "bits"))
    film = Scale(0.88, 0.77, Measure(256, 31, 60, "bits"))
    both = replace(_thresholds(RULE, "film", "sound"), scales={"film": film, "sound": sound})
    shown = [{"document_id": "d", "features": {"sound": {"score": 0.80}}}]

    def of(film_score: float) -> JsonObject:
        features = {
            name: {"compared": 9, "best_score": score, "whole": True}
            for name, score in (("film", film_score), ("sound", 0.80))
        }
        found = {**evidence(0.80), "features": features}
        return result(documents=shown, evidence=found)

    said = judge(of(0.78), both)
    assert (said.word, said.reasons[0].code) == ("unknown", "left_out")
    assert judge(of(0.5), both).word == "clear"


def test_a_feature_that_was_not_searched_is_not_clear() -> None:
    both = _thresholds(RULE, "own", "other")
    said = judge(result(0.1), both)
    assert (said.word, said.reasons[0].code) == ("unknown", "nothing_compared")
    assert "other" in said.reasons[0].message


def test_near_chunks_that_agree_on_nothing_are_clear() -> None:
    """What votes report if too few agree is below the least score that counts."""
    uri, rule = AUDIO_CHROMAPRINT.feature_uri, AUDIO_CHROMAPRINT.votes
    assert rule is not None
    best = voted_evidence(rule, Evidence(9, 0.95), []).best_score
    own = {"compared": 9, "best_score": best, "whole": True}
    answer = result(evidence={**evidence(best), "features": {uri: own}})
    assert judge(answer, _thresholds(None, uri)).word == "clear"


@pytest.mark.parametrize(
    ("name", "least", "word"), [("score", 0.7, "clear"), ("score", 0.8, "unknown"),
                                ("likeness", 0.1, "unknown")]
)  # fmt: skip  # rows
def test_a_floor_under_the_search_hides_what_another_field_would_show(
    name: str, least: float, word: str
) -> None:
    rule = {**RULE, "score_field": name}
    assert judge(result(), _thresholds(rule, min_score=least)).word == word


@pytest.fixture(scope="module")
def any_retriever(here: World) -> str:
    """One whose stages are put in place of others again and again."""
    here.retriever("any", "art")
    return "any"


STAGES = [
    stage("limit", limit=1),
    stage("limit", limit=1, offset=1),
    stage("sample", count=1, seed=7),
    stage("score_threshold", min_score=0.999),
    stage("score_normalize"),
    stage("score_normalize", method="z_score"),
    stage("sort_attribute", field="filename", direction="desc"),
    stage("deduplicate", fields=["collection_id"]),
    stage("group_by", group_by_field="collection_id"),
    stage("attribute_filter", field="score", operator="lt", value=0.9),
]


@settings(
    derandomize=True,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    stages=st.lists(st.sampled_from(STAGES), max_size=4),
    search=st.fixed_dictionaries(
        {}, optional={"min_score": st.sampled_from([0.5, 1.0]), "top_k": st.integers(1, 3)}
    ),
    limit=st.sampled_from([1, 2, 10]),
)
def test_no_stage_hides_a_match_behind_a_clear(
    here: World, any_retriever: str, stages: list[JsonObject], search: JsonObject, limit: int
) -> None:
    """Whatever stands behind the search: a copy is found, or nobody calls its absence clear; and
    each cell is what a batch says."""
    put_stages(here, any_retriever, [near(**search), *stages])
    names = ["art3", "new1"]
    answer = here.scan([url(name) for name in names], [any_retriever], settings={"limit": limit})
    cells = list(cells_of(answer).values())
    assert cells[0]["verdict"] != "clear"
    assert cells[1]["verdict"] in ("clear", "unknown")
    queries = [{"inputs": {"file": url(name)}} for name in names]
    request = parse_model(BatchRequest, {"queries": queries, "settings": {"limit": limit}})
    batch = here.engine.execute_batch(here.namespace, any_retriever, request, deadline=NEVER)
    for cell, one in zip(cells, asyncio.run(batch)["results"], strict=True):
        assert result_of(cell) == result_of(one)
