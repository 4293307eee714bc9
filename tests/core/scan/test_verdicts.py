"""A retriever's own rule: thresholds, the field they are of, approximate searches, the canary."""

from collections.abc import Iterator
from itertools import product
from typing import Any, get_args

import pytest

from core.errors import InvalidRequestError
from core.models.base import parse_model
from core.models.retriever import RetrieverPatch
from core.scan.thresholds import Thresholds, own_measures, thresholds_of
from core.scan.verdicts import Word, judge, worst
from core.types import JsonObject
from tests.core.scan.world import PDQ, World, url, world
from tests.core.service import stage

ORDER = ("block", "review", "unknown", "clear")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("data")) as made:
        yield made


def thresholds(rule: JsonObject | None = None, feature: str = "own") -> Thresholds:
    search = {"searches": [{"feature_uri": feature}]}
    near = {"stage_name": "near", "config": {"stage_id": "feature_search", "parameters": search}}
    cut = {"stage_name": "cut", "config": {"stage_id": "limit", "parameters": {"limit": 2}}}
    return thresholds_of({"stages": [near, cut], "verdict": rule}, own_measures())


def evidence(best: float | None, *, exact: bool = True, **more: Any) -> JsonObject:
    own = {"compared": 9, "best_score": best, "whole": True, **more}
    about = {"compared": 9, "best_score": best, "exact": exact, "unsearchable": 0}
    return {**about, "features": {"own": own}}


def result(*scores: float, best: float | None = None, **changes: Any) -> JsonObject:
    documents = [
        {"document_id": f"d{n}", "features": {"own": {"score": s}}, "likeness": s}
        for n, s in enumerate(scores)
    ]
    found = max(scores, default=0.0) if best is None else best
    return {
        "status": "completed",
        "complete": True,
        "incomplete": [],
        "documents": documents,
        "total": len(documents),
        "error": None,
        "evidence": evidence(found),
        "stage_statistics": {"stages": {}},
        **changes,
    }


RULE = {"block_at": 0.9, "review_at": 0.7}


@pytest.mark.parametrize(
    ("score", "word"), [(0.9, "block"), (0.89, "review"), (0.7, "review"), (0.69, "clear")]
)
def test_a_rule_is_of_similarities(score: float, word: str) -> None:
    assert judge(result(0.1, score), thresholds(RULE)).word == word


def test_a_share_of_votes_is_no_similarity() -> None:
    """Chunks of a recording that agree by accident are near, and prove nothing."""
    accident = {"document_id": "d", "features": {"own": {"score": 0.95, "aligned": False}}}
    assert judge(result(documents=[accident], best=0.6), thresholds(RULE)).word == "clear"
    aligned = {"score": 0.2, "similarity": 0.95, "aligned": True}
    found = {**accident, "features": {"own": aligned}}
    assert judge(result(documents=[found], best=0.95), thresholds(RULE)).word == "block"


def test_without_review_at_there_is_no_review() -> None:
    rule = thresholds({"block_at": 0.9})
    assert judge(result(0.89), rule).word == "clear"
    assert judge(result(0.91), rule).word == "block"


def test_a_feature_without_rule_or_extractor_clears_nothing() -> None:
    said = judge(result(0.1), thresholds())
    assert (said.word, said.reasons[0].code) == ("unknown", "no_thresholds")


def test_the_worst_verdict_is_a_files() -> None:
    assert set(ORDER) == set(get_args(Word))
    for words in product(get_args(Word), repeat=3):
        assert worst(words) == min(words, key=ORDER.index)
    assert worst([]) == "unknown"


APPROXIMATE: JsonObject = {
    "complete": False,
    "incomplete": [{"code": "approximate", "message": "not proven"}],
    "evidence": evidence(0.1, exact=False),
}


def test_an_approximate_search_clears_only_where_that_is_allowed() -> None:
    assert judge(result(0.1, **APPROXIMATE), thresholds(RULE)).word == "unknown"
    allowed = thresholds({**RULE, "allow_approximate": True})
    assert judge(result(0.1, **APPROXIMATE), allowed).word == "clear"
    other = {"code": "stage_skipped", "message": "one was skipped"}
    more = {**APPROXIMATE, "incomplete": [*APPROXIMATE["incomplete"], other]}
    said = judge(result(0.1, **more), allowed)
    assert (said.word, said.reasons[0].code) == ("unknown", "stage_skipped")


FIELD = {**RULE, "score_field": "likeness"}


