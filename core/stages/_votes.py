"""Votes of a recording's chunks: which seconds of it are which seconds of a reference.

One near chunk proves little: pieces of different recordings resemble each other. Many that all say
"the reference, 12.0 s later" are no accident.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from core.hits import Evidence, QueryChunk
from core.ports.media import VoteRule
from core.rows.fusion import DocumentKey
from core.types import JsonObject, ReadOnlyObject

# What a search by votes writes on each document, beside what every search writes.
MOMENT_FIELDS: Final = (
    "query_start_ms",
    "query_end_ms",
    "reference_start_ms",
    "reference_end_ms",
    "chunks_matched",
    "chunks_searched",
    "aligned",
    "query_variant",
    "reference_view",
)
_SECOND: Final = 1000
# What a vote weighs whose chunk is just near enough.
_LIGHTEST: Final = 0.01
_Place = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class Reference:
    """A stored chunk: the file that it is of, and its place and number there, if it has any."""

    root: str
    start_ms: int | None = None
    end_ms: int | None = None
    number: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a query and one reference agree best. `key` is the nearest of the chunks that do.

    `similarity` is what as many chunks as prove something reach, None if too few agree: then it
    is below the rule's least, and the agreement may be an accident. Times are None without places.
    """

    key: DocumentKey
    matched: int
    searched: int
    similarity: float | None
    variant: str
    query: tuple[int, int] | None = None
    reference: tuple[int, int] | None = None
    chunks: list[JsonObject] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The share of the query's chunks that agree, 0–1."""
        return self.matched / self.searched

    @property
    def score(self) -> float:
        """How much of the query agrees, and how alike it is there, 0–1. What proves nothing counts
        for less than any chunk that does."""
        if self.similarity is None:
            return self.share / (2 * self.searched)
        return self.share * self.similarity

    def to_json(self) -> JsonObject:
        """Return it as a document carries it."""
        body: JsonObject = {
            "chunks_matched": self.matched,
            "chunks_searched": self.searched,
            "aligned": self.similarity is not None,
            "query_variant": self.variant,
        }
        if self.query is not None and self.reference is not None:
            body["query_start_ms"], body["query_end_ms"] = self.query
            body["reference_start_ms"], body["reference_end_ms"] = self.reference
        return body


@dataclass(frozen=True, slots=True)
class Pair:
    """A near chunk, and the offsets, in ms, that it votes for: from `low` to `high`."""

    place: _Place
    score: float
    key: DocumentKey
    reference: Reference
    low: float = 0.0
    high: float = 0.0

    @property
    def rank(self) -> tuple[float, DocumentKey]:
        return -self.score, self.key


# Pairs by collection, file, and view of the query.
Groups = Mapping[tuple[str, str, str], Sequence[Pair]]


def reference_of(key: DocumentKey, fields: ReadOnlyObject) -> Reference:
    """Return what a stored chunk is a part of, from its `_internal`; itself if of nothing."""
    internal = fields.get("_internal") or {}
    # What a user names the root object may have several files: their seconds have nothing to do
    # with each other.
    root = (internal.get("chunk") or {}).get("of")
    root = root or (internal.get("lineage") or {}).get("root_object_id")
    place = internal.get("place") or {}
    _, _, number = key[0].rpartition("#")
    return Reference(
        str(root or key[0]),
        place.get("start_ms"),
        place.get("end_ms"),
        int(number) if number.isdecimal() else 0,
    )


def count_votes(rule: VoteRule, chunks: Sequence[QueryChunk], groups: Groups) -> list[Moment]:
    """Return the best moment of each reference: score descending, then key.

    Chunks of one place, such as the mirrored views of a frame, have one vote; votes of different
    views are not added up.
    """
    needed, searched = votes_needed(rule, chunks), len(places_of(chunks))
    best: dict[tuple[str, str], Moment] = {}
    for (collection, root, view), pairs in sorted(groups.items()):
        moment = _moment(rule, pairs, view, (needed, searched))
        known = best.get((collection, root))
        if known is None or _preference(moment) < _preference(known):
            best[collection, root] = moment
    return sorted(best.values(), key=_rank)


