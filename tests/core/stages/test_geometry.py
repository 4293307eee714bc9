"""Pictures in pictures: places that agree are found, places that agree by accident are not."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.hits import Evidence, QueryChunk
from core.ports.media import GeometryRule
from core.rows.fusion import DocumentKey
from core.stages._geometry import (
    Sighting,
    StoredPlace,
    find_sightings,
    sighted_evidence,
    sighting_doubts,
    stored_place,
)

RULE = GeometryRule(min_score=0.8, near=20, review=6, match=8, chunks=800)
NOTHING = np.zeros(1, np.float32)
Points = np.ndarray


def square(x: float, y: float, side: float) -> tuple[float, float, float, float]:
    return x - side / 2, y - side / 2, x + side / 2, y + side / 2


def points_of(seed: int, count: int, width: float = 300) -> Points:
    return np.random.default_rng(seed).uniform(0, width, (count, 2))


def moved(points: Points, scale: float, degrees: float, shift: tuple[float, float]) -> Points:
    turn = np.deg2rad(degrees)
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.asarray(points @ matrix.T + np.array(shift))


def sight(
    query: Points, reference: Points, sizes: Sequence[float] | float = 1.0, root: str = "logo"
) -> list[Sighting]:
    """Each query place is near the reference's place of the same number."""
    factors = np.broadcast_to(np.asarray(sizes, np.float64), len(query))
    chunks = [
        QueryChunk(NOTHING, box=square(x, y, 10 * f))
        for (x, y), f in zip(query, factors, strict=True)
    ]
    keys: list[DocumentKey] = [(f"{root}#{n}", "col") for n in range(len(reference))]
    stored = {
        key: StoredPlace(root, square(x, y, 10))
        for key, (x, y) in zip(keys, reference, strict=True)
    }
    return find_sightings(RULE, chunks, [[(key, 0.95)] for key in keys], stored)


@given(
    seed=st.integers(0, 10_000),
    count=st.integers(8, 60),
    scale=st.floats(0.2, 4),
    degrees=st.floats(0, 360),
    strange=st.integers(0, 60),
)
@settings(derandomize=True, deadline=None, max_examples=40)
def test_one_move_is_found_among_strange_places(
    seed: int, count: int, scale: float, degrees: float, strange: int
) -> None:
    reference = points_of(seed, count)
    query = moved(reference, scale, degrees, (500, 400))
    other = points_of(seed + 1, strange)
    both = np.concatenate([query, points_of(seed + 2, strange, 1000)])
    sizes = [scale] * (count + strange)
    (found,) = sight(both, np.concatenate([reference, other]), sizes)
    # Places next to each other count once.
    assert found.inliers >= 0.7 * count
    if count >= 12:
        assert found.score(RULE) >= 0.5
    low, high = query.min(axis=0), query.max(axis=0)
    left, top, right, bottom = found.query_box
    assert left <= low[0] + 3 and top <= low[1] + 3
    assert right >= high[0] - 3 and bottom >= high[1] - 3


@pytest.mark.parametrize("seed", range(40))
def test_strange_places_agree_on_nothing(seed: int) -> None:
    found = sight(points_of(seed, 40, 1000), points_of(seed + 1000, 40))
    assert all(each.inliers < RULE.match for each in found)


def test_places_that_agree_but_for_their_sizes_are_no_sighting() -> None:
    reference = points_of(3, 20)
    assert sight(moved(reference, 2.0, 30, (0, 0)), reference, 0.1) == []


def test_one_place_found_many_times_is_one() -> None:
    reference = np.repeat(points_of(4, 3), 20, axis=0)
    assert sight(moved(reference, 1.0, 0, (50, 0)), reference) == []


def test_perspective_of_a_photograph_is_allowed_for() -> None:
    reference = points_of(5, 40)
    query = moved(reference, 1.0, 10, (100, 100)) * np.array([1.0, 0.85])
    (found,) = sight(query, reference)
    assert found.inliers >= RULE.match


def test_fewer_than_review_asks_for_are_nothing() -> None:
    reference = points_of(6, 5)
    assert sight(moved(reference, 1.0, 0, (9, 9)), reference) == []


