"""Near-duplicates: the index finds exactly what comparing all pairs would."""

from hypothesis import given, settings
from hypothesis import strategies as st

from core.rows.shingles import NearDuplicates, shingles


def naive(texts: list[str], threshold: float) -> list[bool]:
    kept: list[frozenset[str]] = []
    answers = []
    for text in texts:
        mine = shingles(text)
        alike = any(len(mine & k) >= threshold * len(mine | k) - 1e-9 for k in kept)
        answers.append(alike)
        if not alike:
            kept.append(mine)
    return answers


words = st.sampled_from(["the", "a", "red", "blue", "photo", "of", "cat", "dog", "night"])
texts = st.lists(st.lists(words, min_size=1, max_size=8).map(" ".join), max_size=12)


def told(texts: list[str], threshold: float) -> list[bool]:
    seen = NearDuplicates(texts, threshold)
    return [seen.resembles(number) for number in range(len(texts))]


@given(texts, st.sampled_from([0.0, 0.1, 0.3, 0.5, 2 / 3, 0.8, 0.95, 1.0]))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_same_as_all_pairs(several: list[str], threshold: float) -> None:
    assert told(several, threshold) == naive(several, threshold)


def test_white_space_is_no_difference() -> None:
    assert told(["one  fine\tday", " one fine day\n", "ab", "ab"], 1.0) == [
        False,
        True,
        False,
        True,
    ]


def test_high_thresholds_compare_few_pairs() -> None:
    several = [f"photo {n:05d} of the red house number {n * 7919:07d}" for n in range(300)]
    seen = NearDuplicates(several, 0.95)
    assert not any(seen.resembles(number) for number in range(300))
    assert seen.comparisons < 300  # all pairs would be 44,850