def with_proofs(
    moments: Iterable[Moment],
    proven: Mapping[tuple[str, str], Moment],
    references: Mapping[DocumentKey, Reference],
) -> list[Moment]:
    """Return the moments, in the same order, of each collection and file that is in `proven` that
    one; the others prove nothing."""
    chosen = []
    for moment in moments:
        found = proven.get((moment.key[1], references[moment.key].root))
        chosen.append(replace(moment, similarity=None) if found is None else found)
    return sorted(chosen, key=_rank)


def _rank(moment: Moment) -> tuple[float, DocumentKey]:
    return -moment.score, moment.key


@dataclass(frozen=True, slots=True)
class Candidate:
    """A reference that may hold the query at the offset that all of `pairs` vote for; they are
    the nearer first, one for each place of the query."""

    root: str
    view: str
    pairs: Sequence[Pair]
    weight: float

    @property
    def order(self) -> tuple[float, DocumentKey]:
        """What comes first among several."""
        return -self.weight, self.pairs[0].key


def find_candidates(rule: VoteRule, groups: Groups, offsets: int) -> list[Candidate]:
    """Return the references at up to `offsets` offsets each, those with the most votes first; a
    vote weighs more the nearer its chunk is. Chunks without places vote for nothing."""
    candidates = []
    for (_, root, view), pairs in groups.items():
        rest = [p for p in pairs if p.place[0] is not None and p.reference.start_ms is not None]
        for _ in range(offsets):
            if not rest:
                break
            agreeing = _agreeing(rest, rule.tolerance_ms)
            best = list(_best_of_places(agreeing).values())
            weight = sum(pair.score - rule.min_score + _LIGHTEST for pair in best)
            candidates.append(Candidate(root, view, best, round(weight, 6)))
            gone = set(map(id, agreeing))
            rest = [pair for pair in rest if id(pair) not in gone]
    return sorted(candidates, key=lambda candidate: candidate.order)


