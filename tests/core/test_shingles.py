"""Near-duplicates: the index finds exactly what comparing all pairs would."""

from hypothesis import given, settings
from hypothesis import strategies as st

from core.shingles import NearDuplicates, shingles


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


@given(texts, st.sampled_from([0.0, 0.1, 0.3, 0.5, 2 / 3, 0.8, 0.95, 1.0]))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_same_as_all_pairs(several: list[str], threshold: float) -> None:
    seen = NearDuplicates(threshold)
    assert [seen.resembles(text) for text in several] == naive(several, threshold)


def test_white_space_is_no_difference() -> None:
    seen = NearDuplicates(1.0)
    assert not seen.resembles("one  fine\tday")
    assert seen.resembles(" one fine day\n")
    assert not seen.resembles("ab")
    assert seen.resembles("ab")


def test_high_thresholds_compare_few_pairs() -> None:
    seen = NearDuplicates(0.95)
    for n in range(300):
        assert not seen.resembles(f"photo {n:05d} of the red house number {n * 7919:07d}")
    assert seen.comparisons < 300  # all pairs would be 44,850
