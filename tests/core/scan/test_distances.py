"""Scores as distances and back: bits of a hash, and the numbers of a face."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.media.extractors import FACE_DLIB
from core.scan.thresholds import Measure, own_measures, read_measures, thresholds_of
from core.search.scores import exact_scores

FACES = own_measures()[FACE_DLIB.feature_uri]
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
