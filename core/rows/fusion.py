"""Fusion of ranked lists: several searches, or the chunks of one query, become one order."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

RankedList = Sequence[tuple["DocumentKey", float]]  # best first, each document once
DocumentKey = tuple[str, str]  # document id, collection id: also the order of equal scores
Method = Literal["rrf", "dbsf", "weighted", "max", "avg"]

RRF_CONSTANT = 60  # Cormack, Clarke and Büttcher, 2009; ranks start at 1
# Where DBSF's normal range ends (Mazzeschi, 2023: mean ± 3 standard deviations).
DBSF_LIMIT = -3.0


@dataclass(frozen=True, slots=True)
class Fused:
    """A document's fused score, and which list contributed most to it (the first of equals)."""

    key: DocumentKey
    score: float
    lead: int


@dataclass(frozen=True, slots=True)
class _Share:
    """What one list adds to each of its documents, and what it adds to all the others."""

    found: Mapping[DocumentKey, float]
    absent: float


def fuse(
    lists: Sequence[RankedList], method: Method, weights: Sequence[float] | None = None
) -> list[Fused]:
    """Fuse ranked lists: score descending, then document key. The lists' order changes no score.

    rrf: Σ w / (60 + rank). weighted: Σ w·score. max: the greatest score. avg: the mean score.
    dbsf: Σ w·(score - mean) / std, per list. What a list does not hold scored no better there
    than its last entry, so it counts as 0 in weighted, at most 0 in avg, and at most the lower
    end of the normal range in dbsf: it never gains by its absence.
    """
    shares = [
        _share(method, ranked, 1.0 if weights is None else weights[n], len(lists))
        for n, ranked in enumerate(lists)
    ]
    leads: dict[DocumentKey, tuple[float, int]] = {}
    parts: dict[DocumentKey, list[float]] = {}
    for n, share in enumerate(shares):
        for key, value in share.found.items():
            parts.setdefault(key, []).append(value)
            if key not in leads or value > leads[key][0]:
                leads[key] = (value, n)
    if method == "max":
        scores = {key: max(values) for key, values in parts.items()}
    else:
        scores = _sums(shares, parts)
    order = sorted(scores, key=lambda key: (-scores[key], key))
    return [Fused(key, scores[key], leads[key][1]) for key in order]


def _sums(
    shares: Sequence[_Share], parts: Mapping[DocumentKey, list[float]]
) -> dict[DocumentKey, float]:
    # fsum rounds once: the sum does not depend on the order of the lists.
    lacking = [share for share in shares if share.absent]
    return {
        key: math.fsum([*values, *(s.absent for s in lacking if key not in s.found)])
        for key, values in parts.items()
    }


def _share(method: Method, ranked: RankedList, weight: float, count: int) -> _Share:
    if method == "rrf":
        ranks = enumerate(ranked, start=RRF_CONSTANT + 1)
        return _Share({key: weight / place for place, (key, _) in ranks}, 0.0)
    if method == "dbsf":
        return _dbsf(ranked, weight)
    if method == "max":
        return _Share(dict(ranked), 0.0)
    factor = weight if method == "weighted" else 1.0 / count
    lowest = min((score for _, score in ranked), default=0.0) if method == "avg" else 0.0
    return _Share({key: factor * score for key, score in ranked}, factor * min(0.0, lowest))


def _dbsf(ranked: RankedList, weight: float) -> _Share:
    if not ranked:
        return _Share({}, 0.0)
    mean = math.fsum(score for _, score in ranked) / len(ranked)
    std = math.sqrt(math.fsum((score - mean) ** 2 for _, score in ranked) / len(ranked))
    # Scores that differ by rounding alone, or not at all, tell nothing apart.
    spread = std if std > 1e-12 * max(1.0, abs(mean)) else math.inf
    found = {key: weight * ((score - mean) / spread) for key, score in ranked}
    return _Share(found, min(weight * DBSF_LIMIT, *found.values()))
