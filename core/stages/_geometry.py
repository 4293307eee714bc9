"""Pictures found inside pictures: near places that one move brings onto each other.

A single place that looks alike proves nothing: corners are everywhere. Several that all agree on
one scaling, turning and moving are no accident. RANSAC (Fischler and Bolles 1981), over pairs.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.hits import Evidence, QueryChunk
from core.ports.media import GeometryRule
from core.rows.fusion import DocumentKey
from core.types import JsonObject, ReadOnlyObject

# What a search by geometry writes on each document, beside what every search writes.
GEOMETRY_FIELDS: Final = ("inliers", "query_box", "reference_box", "chunks_matched")
# Near places of one reference that are looked at, the nearest; and pairs of them that are tried.
_MOST_PLACES: Final = 300
_MOST_PAIRS: Final = 1500
# How far from where it should be a place may lie: in px of the query, and as a share of what the
# places span there (perspective, wrinkles).
_SLACK_PX, _SLACK_SHARE = 3.0, 0.025
# A pair nearer than this, in px of the reference, says little of angle and scale.
_LEAST_APART: Final = 6.0
# Sizes of two places that are the same differ from the whole's scale by at most this factor.
_SIZE_FACTOR: Final = 2.0
_LEAST_SCALE, _MOST_SCALE = 0.03, 30.0
# Places within so many px are one place that was found twice.
_SAME_PX: Final = 3.0

_Complex = NDArray[np.complex128]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class StoredPlace:
    """A stored chunk: the picture that it is of, and its square there, if it has one."""

    root: str
    box: Box | None


@dataclass(frozen=True, slots=True)
class Sighting:
    """Where a reference was found in the query, or nearly. `key` is the nearest of its chunks.

    `inliers` are places that agree; boxes are around them, in px of the query and the reference.
    """

    key: DocumentKey
    inliers: int
    matched: int
    query_box: Box
    reference_box: Box
    # Of the reference's places that resemble any of the query, the share that lies where it should.
    share: float = 1.0

    def score(self, rule: GeometryRule) -> float:
        """Return 0–1: 0.5 for as many places as prove it (`rule.match`), towards 1 for more."""
        return self.inliers / (self.inliers + rule.match)

    def to_json(self) -> JsonObject:
        """Return it as a document carries it."""
        return {
            "inliers": self.inliers,
            "query_box": [round(at) for at in self.query_box],
            "reference_box": [round(at) for at in self.reference_box],
            "chunks_matched": self.matched,
        }


def stored_place(key: DocumentKey, fields: ReadOnlyObject) -> StoredPlace:
    """Return what a stored chunk is a part of, from its `_internal`; itself if of nothing."""
    internal = fields.get("_internal") or {}
    root = (internal.get("lineage") or {}).get("root_object_id")
    box = (internal.get("place") or {}).get("box")
    return StoredPlace(str(root or key[0]), tuple(box) if box and len(box) == 4 else None)


def find_sightings(
    rule: GeometryRule,
    chunks: Sequence[QueryChunk],
    found: Sequence[Sequence[tuple[DocumentKey, float]]],
    stored: Mapping[DocumentKey, StoredPlace],
) -> list[Sighting]:
    """Return the references with at least `rule.review` agreeing places: most first, then key.

    `found` holds each chunk's near documents. A reference of which much is met, but little of that
    where it should be (`rule.share`), shares a part with the query: a letter of a lettering.
    """
    groups: dict[tuple[str, str], list[_Pair]] = defaultdict(list)
    for chunk, near in zip(chunks, found, strict=True):
        seen: set[tuple[str, str]] = set()
        for key, score in near:
            box, picture = stored[key].box, (key[1], stored[key].root)
            # Of one reference only the nearest place: others make agreement by accident likelier.
            if chunk.box is not None and box is not None and picture not in seen:
                seen.add(picture)
                groups[picture].append(_Pair(chunk.box, box, score, key))
    sightings = []
    # All of them: a query has no more near places than its chunks times `rule.near`, which bounds
    # what the references cost together.
    for _, pairs in sorted(groups.items()):
        if len(pairs) < rule.review:
            continue
        sighting = _sighting(sorted(pairs, key=lambda pair: (-pair.score, pair.key))[:_MOST_PLACES])
        if sighting is None or sighting.inliers < rule.review:
            continue
        if sighting.share >= rule.share:
            sightings.append(sighting)
    return sorted(sightings, key=lambda each: (-each.inliers, each.key))


def sighted_evidence(
    rule: GeometryRule, evidence: Evidence, sightings: Iterable[Sighting]
) -> Evidence:
    """Return what an answer by geometry rests on: `best_score` is the best sighting's."""
    best = max((each.score(rule) for each in sightings), default=None)
    none = 0.0 if evidence.best_score is not None else None
    return replace(evidence, best_score=none if best is None else best)


@dataclass(frozen=True, slots=True)
class _Pair:
    """A place of the query and one of a reference that look alike."""

    query: Box
    reference: Box
    score: float
    key: DocumentKey


