"""Fusion: known sums, and what must hold of every method on any lists."""

import math
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.rows.fusion import DocumentKey, Method, RankedList, fuse

METHODS: tuple[Method, ...] = ("rrf", "dbsf", "weighted", "max", "avg")
quick = settings(derandomize=True, deadline=None, max_examples=150)

# Few ids, collections and scores, so that lists overlap and scores tie.
keys = st.tuples(st.sampled_from("abcdef"), st.sampled_from(["c1", "c2"]))
scores = st.sampled_from([-0.5, 0.0, 0.1, 0.2, 0.3, 1 / 3, 0.7, 1.0])


def ranked(scored: dict[DocumentKey, float]) -> RankedList:
    return sorted(scored.items(), key=lambda pair: (-pair[1], pair[0]))


lists_of_scores = st.lists(st.dictionaries(keys, scores, max_size=6).map(ranked), max_size=4)


def key(name: str) -> DocumentKey:
    return (name, "c")


def named(**scored: float) -> RankedList:
    return ranked({key(name): score for name, score in scored.items()})


@given(lists=lists_of_scores, method=st.sampled_from(METHODS))
@quick
def test_the_order_of_the_lists_changes_nothing(lists: list[RankedList], method: Method) -> None:
    weights = [1.0, 0.5, 0.25, 0.0][: len(lists)]
    expected = [(f.key, f.score) for f in fuse(lists, method, weights)]
    for order in permutations(range(len(lists))):
        fused = fuse([lists[n] for n in order], method, [weights[n] for n in order])
        assert [(f.key, f.score) for f in fused] == expected


@given(lists=lists_of_scores, method=st.sampled_from(METHODS))
@quick
def test_every_document_once_best_first_ties_by_id(lists: list[RankedList], method: Method) -> None:
    fused = fuse(lists, method)
    assert {f.key for f in fused} == {k for one in lists for k, _ in one}
    assert len({f.key for f in fused}) == len(fused)
    assert [(-f.score, f.key) for f in fused] == sorted((-f.score, f.key) for f in fused)
    for f in fused:
        assert f.key in dict(lists[f.lead])


@given(one=st.dictionaries(keys, scores, max_size=8).map(ranked), method=st.sampled_from(METHODS))
@quick
def test_one_list_keeps_its_order(one: RankedList, method: Method) -> None:
    fused = fuse([one], method)
    if method == "rrf":  # ranks differ where scores tie, and follow the same ids
        assert [f.key for f in fused] == [k for k, _ in one]
    else:
        assert [f.key for f in fused] == [f[0] for f in ranked({f.key: f.score for f in fused})]
        by_score = dict(one)
        for better, worse in zip(fused, fused[1:], strict=False):
            assert by_score[better.key] >= by_score[worse.key] or math.isclose(
                better.score, worse.score
            )


@given(lists=lists_of_scores.filter(bool), method=st.sampled_from(METHODS), extra=keys)
@quick
def test_being_found_last_is_never_worse_than_being_absent(
    lists: list[RankedList], method: Method, extra: DocumentKey
) -> None:
    """A document absent from a list scored at most as its last entry did."""
    if method in ("dbsf", "weighted") or extra in dict(lists[0]) or not lists[0]:
        return  # dbsf's mean moves with every entry; weighted is the published plain sum
    lowest = lists[0][-1][1]
    found = [[*lists[0], (extra, lowest)], *lists[1:]]
    with_it = {f.key: f.score for f in fuse(found, method)}
    without = {f.key: f.score for f in fuse(lists, method)}
    assert with_it[extra] >= without.get(extra, -math.inf) - 1e-12


def test_reciprocal_ranks_start_at_one() -> None:
    fused = fuse([named(a=0.9, b=0.5), named(b=0.8)], "rrf", [1.0, 0.5])
    assert [(f.key[0], f.score, f.lead) for f in fused] == [
        ("b", math.fsum([1 / 62, 0.5 / 61]), 0),
        ("a", 1 / 61, 0),
    ]


def test_weighted_is_the_weighted_sum_and_max_the_greatest() -> None:
    lists = [named(a=0.9, b=0.5), named(b=0.8)]
    weighted = {f.key[0]: f.score for f in fuse(lists, "weighted", [0.5, 1.0])}
    assert weighted == pytest.approx({"a": 0.45, "b": 1.05})
    greatest = [(f.key[0], f.score, f.lead) for f in fuse(lists, "max", [0.0, 0.0])]
    assert greatest == [("a", 0.9, 0), ("b", 0.8, 1)]


def test_average_counts_an_absent_document_as_nothing() -> None:
    averages = {f.key[0]: f.score for f in fuse([named(a=0.9, b=0.6), named(b=0.8)], "avg")}
    assert averages == pytest.approx({"a": 0.45, "b": 0.7})


def test_average_does_not_reward_absence_among_negative_scores() -> None:
    fused = fuse([named(a=-0.1, b=-0.2), named(a=-0.3)], "avg")
    assert {f.key[0]: f.score for f in fused} == pytest.approx({"a": -0.2, "b": -0.25})


def test_dbsf_sums_standard_scores() -> None:
    lists = [named(a=3.0, b=1.0), named(a=1.0, b=5.0)]
    fused = {f.key[0]: f.score for f in fuse(lists, "dbsf", [1.0, 0.5])}
    assert fused == pytest.approx({"a": 1.0 - 0.5, "b": -1.0 + 0.5})


def test_dbsf_puts_a_document_found_twice_before_one_found_once() -> None:
    # b is below the mean of the second list; a plain sum would prefer never having been there.
    fused = fuse([named(a=0.5, b=0.5), named(b=0.4, c=0.9)], "dbsf")
    assert [f.key[0] for f in fused] == ["b", "c", "a"]


def test_dbsf_of_equal_scores_tells_found_from_absent() -> None:
    fused = fuse([named(a=0.5), named(b=0.7, a=0.7)], "dbsf")
    assert [f.key[0] for f in fused] == ["a", "b"]
    assert all(math.isfinite(f.score) for f in fused)


def test_nothing_fuses_to_nothing() -> None:
    for method in METHODS:
        assert fuse([], method) == []
        assert fuse([[], []], method) == []
