"""Samples: fair, reproducible, and shares that add up."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from core.rows.sampling import draw, every_nth, seed_of, share_out, shuffled


def test_the_guides_systematic_example() -> None:
    assert every_nth(10, 3) == [0, 3, 6]
    assert every_nth(3, 10) == [0, 1, 2]
    assert every_nth(0, 3) == []


def test_draws_are_fair() -> None:
    ids = [f"d{n}" for n in range(10)]
    hits = Counter(p for seed in range(2_000) for p in draw(ids, 3, str(seed)))
    assert sum(hits.values()) == 6_000
    assert all(500 < hits[p] < 700 for p in range(10))  # 600 expected, sigma 20


def test_a_draw_depends_on_ids_not_on_their_order() -> None:
    ids = [f"d{n}" for n in range(20)]
    chosen = {ids[p] for p in draw(ids, 5, "s")}
    turned = ids[::-1]
    assert {turned[p] for p in draw(turned, 5, "s")} == chosen
    assert seed_of(ids) == seed_of(turned) != seed_of(ids[1:])


def test_repeated_ids_are_drawn_apart() -> None:
    assert draw(["a", "a", "a"], 2, "s") != draw(["a", "a", "a"], 3, "s") == [0, 1, 2]


def test_shuffling_moves_things_and_loses_none() -> None:
    order = shuffled([f"d{n}" for n in range(30)], "s")
    assert sorted(order) == list(range(30)) != order


@given(st.lists(st.integers(1, 30), max_size=8), st.integers(0, 60), st.integers(0, 40))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_shares(sizes: list[int], count: int, minimum: int) -> None:
    shares = share_out(sizes, count, minimum)
    assert sum(shares) == min(count, sum(sizes))
    assert all(0 <= share <= size for share, size in zip(shares, sizes, strict=True))
    if sum(min(size, minimum) for size in sizes) <= count:
        assert all(s >= min(n, minimum) for s, n in zip(shares, sizes, strict=True))


def test_shares_are_proportional() -> None:
    assert share_out([45, 35, 20], 20, 1) == [9, 7, 4]
    assert share_out([98, 1, 1], 10, 1) == [8, 1, 1]
    assert share_out([5, 9, 7], 2, 3) == [0, 1, 1]  # too few for all: the largest
