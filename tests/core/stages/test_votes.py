"""Votes of a recording's chunks: aligned ones find the reference and its seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.hits import Evidence, QueryChunk
from core.ports.media import VoteRule
from core.rows.fusion import DocumentKey
from core.stages._votes import (
    Moment,
    Reference,
    count_votes,
    group_pairs,
    reference_of,
    voted_evidence,
    votes_needed,
)

# Chunks of 100 ms; four of them, or half of the query, prove something.
RULE = VoteRule(min_score=0.8, tolerance_ms=100, spans=False, min_ms=400, min_votes=2, chunks=10)
STILLS = replace(RULE, tolerance_ms=1000, spans=True, min_ms=2000, min_votes=1)
Hits = Sequence[Sequence[tuple[DocumentKey, float]]]


def chunk(start: int | None, end: int | None = None, variant: str = "original") -> QueryChunk:
    stop = end if end is not None or start is None else start + 100
    return QueryChunk(np.zeros(1, np.uint8), start, stop, None, variant)


def vote(
    rule: VoteRule, chunks: Sequence[QueryChunk], stored: Mapping[str, Reference], hits: Hits
) -> list[Moment]:
    known = {(name, "c"): ref for name, ref in stored.items()}
    return count_votes(rule, chunks, group_pairs(rule, chunks, hits, known))


def track(root: str, count: int, start: int = 0) -> dict[str, Reference]:
    return {
        f"{root}#{n}": Reference(root, start + 100 * n, start + 100 * n + 100) for n in range(count)
    }


def test_aligned_chunks_beat_nearer_scattered_ones() -> None:
    stored = {**track("right", 20), **track("wrong", 20)}
    chunks = [chunk(100 * n) for n in range(6)]
    scattered = [0, 19, 6, 17, 12, 16]
    hits = [
        [((f"wrong#{scattered[n]}", "c"), 0.99), ((f"right#{n + 8}", "c"), 0.85)] for n in range(6)
    ]
    first, second = vote(RULE, chunks, stored, hits)
    assert (first.key[0].partition("#")[0], first.matched, first.share) == ("right", 6, 1.0)
    assert first.similarity == 0.85
    assert (first.query, first.reference) == ((0, 600), (800, 1400))
    assert (second.matched, second.similarity) == (1, None)
    body = first.to_json()
    assert (body["reference_start_ms"], body["chunks_searched"], body["aligned"]) == (800, 6, True)
    assert second.to_json()["aligned"] is False
    assert [entry["start_ms"] for entry in first.chunks] == [100 * n for n in range(6)]


def test_similarity_is_what_enough_chunks_reach() -> None:
    chunks = [chunk(100 * n) for n in range(6)]
    assert votes_needed(RULE, chunks) == 3
    scores = [0.99, 0.81, 0.95, 0.82, 0.9, 0.83]
    hits = [[((f"a#{n}", "c"), score)] for n, score in enumerate(scores)]
    (moment,) = vote(RULE, chunks, track("a", 6), hits)
    assert moment.similarity == 0.9
    assert moment.key == ("a#0", "c")


def test_one_file_is_shown_once_where_it_agrees_best() -> None:
    chunks = [chunk(100 * n) for n in range(4)]
    hits = [[((f"a#{n}", "c"), 0.9), ((f"a#{n + 10}", "c"), 0.95)] for n in range(4)]
    (moment,) = vote(RULE, chunks, track("a", 20), hits)
    assert moment.reference == (1000, 1400)


def test_views_are_not_added_up() -> None:
    chunks = [chunk(100 * n, None, view) for n in range(4) for view in ("original", "flip")]
    hits: list[list[tuple[DocumentKey, float]]] = [
        [((f"a#{n // 2}", "c"), 0.9)] if (n // 2) % 2 == n % 2 else [] for n in range(8)
    ]
    (moment,) = vote(replace(RULE, min_votes=3), chunks, track("a", 8), hits)
    assert (moment.matched, moment.searched, moment.similarity) == (2, 4, None)
    # With and without its border a frame is one view.
    chunks = [chunk(100 * (n // 2), None, f"flip{'+border' * (n % 2)}") for n in range(8)]
    (moment,) = vote(RULE, chunks, track("a", 8), hits)
    assert (moment.matched, moment.variant) == (4, "flip")


def test_files_of_one_name_in_two_collections_stay_two() -> None:
    chunks = [chunk(100 * n) for n in range(4)]
    hits = [[((f"a#{n}", "c"), 0.9), ((f"a#{n}", "d"), 0.9)] for n in range(4)]
    known = {(key, place): ref for key, ref in track("a", 4).items() for place in "cd"}
    moments = count_votes(RULE, chunks, group_pairs(RULE, chunks, hits, known))
    assert [m.key for m in moments] == [("a#0", "c"), ("a#0", "d")]


def test_a_picture_that_stands_still_meets_any_second_of_the_other() -> None:
    stored = {"a#0": Reference("a", 10_000, 30_000), "a#1": Reference("a", 30_000, 31_000)}
    chunks = [chunk(0, 5000), chunk(5000, 6000)]
    hits: Hits = [[(("a#0", "c"), 1.0)], [(("a#1", "c"), 1.0)]]
    (moment,) = vote(STILLS, chunks, stored, hits)
    assert (moment.matched, moment.query) == (2, (0, 6000))
    assert moment.reference is not None
    assert abs(moment.reference[1] - 31_000) <= 2500


def test_fewer_are_needed_of_a_sample_and_never_less_than_the_least() -> None:
    dense = [chunk(100 * n) for n in range(100)]
    assert votes_needed(RULE, dense) == 4
    assert votes_needed(RULE, dense[::3]) == 2
    assert votes_needed(RULE, dense[:1]) == 2  # more than there are: nothing can be proven
    assert votes_needed(STILLS, [chunk(0, 9000)]) == 1


def test_chunks_without_places_vote_by_number() -> None:
    chunks = [chunk(100 * n) for n in range(4)]
    hits = [[(("a", "c"), 0.9)] for _ in range(4)]
    (moment,) = vote(RULE, chunks, {"a": Reference("a")}, hits)
    assert (moment.matched, moment.query, moment.reference) == (4, None, None)
    assert "query_start_ms" not in moment.to_json()


def test_a_stored_chunk_tells_its_file_and_place() -> None:
    internal = {"lineage": {"root_object_id": "f"}, "place": {"start_ms": 5, "end_ms": 9}}
    assert reference_of(("f#1", "c"), {"_internal": internal}) == Reference("f", 5, 9, 1)
    assert reference_of(("x", "c"), {}) == Reference("x")


def test_evidence_is_of_what_enough_chunks_reach() -> None:
    seen = Evidence(compared=9, best_score=0.97)
    assert voted_evidence(RULE, seen, [0.85, 0.9]) == Evidence(9, 0.9)
    best = voted_evidence(RULE, seen, []).best_score
    assert best is not None
    assert 0.79 < best < 0.8
    assert voted_evidence(RULE, Evidence(9, 0.4), []).best_score == 0.4
    assert voted_evidence(RULE, Evidence(), []).best_score is None


pairs = st.lists(
    st.tuples(st.integers(0, 15), st.integers(0, 30), st.sampled_from([0.8, 0.9, 1.0])),
    min_size=1,
    max_size=40,
)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(pairs)
def test_the_offset_is_the_one_most_chunks_agree_on(found: list[tuple[int, int, float]]) -> None:
    chunks = [chunk(100 * n) for n in range(16)]
    hits = [[((f"a#{m}", "c"), s) for k, m, s in found if k == n] for n in range(16)]
    (moment,) = vote(RULE, chunks, track("a", 31), hits)
    offsets = {m - n for n, m, _ in found}
    tolerance = RULE.tolerance_ms // 100
    # Any window of twice the tolerance over the offsets, counted plainly.
    most = max(
        len({n for n, m, _ in found if low <= m - n <= low + 2 * tolerance}) for low in offsets
    )
    assert moment.matched == most
    assert 0 < moment.share <= 1


def test_the_order_of_hits_decides_nothing() -> None:
    chunks = [chunk(100 * n) for n in range(5)]
    hits = [[((f"{r}#{n}", "c"), 0.9) for r in ("b", "a", "c")] for n in range(5)]
    stored = {**track("a", 5), **track("b", 5), **track("c", 5)}
    forward = vote(RULE, chunks, stored, hits)
    backward = vote(RULE, chunks, stored, [list(reversed(near)) for near in hits])
    assert [m.key for m in forward] == [("a#0", "c"), ("b#0", "c"), ("c#0", "c")]
    assert forward == backward


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_near_is_no_moment(count: int) -> None:
    assert vote(RULE, [chunk(0)] * count, {}, [[]] * count) == []
