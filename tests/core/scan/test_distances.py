"""Scores as distances and back: bits of a hash, and the numbers of a face."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.media.extractors import FACE_DLIB, LOGO_SIFT
from core.scan.thresholds import (
    Agreement,
    Measure,
    Scale,
    own_measures,
    read_measures,
    thresholds_of,
)
from core.search.scores import exact_scores

FACES = next(
    found
    for uri, found in own_measures().items()
    if uri == FACE_DLIB.feature_uri and isinstance(found, Measure)
)
STAGE = {
    "stage_name": "near",
    "config": {
        "stage_id": "feature_search",
        "parameters": {
            "searches": [{"feature_uri": FACE_DLIB.feature_uri, "query": "{{INPUT.q}}"}]
        },
    },
}
SCALE = thresholds_of({"stages": [STAGE]}, own_measures()).scales[FACE_DLIB.feature_uri]


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.floats(0.0, 2.0))
def test_a_score_of_the_search_is_the_distance_of_the_two_vectors(apart: float) -> None:
    left = np.zeros(128, np.float32)
    right = np.zeros((1, 128), np.float32)
    right[0, :4] = apart / 2
    (score,) = exact_scores(left, right, "euclidean", 128)
    assert FACES.distance(score) == pytest.approx(apart, abs=1e-4)
    assert FACES.score(apart) == pytest.approx(score, abs=1e-6)


@pytest.mark.parametrize(
    ("apart", "level"),
    [
        *((apart, "block") for apart in (0.0, 0.3, 0.45)),
        *((apart, "review") for apart in (0.4501, 0.5, 0.55)),
        *((apart, None) for apart in (0.5501, 0.6, 1.2)),
    ],
)
def test_a_face_is_the_same_only_up_to_the_extractors_distances(
    apart: float, level: str | None
) -> None:
    assert SCALE.level(1.0 / (1.0 + apart)) == level
    assert SCALE.reachable


def test_a_score_that_no_distance_has_is_far_away() -> None:
    assert FACES.distance(0.0) == FACES.distance(-3.0) > 1000


def test_distances_of_faces_are_of_no_whole() -> None:
    assert FACES.whole == "units"
    assert Measure(256, 31, 60, "bits").whole == "of 256 bits"


def test_the_measure_is_read_from_a_service_as_it_is_known_here() -> None:
    entry = {
        "feature_uri": "a",
        "vector_name": "b",
        "metric": "euclidean",
        "dimension": 128,
        "thresholds": {"match": 0.45, "review": 0.55, "unit": "units"},
    }
    assert read_measures([entry]) == {"a": FACES, "b": FACES}


def test_places_that_agree_have_scores_from_which_on_they_mean_something() -> None:
    """Else a retriever of logos would call everything unknown until it has a rule of its own."""
    known = own_measures()[LOGO_SIFT.feature_uri]
    assert known == Agreement(0.5, 0.42)
    entry = {
        "feature_uri": "a",
        "vector_name": "b",
        "metric": "cosine",
        "dimension": 128,
        "thresholds": LOGO_SIFT.known_thresholds(),
    }
    assert read_measures([entry]) == {"a": known, "b": known}
    search = {"feature_uri": LOGO_SIFT.feature_uri, "query": "{{INPUT.q}}"}
    config = {"stage_id": "feature_search", "parameters": {"searches": [search]}}
    body = {"stages": [{"stage_name": "near", "config": config}]}
    found = thresholds_of(body, own_measures())
    assert found.scales == {LOGO_SIFT.feature_uri: Scale(0.5, 0.42, None, 1.0)}
    assert found.strange == ()
    rule = {"block_at": 0.9, "review_at": 0.8}
    own = thresholds_of({**body, "verdict": rule}, own_measures())
    assert own.scales == {LOGO_SIFT.feature_uri: Scale(0.9, 0.8, None, 1.0)}


@pytest.mark.parametrize(
    ("places", "level"), [(8, "block"), (7, "review"), (6, "review"), (5, None)]
)
def test_the_scores_of_places_mean_what_their_number_does(places: int, level: str | None) -> None:
    rule = LOGO_SIFT.geometry
    assert rule is not None
    score = float(np.float32(places / (places + rule.match)))
    assert Scale(*rule.scores).level(score) == level