def statistics(**counts: tuple[int, int]) -> JsonObject:
    stages = {n: {"input_count": a, "output_count": b} for n, (a, b) in counts.items()}
    return {"stage_statistics": {"stages": stages}}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (result(0.95), ("block", None)),
        (result(0.5, 0.95), ("block", None)),
        (result(0.5), ("clear", None)),
        # The nearest of all was near, but what it scores in the field is what counts.
        (result(0.5, best=0.99), ("clear", None)),
        # One number, or two by chance, are in every order: nothing sorts by this field.
        (result(0.5, total=9), ("unknown", "left_out")),
        (result(0.5, 0.4, total=9), ("unknown", "left_out")),
        (result(0.5, documents=[{"document_id": "d"}]), ("unknown", "no_score")),
        (result(0.5, documents=[{"likeness": "0.95"}]), ("unknown", "no_score")),
        (result(0.5, 0.4, **statistics(near=(0, 3), cut=(3, 2))), ("unknown", "left_out")),
        (result(0.5, **statistics(near=(0, 3), other=(3, 1))), ("unknown", "left_out")),
        (result(**statistics(near=(0, 3), cut=(3, 0))), ("unknown", "left_out")),
    ],
)
def test_a_rule_may_be_of_another_field(answer: JsonObject, expected: tuple[str, Any]) -> None:
    said = judge(answer, thresholds(FIELD))
    assert (said.word, said.reasons[0].code if said.reasons else None) == expected


def of_stages(score_field: str, *stages: tuple[str, JsonObject]) -> Thresholds:
    """Return the thresholds of a search by `own` with these stages behind it."""
    search = {"searches": [{"feature_uri": "own"}]}
    made = [stage(name, **given) for name, given in (("feature_search", search), *stages)]
    rule = {**RULE, "score_field": score_field}
    return thresholds_of({"stages": made, "verdict": rule}, own_measures())


LIMIT = ("limit", {"limit": 2})
SORT = ("sort_attribute", {"field": "likeness"})
CUT = result(0.5, 0.4, total=9, **statistics(feature_search=(0, 3), limit=(3, 2)))


@pytest.mark.parametrize(
    ("stages", "word"),
    [
        ((SORT, LIMIT), "clear"),
        ((("sort_relevance", {"score_field": "likeness"}), LIMIT), "clear"),
        ((SORT, ("attribute_filter", {}), LIMIT), "clear"),
        ((LIMIT,), "unknown"),
        ((LIMIT, SORT), "unknown"),  # what was cut was in another order
        ((("sort_attribute", {"field": "likeness", "direction": "asc"}), LIMIT), "unknown"),
        ((("sort_attribute", {"sort_field": "price"}), LIMIT), "unknown"),
        ((SORT, LIMIT, ("document_enrich", {}), SORT), "unknown"),  # it may write the field
        ((SORT, LIMIT, ("json_transform", {})), "unknown"),
    ],
)
def test_a_list_may_be_cut_where_it_stands_in_the_order_of_the_field(
    stages: tuple[tuple[str, JsonObject], ...], word: str
) -> None:
    assert judge(CUT, of_stages("likeness", *stages)).word == word
    upwards = result(0.4, 0.5, total=9, stage_statistics=CUT["stage_statistics"])
    assert judge(upwards, of_stages("likeness", *stages)).word == "unknown"


@pytest.mark.parametrize(
    ("stages", "counts", "word"),
    [
        # As it is written, and as the search or the sort takes the limit over.
        ((LIMIT,), {"feature_search": (0, 3), "limit": (3, 2)}, "unknown"),
        ((LIMIT,), {"feature_search": (0, 2)}, "unknown"),
        ((LIMIT,), {"feature_search": (0, 1), "limit": (1, 1)}, "clear"),
        ((LIMIT,), {"feature_search": (0, 1)}, "clear"),
        ((("limit", {"limit": "{{INPUT.n}}"}),), {"feature_search": (0, 1)}, "unknown"),
        ((SORT, LIMIT), {"feature_search": (0, 3), "sort_attribute": (3, 2)}, "clear"),
        # An offset leaves out the first ones, wherever it stands.
        ((SORT, ("limit", {"limit": 9, "offset": 1})), {"feature_search": (0, 3)}, "unknown"),
        ((SORT, ("limit", {"limit": 9, "offset": 1})), {"feature_search": (0, 0)}, "clear"),
        ((LIMIT, SORT), {"feature_search": (0, 2), "sort_attribute": (2, 2)}, "unknown"),
    ],
)
def test_a_verdict_does_not_depend_on_which_stage_cuts(
    stages: tuple[tuple[str, JsonObject], ...], counts: dict[str, tuple[int, int]], word: str
) -> None:
    found = result(0.5, 0.4, **statistics(**counts))
    assert judge(found, of_stages("likeness", *stages)).word == word


@pytest.mark.parametrize("joins", [(), (("document_enrich", {}),)])
def test_a_search_is_in_the_order_of_its_score(joins: tuple[tuple[str, JsonObject], ...]) -> None:
    found = result(documents=[{"document_id": "d", "score": 0.5}], total=9)
    assert judge(found, of_stages("score", *joins)).word == "clear"
    assert judge(found, of_stages("score", *joins, ("mmr", {}))).word == "unknown"


MOMENTS = {"output_mode": "moments_only"}