def _sighting(pairs: Sequence[_Pair]) -> Sighting | None:
    query, query_size = _centres(pair.query for pair in pairs)
    reference, reference_size = _centres(pair.reference for pair in pairs)
    inside = _agreeing(query, reference, query_size / reference_size)
    if not inside.any():
        return None
    count = min(_distinct(query[inside]), _distinct(reference[inside]))
    chosen = [pair for pair, taken in zip(pairs, inside, strict=True) if taken]
    return Sighting(
        key=chosen[0].key,
        inliers=count,
        share=count / _distinct(reference),
        matched=len(pairs),
        query_box=_around(pair.query for pair in chosen),
        reference_box=_around(pair.reference for pair in chosen),
    )


def _agreeing(query: _Complex, reference: _Complex, sizes: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which places the best move brings together, (n,): query = scale · reference + shift.

    A complex `scale` turns too. Every move that two places define is tried, or a fixed sample.
    """
    none = np.zeros(len(query), np.bool_)
    scales, shifts = _moves(query, reference, sizes)
    if not len(scales):
        return none
    span = np.abs(scales) * np.ptp(np.stack([reference.real, reference.imag]), axis=1).max()
    slack = np.maximum(_SLACK_PX, _SLACK_SHARE * span)
    away = np.abs(scales[:, None] * reference[None, :] + shifts[:, None] - query[None, :])
    grown = np.abs(np.log(sizes)[None, :] - np.log(np.abs(scales))[:, None])
    inside = (away <= slack[:, None]) & (grown <= np.log(_SIZE_FACTOR))
    order = np.argsort(-inside.sum(axis=1), kind="stable")[:8]
    # The most pairs may be few places found often: what counts is places.
    best = max((_spread(query[inside[n]], reference[inside[n]]), -at) for at, n in enumerate(order))
    chosen = inside[order[-best[1]]]
    return _refined(query, reference, chosen, slack[order[-best[1]]])


def _moves(query: _Complex, reference: _Complex, sizes: NDArray[Any]) -> tuple[_Complex, _Complex]:
    first, second = np.triu_indices(len(query), 1)
    if len(first) > _MOST_PAIRS:
        # Fixed, so that an answer is the same each time; near the front places look most alike.
        picked = np.random.default_rng(0).choice(len(first), _MOST_PAIRS, replace=False)
        first, second = first[picked], second[picked]
    apart = reference[first] - reference[second]
    usable = np.abs(apart) >= _LEAST_APART
    first, second, apart = first[usable], second[usable], apart[usable]
    scales = (query[first] - query[second]) / apart
    size = np.abs(scales)
    likely = (size >= _LEAST_SCALE) & (size <= _MOST_SCALE)
    for end in (first, second):
        with np.errstate(divide="ignore"):
            likely &= np.abs(np.log(sizes[end]) - np.log(size)) <= np.log(_SIZE_FACTOR)
    scales, first = scales[likely], first[likely]
    return scales, query[first] - scales * reference[first]


def _refined(
    query: _Complex, reference: _Complex, inside: NDArray[np.bool_], slack: float
) -> NDArray[np.bool_]:
    """Return the places that the affine move through those found brings together, if more."""
    if inside.sum() < 4:
        return inside
    given = np.stack([reference.real, reference.imag, np.ones(len(reference))], axis=1)
    wanted = np.stack([query.real, query.imag], axis=1)
    matrix, _, rank, _ = np.linalg.lstsq(given[inside], wanted[inside], rcond=None)
    if rank < 3:
        return inside
    away = np.linalg.norm(given @ matrix - wanted, axis=1)
    closer = away <= slack
    more = _spread(query[closer], reference[closer]) > _spread(query[inside], reference[inside])
    # An affine move can flatten a picture; a printed one is never squeezed so far.
    stretch = np.linalg.svd(matrix[:2], compute_uv=False)
    return closer if more and stretch[0] <= 4 * stretch[1] else inside


def _centres(boxes: Iterable[Box]) -> tuple[_Complex, NDArray[np.float64]]:
    """Return the middles of squares as complex numbers, and their sides."""
    array = np.array(list(boxes), np.float64)
    middles = (array[:, :2] + array[:, 2:]) / 2
    return middles[:, 0] + 1j * middles[:, 1], np.maximum(array[:, 2] - array[:, 0], 1.0)


def _spread(query: _Complex, reference: _Complex) -> int:
    return min(_distinct(query), _distinct(reference))


def _distinct(places: _Complex) -> int:
    """Return how many places there are, those next to each other counted once."""
    count = 0
    while len(places):
        count += 1
        places = places[np.abs(places - places[0]) > _SAME_PX]
    return count


def _around(boxes: Iterable[Box]) -> Box:
    array = np.array(list(boxes), np.float64)
    low, high = array[:, :2].min(axis=0), array[:, 2:].max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def sighting_doubts(
    rule: GeometryRule, chunks: Sequence[QueryChunk], full: int
) -> Iterator[JsonObject]:
    """Yield why a picture of which nothing was found may be there nevertheless.

    `full` counts the places that have as many near ones as are looked at.
    """
    if len(chunks) < rule.match:
        message = f"{len(chunks)} places are too few to recognise a picture by"
        yield {"code": "too_few_places", "message": message}
    if 2 * full > len(chunks):
        message = (
            f"{full} of {len(chunks)} places have {rule.near} near ones and perhaps more, "
            "which were not looked at"
        )
        yield {"code": "top_k_reached", "message": message}