def test_the_order_is_by_places_then_key_and_collections_are_apart() -> None:
    small, large = points_of(7, 9), points_of(8, 30)
    query = np.concatenate([moved(small, 1, 0, (0, 0)), moved(large, 1, 0, (400, 0))])
    chunks = [QueryChunk(NOTHING, box=square(x, y, 10)) for x, y in query]
    stored: dict[DocumentKey, StoredPlace] = {}
    lists: list[list[tuple[DocumentKey, float]]] = []
    for n, (x, y) in enumerate(np.concatenate([small, large])):
        root = "small" if n < len(small) else "large"
        near: list[tuple[DocumentKey, float]] = []
        for collection in ("a", "b"):
            key = (f"{root}#{n}", collection)
            stored[key] = StoredPlace(root, square(x, y, 10))
            near.append((key, 0.9))
        lists.append(near)
    found = find_sightings(RULE, chunks, lists, stored)
    assert [(each.key[0].partition("#")[0], each.key[1]) for each in found] == [
        ("large", "a"),
        ("large", "b"),
        ("small", "a"),
        ("small", "b"),
    ]


def test_it_says_the_same_each_time() -> None:
    reference = points_of(9, 120)
    query = moved(reference, 0.7, 40, (10, 20))
    assert sight(query, reference, 0.7) == sight(query, reference, 0.7)


def test_scores_and_evidence_stand_for_the_rule() -> None:
    def with_inliers(count: int) -> Sighting:
        return Sighting(("d", "c"), count, count, (0, 0, 1, 1), (0, 0, 1, 1))

    assert with_inliers(8).score(RULE) == 0.5
    assert with_inliers(6).score(RULE) == pytest.approx(3 / 7)
    found = [with_inliers(6), with_inliers(24)]
    evidence = Evidence(compared=10, best_score=0.99)
    assert sighted_evidence(RULE, evidence, found).best_score == 0.75
    # That one place looks like another says nothing of the picture.
    assert sighted_evidence(RULE, evidence, []).best_score == 0.0
    assert sighted_evidence(RULE, Evidence(), []).best_score is None


def test_doubts_are_said() -> None:
    chunks = [QueryChunk(NOTHING, box=square(n, n, 5)) for n in range(10)]
    assert [each["code"] for each in sighting_doubts(RULE, chunks, 0)] == []
    assert [each["code"] for each in sighting_doubts(RULE, chunks[:5], 0)] == ["too_few_places"]
    assert [each["code"] for each in sighting_doubts(RULE, chunks, 6)] == ["top_k_reached"]


def test_a_stored_place_is_read_from_its_document() -> None:
    internal = {"lineage": {"root_object_id": "logo"}, "place": {"box": [1, 2, 3, 4]}}
    assert stored_place(("logo#1", "c"), {"_internal": internal}) == StoredPlace(
        "logo", (1, 2, 3, 4)
    )
    assert stored_place(("own", "c"), {}) == StoredPlace("own", None)


@pytest.mark.parametrize(("share", "seen"), [(0.0, True), (0.3, False)])
def test_a_part_that_agrees_is_not_the_whole_if_the_rest_is_met_elsewhere(
    share: float, seen: bool
) -> None:
    """One letter of a lettering is on the page; the others are there too, but not beside it."""
    reference, elsewhere = points_of(7, 60), points_of(8, 60, 2000)
    query = np.concatenate([reference[:10] + 500, elsewhere[10:]])
    chunks = [QueryChunk(NOTHING, box=square(x, y, 10)) for x, y in query]
    keys: list[DocumentKey] = [(f"logo#{n}", "col") for n in range(len(reference))]
    stored = {
        key: StoredPlace("logo", square(x, y, 10))
        for key, (x, y) in zip(keys, reference, strict=True)
    }
    near = [[(key, 0.95)] for key in keys]
    rule = replace(RULE, share=share)
    assert bool(find_sightings(rule, chunks, near, stored)) is seen
    # The same part of a picture of which nothing else is met: cropped, or half covered.
    assert find_sightings(rule, chunks[:10], near[:10], stored)


def test_a_reference_is_found_among_any_number_that_have_more_near_places() -> None:
    reference = points_of(7, 12)
    page = np.concatenate([reference + 300, points_of(8, 30, 2000)])
    chunks = [QueryChunk(NOTHING, box=square(x, y, 10)) for x, y in page]
    near: list[list[tuple[DocumentKey, float]]] = [[] for _ in chunks]
    stored = {}
    for n, (x, y) in enumerate(reference):
        near[n].append(((f"logo#{n}", "col"), 0.9))
        stored[f"logo#{n}", "col"] = StoredPlace("logo", square(x, y, 10))
    for other in range(210):
        for n, (x, y) in enumerate(points_of(100 + other, 14, 2000)):
            key = (f"x{other}#{n}", "col")
            near[12 + n].append((key, 0.95))
            stored[key] = StoredPlace(f"x{other}", square(x, y, 10))
    assert [each.key[0][:4] for each in find_sightings(RULE, chunks, near, stored)] == ["logo"]
