"""Near-duplicate texts: Jaccard similarity of character shingles, without comparing all pairs."""

import math
from collections import defaultdict

LENGTH = 5  # characters per shingle: long enough that unrelated prose shares few


def shingles(text: str) -> frozenset[str]:
    """Return the runs of 5 characters in a text, white space collapsed; a shorter text is one."""
    flat = " ".join(text.split())
    if not flat:
        return frozenset()
    return frozenset(flat[i : i + LENGTH] for i in range(max(1, len(flat) - LENGTH + 1)))


class NearDuplicates:
    """Remembers texts and says whether a new one resembles any of them.

    Similarity is |A ∩ B| / |A ∪ B| of shingle sets. Sets that are similar to degree t share at
    least ⌈t·|A|⌉ shingles, so that in any one order of all shingles their first |A| − ⌈t·|A|⌉ + 1
    meet (prefix filtering: Chaudhuri, Ganti, Kaushik, ICDE 2006). Only those are indexed and
    looked up; newer shingles come first, as they are the rarer ones.
    """

    def __init__(self, threshold: float) -> None:
        self.comparisons = 0
        self.remembered = 0  # shingles held
        self._threshold = threshold
        self._numbers: dict[str, int] = {}
        self._texts: list[frozenset[int]] = []
        self._index: defaultdict[int, list[int]] = defaultdict(list)

    def resembles(self, text: str) -> bool:
        """Say whether `text` is similar to a remembered one; if not, remember it."""
        numbers = self._numbered(text)
        prefix = self._prefix(numbers)
        candidates = {n for number in prefix for n in self._index.get(number, ())}
        if self._threshold == 0:  # even texts that share nothing are similar
            candidates.update(range(len(self._texts)))
        for candidate in candidates:
            self.comparisons += 1
            if self._similar(numbers, self._texts[candidate]):
                return True
        for number in prefix:
            self._index[number].append(len(self._texts))
        self._texts.append(numbers)
        self.remembered += len(numbers)
        return False

    def _numbered(self, text: str) -> frozenset[int]:
        known = self._numbers
        return frozenset(known.setdefault(s, len(known)) for s in sorted(shingles(text)))

    def _prefix(self, numbers: frozenset[int]) -> list[int]:
        # A hair below, so that rounding of t·|A| never shortens the prefix.
        shared = math.ceil(self._threshold * len(numbers) - 1e-9)
        return sorted(numbers, reverse=True)[: len(numbers) - shared + 1]

    def _similar(self, one: frozenset[int], other: frozenset[int]) -> bool:
        shared = len(one & other)
        return shared >= self._threshold * (len(one) + len(other) - shared) - 1e-9
