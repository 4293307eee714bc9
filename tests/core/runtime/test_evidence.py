"""What an answer rests on, put together from parts: one part that proves nothing is never lost."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from core.errors import InvalidRequestError
from core.hits import Evidence, FeatureEvidence, Hit, SearchAnswer
from core.media.extractors import IMAGE_PDQ, view_names
from core.ports.vectors import TopK
from core.rows.row import Source
from core.runtime.answers import completed_result
from core.runtime.features import read_feature
from core.runtime.pipeline import PipelineResult, StageOutcome
from core.runtime.searching import PreparedSearch, search_snapshots
from core.runtime.views import evidence_of_same_rows, merge_views
from core.stage import StageReport
from core.types import VectorSpec

EXACT, UNPROVEN = Evidence(9, 0.5), Evidence(7, 0.8, exact=False)


@pytest.mark.parametrize("parts", [[EXACT, UNPROVEN], [UNPROVEN, EXACT]])
def test_of_searches_of_the_same_rows_one_unproven_makes_all_unproven(
    parts: list[Evidence],
) -> None:
    assert evidence_of_same_rows(parts) == Evidence(9, 0.8, exact=False)
    empty = Evidence(9, None)
    assert evidence_of_same_rows([*parts, empty]) == Evidence(9, 0.8, exact=False)
    assert evidence_of_same_rows([empty]) == empty


@pytest.mark.parametrize("swapped", [False, True])
def test_searches_of_one_query_are_exact_only_together(swapped: bool) -> None:
    one = Evidence(9, 0.5, unsearchable=2, features={"v": FeatureEvidence(9, 0.5, whole=False)})
    other = Evidence(
        7,
        None,
        exact=False,
        features={"v": FeatureEvidence(7, None, whole=True), "w": FeatureEvidence(1, 0.1, True)},
    )
    merged = other.merged(one) if swapped else one.merged(other)
    assert (merged.compared, merged.best_score, merged.exact) == (16, 0.5, False)
    assert merged.unsearchable == 2
    assert merged.features["v"] == FeatureEvidence(16, 0.5, whole=True)
    assert merged.features["w"] == FeatureEvidence(1, 0.1, whole=True)


@pytest.mark.parametrize("scores", [(0.5, 0.9), (0.9, 0.5)])
def test_the_nearest_of_all_searches_is_told(scores: tuple[float, float]) -> None:
    """A verdict takes it for the nearest: what lies above it was in no answer."""
    one, other = (
        Evidence(1, score, features={"v": FeatureEvidence(1, score, whole=True)})
        for score in scores
    )
    merged = one.merged(other)
    assert (merged.best_score, merged.features["v"].best_score) == (0.9, 0.9)


@pytest.mark.parametrize("floors", [(0.3, 0.6), (0.6, 0.3), (None, 0.6)])
def test_what_an_index_kept_back_is_at_most_the_highest_floor(
    floors: tuple[float | None, float],
) -> None:
    own, view = (SearchAnswer(((),), Evidence(), floor) for floor in floors)
    (merged,) = merge_views([own], {"left": [view]}, 1)
    assert merged.floor == 0.6


def test_a_view_that_was_not_searched_exactly_leaves_nothing_proven() -> None:
    def answer(score: float, *, exact: bool) -> SearchAnswer:
        hit = Hit("d", Source("c", 0, 0), score)
        return SearchAnswer(((hit,),), Evidence(9, score, exact))

    (merged,) = merge_views([answer(0.5, exact=True)], {"left": [answer(0.9, exact=False)]}, 1)
    assert merged.evidence == Evidence(9, 0.9, exact=False)
    (hit,) = merged.hits[0]
    assert (hit.score, hit.view) == (0.9, "left")


def outcome(**report: Any) -> StageOutcome:
    return StageOutcome("s", 3, 3, 1.0, StageReport(**report))


SKIPPED = {"code": "stage_skipped", "message": "m"}


@pytest.mark.parametrize(
    ("report", "codes"),
    [
        ({}, []),
        ({"evidence": EXACT}, []),
        ({"evidence": UNPROVEN}, ["approximate"]),
        ({"incomplete": [SKIPPED]}, ["stage_skipped"]),
        ({"limits": [{"name": "top_k", "applied": 3}]}, ["capped"]),
        ({"incomplete": [SKIPPED], "evidence": UNPROVEN}, ["stage_skipped", "approximate"]),
    ],
)
def test_a_result_is_complete_only_if_no_stage_says_otherwise(
    report: dict[str, Any], codes: list[str]
) -> None:
    fine = outcome(evidence=EXACT)
    for stages in ([outcome(**report), fine], [fine, outcome(**report)]):
        ran = PipelineResult((), stages)
        result = completed_result(ran, [], asked=0, snapshots={})
        assert [entry["code"] for entry in result["incomplete"]] == codes
        assert all(entry["stage"] == "s" for entry in result["incomplete"])
        assert result["complete"] is not bool(codes)
        assert result["evidence"]["exact"] is ("approximate" not in codes)


SPEC = VectorSpec("v", 2, "cosine")


def snapshot(name: str, *stored: str, specs: Any = None, count: int = 1) -> Any:
    """Return what is looked at of a collection whose documents have vectors of these names."""
    rows = SimpleNamespace(rows=np.arange(count), block=name)
    part = SimpleNamespace(
        segment=SimpleNamespace(
            vectors=dict.fromkeys(stored, rows), count=count, ids=[f"{name}{n}" for n in range(3)]
        )
    )
    return SimpleNamespace(
        collection_id=name,
        count=count,
        parts=[part],
        specs=dict.fromkeys(stored, SPEC) if specs is None else specs,
        remote=None,
        namespace_id="n",
        manifest=SimpleNamespace(incarnation=""),
        version=1,
        passing=lambda *_: None,
    )


def test_views_that_one_collection_has_are_searched() -> None:
    stored, view = next(iter(view_names(IMAGE_PDQ.feature_uri).items()))
    own = IMAGE_PDQ.index_name
    for places in (["a", "b"], ["b", "a"]):
        here = [snapshot(name, own, *([stored] if name == "b" else [])) for name in places]
        assert read_feature(here, IMAGE_PDQ.feature_uri).views == {view: stored}


def test_collections_without_the_vector_are_not_searched_empty_ones_need_not_be() -> None:
    here = [snapshot("a", "v"), snapshot("b", "w"), snapshot("c", count=0)]
    found = read_feature(here, "v")
    assert [one.collection_id for one in found.unsearched] == ["b"]
    assert found.spec() == SPEC
    with pytest.raises(InvalidRequestError, match="no vector 'x'.* they have v, w"):
        read_feature(here, "x").spec()
    assert read_feature([here[2]], "x").spec() is None


class Engine:
    """Answers a part by its block's name: (score, exact)."""

    def __init__(self, **answers: tuple[float, bool]) -> None:
        self.answers = answers

    def search(self, block: Any, queries: Any, *_: Any, **__: Any) -> TopK:
        score, exact = self.answers[block]
        many = len(queries)
        rows, scores = np.zeros((many, 1), np.int64), np.full((many, 1), score)
        return TopK(rows, scores, np.full(many, exact), 4)


@pytest.mark.parametrize("unproven", ["a", "b"])
def test_a_search_is_exact_only_if_it_was_in_every_part(unproven: str) -> None:
    answers = {name: (0.5 if name == "a" else 0.9, name != unproven) for name in "ab"}
    engine: Any = Engine(**answers)
    prepared = PreparedSearch((snapshot("a", "v"), snapshot("b", "v")), "v")
    (found,) = search_snapshots(engine, prepared, np.zeros((1, 2), np.float32), 1, lambda: False)
    assert found.evidence == Evidence(8, 0.9, exact=False)
    assert [hit.document_id for hit in found.hits[0]] == ["b0"]