@pytest.mark.parametrize(
    ("split", "given", "said", "word"),
    [
        ("unwind", {}, {}, "unknown"),
        ("unwind", {"preserve_null_and_empty": True}, {}, "clear"),
        ("moment_group", MOMENTS, {"documents_without_times": 1, "total_moments": 2}, "unknown"),
        ("moment_group", MOMENTS, {"documents_without_times": 0, "total_moments": 3}, "unknown"),
        ("moment_group", MOMENTS, {"documents_without_times": 0, "total_moments": 2}, "clear"),
        ("moment_group", MOMENTS, {}, "unknown"),
        (
            "moment_group",
            {**MOMENTS, "min_score": 0.8},
            {"documents_without_times": 0, "total_moments": 2},
            "unknown",
        ),
    ],
)
def test_rows_that_one_document_becomes_hide_no_other_that_was_left_out(
    split: str, given: JsonObject, said: JsonObject, word: str
) -> None:
    """As many rows leave as came, and the nearest document may be in none of them."""
    counts = statistics(**{"feature_search": (0, 2), split: (2, 2)})
    counts["stage_statistics"]["stages"][split]["metadata"] = said
    rows = [{"document_id": "b", "score": 0.5}, {"document_id": "b", "score": 0.5}]
    found = result(documents=rows, **counts)
    assert judge(found, of_stages("score", (split, given))).word == word


@pytest.mark.parametrize(
    "rule",
    [
        {"block_at": 0.5, "review_at": 0.6},
        {"review_at": 0.6},
        {"score_field": "score"},
        {"block_at": float("inf")},
        {"block_at": 0.5, "lower_is_nearer": True},
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(here: World, rule: JsonObject) -> None:
    with pytest.raises(InvalidRequestError):
        here.retriever("refused", "art", verdict=rule)


def test_a_rule_is_read_back_replaced_and_removed(here: World) -> None:
    here.retriever("ruled", "art", verdict=RULE)
    place = here.namespace.namespace_id
    stored = here.app.retrievers.find(place, "ruled").verdict
    assert stored is not None
    assert (stored.block_at, stored.review_at) == (0.9, 0.7)
    for rule in ({"block_at": 0.5}, None):
        patch = parse_model(RetrieverPatch, {"verdict": rule})
        here.app.retrievers.patch(here.namespace, "ruled", patch, check=here.app.engine.check)
    last = here.app.retrievers.find(place, "ruled")
    assert (last.verdict, last.version) == (None, 3)


def test_a_rule_decides_in_a_scan(here: World) -> None:
    here.retriever("strict", "art", verdict={"block_at": 0.3})
    (file,) = here.scan([url("new1")], ["art", "strict"])["files"]
    words = [cell["verdict"] for cell in file["retrievers"].values()]
    assert words == ["clear", "block"]
    assert file["verdict"] == "block"


def canary_of(here: World, name: str, *files: str, **more: Any) -> tuple[JsonObject, list[str]]:
    """Scan; return what is said of the canary, and each file's verdict."""
    answer = here.scan([url(file) for file in files], [name], **more)
    return answer["retrievers"][0]["canary"], [file["verdict"] for file in answer["files"]]


def test_a_canary_that_is_found_changes_nothing(here: World) -> None:
    here.retriever("watched", "art", verdict={"canary": "art3"})
    said, words = canary_of(here, "watched", "art0", "new1")
    assert said == {"document_id": "art3", "found": True, "reason": None}
    assert words == ["block", "clear"]


@pytest.mark.parametrize(
    ("name", "rule", "more"),
    [
        ("gone", {"canary": "nobody"}, {}),
        ("strange", {"canary": "logo1"}, {}),
        ("cut-off", {"canary": "art3"}, {"stages": [stage("limit", limit=1, offset=1)]}),
        ("cold", {"canary": "art3", "block_at": 1.5, "review_at": 1.5}, {}),
        (
            "filtered",
            {"canary": "art3"},
            {"search": {"filters": {"field": "filename", "operator": "ne", "value": "art3.jpg"}}},
        ),
    ],
)
def test_without_its_canary_nothing_is_clear(
    here: World, name: str, rule: JsonObject, more: JsonObject
) -> None:
    here.retriever(name, "art", verdict=rule, **more)
    said, words = canary_of(here, name, "new1", "new2")
    assert said["found"] is False
    assert said["reason"]["code"] == "canary_missing"
    assert words == ["unknown", "unknown"]
    both = here.scan([url("new1")], ["art", name])
    assert both["files"][0]["retrievers"]["art"]["verdict"] == "clear"


def test_what_is_found_stays_found_without_the_canary(here: World) -> None:
    here.retriever("blocked", "art", verdict={"canary": "nobody"})
    assert canary_of(here, "blocked", "art0")[1] == ["block"]


def test_a_canary_that_could_not_be_looked_for_clears_nothing(here: World) -> None:
    here.retriever(
        "asking",
        "art",
        verdict={"canary": "art3"},
        input_schema={"file": {"type": "image"}, "n": {"type": "integer", "required": True}},
    )
    answer = here.scan([{"file": url("new1"), "inputs": {"n": 1}}], ["asking"])
    assert answer["retrievers"][0]["canary"]["reason"]["code"] == "canary_failed"
    assert answer["files"][0]["verdict"] == "unknown"


def test_extractors_thresholds_stand_in_the_answer(here: World) -> None:
    (retriever,) = here.scan([url("new1")], ["art"])["retrievers"]
    assert retriever["thresholds"] == {PDQ: {"block_at": 1 - 31 / 256, "review_at": 1 - 60 / 256}}