def votes_needed(rule: VoteRule, chunks: Sequence[QueryChunk]) -> int:
    """Return how many of these chunks must agree to prove something; perhaps more than there are.

    They stand for as much of the query as lies between them: of a sample fewer are needed.
    """
    places = places_of(chunks)
    starts = [start for start, _ in places if start is not None]
    step = (max(starts) - min(starts)) / (len(starts) - 1) if len(starts) > 1 else 0.0
    enough = -(-rule.min_ms // step) if step else rule.min_ms
    return max(rule.min_votes, min(int(enough), -(-len(places) // 2)))


def voted_evidence(rule: VoteRule, evidence: Evidence, found: Iterable[float]) -> Evidence:
    """Return what an answer by votes rests on: `best_score` is the best similarity that enough
    chunks reach. If there is none, all that is known is that it is below the rule's least."""
    below = math.nextafter(rule.proven_from, 0.0)
    best = None if evidence.best_score is None else min(evidence.best_score, below)
    return replace(evidence, best_score=max(found, default=best))


def view_of(chunk: QueryChunk) -> str:
    """Return how the query is turned or mirrored in a chunk: with its border or without."""
    return chunk.variant.partition("+")[0]


def places_of(chunks: Sequence[QueryChunk]) -> set["_Place"]:
    """Return the places of a query's chunks: views of one place are one."""
    return {(chunk.start_ms, chunk.end_ms) for chunk in chunks}


def group_pairs(
    rule: VoteRule,
    chunks: Sequence[QueryChunk],
    found: Sequence[Sequence[tuple[DocumentKey, float]]],
    references: Mapping[DocumentKey, Reference],
) -> Groups:
    """Return the pairs by collection, file and view. `found` holds each chunk's near documents."""
    groups: dict[tuple[str, str, str], list[Pair]] = {}
    for chunk, near in zip(chunks, found, strict=True):
        for key, score in near:
            pair = _pair(rule, chunk, key, score, references[key])
            group = (key[1], pair.reference.root, view_of(chunk))
            groups.setdefault(group, []).append(pair)
    return groups


def _preference(moment: Moment) -> tuple[float, int, bool, DocumentKey]:
    near = -1.0 if moment.similarity is None else moment.similarity
    return -near, -moment.matched, moment.variant != "original", moment.key


def _pair(
    rule: VoteRule, chunk: QueryChunk, key: DocumentKey, score: float, reference: Reference
) -> Pair:
    place = (chunk.start_ms, chunk.end_ms)
    if chunk.start_ms is None or reference.start_ms is None:
        return Pair(place, score, key, reference)
    low = high = float(reference.start_ms - chunk.start_ms)
    if rule.spans:
        # A picture that stands still meets any second in which the other one does.
        low -= max(0, (chunk.end_ms or 0) - chunk.start_ms - _SECOND)
        high += max(0, (reference.end_ms or 0) - reference.start_ms - _SECOND)
    return Pair(place, score, key, reference, low, high)


def _moment(rule: VoteRule, pairs: Sequence[Pair], view: str, counts: tuple[int, int]) -> Moment:
    needed, searched = counts
    agreeing = _agreeing(pairs, rule.tolerance_ms)
    best = _best_of_places(agreeing)
    first = next(iter(best.values()))
    matched = len(best)
    scores = sorted((pair.score for pair in best.values()), reverse=True)
    query, reference = _times(rule, list(best.values()))
    return Moment(
        key=first.key,
        matched=matched,
        searched=searched,
        similarity=scores[needed - 1] if matched >= needed else None,
        variant=view,
        query=query,
        reference=reference,
        chunks=list(_chunks(best)),
    )


def _best_of_places(pairs: Sequence[Pair]) -> dict[_Place, Pair]:
    """Return the nearest pair of each place, the nearest of all first."""
    best: dict[_Place, Pair] = {}
    for pair in sorted(pairs, key=lambda pair: pair.rank):
        best.setdefault(pair.place, pair)
    return best


def _agreeing(pairs: Sequence[Pair], tolerance: int) -> list[Pair]:
    """Return the pairs that contain the offset which most places vote for.

    Of offsets with as many votes it is the one of the nearest chunks, then the smallest.
    """
    ends = [(pair.low - tolerance, 0, n) for n, pair in enumerate(pairs)]
    ends += [(pair.high + tolerance, 1, n) for n, pair in enumerate(pairs)]
    inside: Counter[_Place] = Counter()
    total, best, at = 0.0, (0, 0.0), 0.0
    for offset, closes, n in sorted(ends):
        pair = pairs[n]
        if closes:
            inside[pair.place] -= 1
            total -= pair.score
            if not inside[pair.place]:
                del inside[pair.place]
            continue
        inside[pair.place] += 1
        total += pair.score
        # Rounded: sums of the same scores in another order must not decide.
        if (votes := (len(inside), round(total, 6))) > best:
            best, at = votes, offset
    return [pair for pair in pairs if pair.low - tolerance <= at <= pair.high + tolerance]


def _times(
    rule: VoteRule, pairs: Sequence[Pair]
) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """Return from when to when the query and the reference agree, in ms."""
    timed = [
        (pair.place[0], pair.place[1] or pair.place[0], pair)
        for pair in pairs
        if pair.place[0] is not None and pair.reference.start_ms is not None
    ]
    if not timed:
        return None, None
    start, end = min(first for first, _, _ in timed), max(last for _, last, _ in timed)
    # The nearer a pair, the better its chunks coincide; the wider its span, the less it says.
    weights = [
        (pair.score - rule.min_score + _LIGHTEST) / (1 + (pair.high - pair.low) / _SECOND)
        for _, _, pair in timed
    ]
    middles = [(pair.low + pair.high) / 2 for _, _, pair in timed]
    offset = sum(w * m for w, m in zip(weights, middles, strict=True)) / sum(weights)
    return (start, end), (max(0, round(start + offset)), max(0, round(end + offset)))


def _chunks(best: Mapping[_Place, Pair]) -> Iterator[JsonObject]:
    for place in sorted(best, key=lambda place: (place[0] or 0, place[1] or 0)):
        yield met_chunk(place, best[place].reference, best[place].score)


def met_chunk(place: _Place, reference: Reference, score: float) -> JsonObject:
    """Return one of a document's `query_chunks`: a chunk of the query and what it met."""
    return {
        "start_ms": place[0],
        "end_ms": place[1],
        "score": score,
        "reference_start_ms": reference.start_ms,
        "reference_end_ms": reference.end_ms,
    }
