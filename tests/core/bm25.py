"""BM25 as the papers write it, one document after the other: what the engine is compared with."""

import math
import re
from collections import Counter
from collections.abc import Sequence

K1, B = 1.2, 0.75


def words_of(text: str) -> list[str]:
    """Return the words in lower case; not stemmed, so tests use words that are their own stems."""
    return re.findall(r"[^\W_]+", text.lower())


def bm25_scores(texts: Sequence[Sequence[str]], query: str) -> list[float]:
    """Return a score per document, each a list of strings; 0 where no word is shared.

    Documents without strings are not there. Robertson and Zaragoza, 2009, with Lucene's idf.
    """
    bags = [Counter(word for string in strings for word in words_of(string)) for strings in texts]
    indexed = [bag for bag, strings in zip(bags, texts, strict=True) if strings]
    total = sum(bag.total() for bag in indexed)
    if not total:
        return [0.0] * len(texts)
    scores = [0.0] * len(texts)
    for word, times in Counter(words_of(query)).items():
        holders = sum(word in bag for bag in indexed)
        idf = math.log(1 + (len(indexed) - holders + 0.5) / (holders + 0.5))
        for n, bag in enumerate(bags):
            f = bag[word]
            length = bag.total() / (total / len(indexed))
            scores[n] += times * idf * f * (K1 + 1) / (f + K1 * (1 - B + B * length)) if f else 0.0
    return scores
