"""Near-duplicate texts: Jaccard similarity of character shingles, without comparing all pairs."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

_HAIR = 1e-9  # what rounding of a threshold times a count may lose
LENGTH = 5  # characters per shingle: long enough that unrelated prose shares few


def shingles(text: str) -> frozenset[str]:
    """Return the runs of 5 characters in a text, white space collapsed; a shorter text is one."""
    flat = " ".join(text.split())
    if not flat:
        return frozenset()
    return frozenset(flat[i : i + LENGTH] for i in range(max(1, len(flat) - LENGTH + 1)))


class NearDuplicates:
    """Texts, known beforehand, that are told one after another from those remembered so far.

    Similarity is |A ∩ B| / |A ∪ B| of shingle sets. Sets that are similar to degree t share at
    least ⌈t·|A|⌉ shingles, so that in any one order of all shingles their first |A| − ⌈t·|A|⌉ + 1
    meet (prefix filtering: Chaudhuri, Ganti, Kaushik, ICDE 2006). Only those are indexed and
    looked up; the order is rare shingles first, which few texts share.
    """

    def __init__(self, texts: Sequence[str], threshold: float) -> None:
        self.comparisons = 0
        self._threshold = threshold
        several = [shingles(text) for text in texts]
        counts = Counter(shingle for one in several for shingle in one)
        rare_first = sorted(counts, key=lambda shingle: (counts[shingle], shingle))
        ranks = {shingle: rank for rank, shingle in enumerate(rare_first)}
        self._texts = [frozenset(ranks[shingle] for shingle in one) for one in several]
        self._remembered: list[int] = []
        self._index: defaultdict[int, list[int]] = defaultdict(list)

    def resembles(self, number: int) -> bool:
        """Say whether text `number` is similar to a remembered one; if not, remember it."""
        mine = self._texts[number]
        prefix = self._prefix(mine)
        candidates = {other for rank in prefix for other in self._index.get(rank, ())}
        if self._threshold == 0:  # even texts that share nothing are similar
            candidates.update(self._remembered)
        for other in candidates:
            self.comparisons += 1
            if self._similar(mine, self._texts[other]):
                return True
        for rank in prefix:
            self._index[rank].append(number)
        self._remembered.append(number)
        return False

    def _prefix(self, ranks: frozenset[int]) -> list[int]:
        # A hair below, so that rounding of t·|A| never shortens the prefix.
        shared = math.ceil(self._threshold * len(ranks) - _HAIR)
        return sorted(ranks)[: len(ranks) - shared + 1]

    def _similar(self, one: frozenset[int], other: frozenset[int]) -> bool:
        if min(len(one), len(other)) < self._threshold * max(len(one), len(other)) - _HAIR:
            return False
        shared = len(one & other)
        return shared >= self._threshold * (len(one) + len(other) - shared) - _HAIR
