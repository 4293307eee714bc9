"""Copies too far away to be called near, found all the same where places of both pictures agree.

A crop or a screenshot changes a hash more than two strangers may differ. Places that many
strangers do not share then tell it from them: the documents within reach are compared by those.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np

from core.arrays import Float32, UInt8
from core.hits import Hit, QueryChunk, SearchAnswer, Verification
from core.ports.keypoints import Keypoints, VerifyRule, is_mirrored, unpack_keypoints
from core.rows.fusion import DocumentKey
from core.rows.row import Row
from core.stage import StageContext
from core.stages._geometry import Sighting
from core.stages._keypoints import sighted_pictures
from core.stages._leg import Leg, add_evidence
from core.stages._views import views_met
from core.types import JsonObject

# What is written on a document that was found in this way, beside what every search writes.
VERIFIED_FIELDS: Final = ("hash_score", "inliers", "query_box", "reference_box")
# Compared in one go, between which a query that is late can end.
_TOGETHER: Final = 50


@dataclass(frozen=True, slots=True)
class _Verified:
    """What was found: documents' hits by hash, their sightings, and what was compared."""

    hits: Mapping[DocumentKey, Hit]
    sightings: Mapping[DocumentKey, Sighting]
    account: Verification


async def verified_leg(
    leg: Leg,
    rule: VerifyRule | None,
    chunks: Sequence[QueryChunk],
    answer: SearchAnswer,
    ctx: StageContext,
) -> Leg:
    """Return the leg with the documents that places prove, and say what it rests on.

    Without a rule it is left as it is. `answer` holds a hit more of each chunk than `rule.checked`,
    where there are so many. Documents within reach that were left make the report incomplete.
    """
    if rule is None:
        add_evidence(ctx, leg.name, answer.evidence)
        return leg
    verified = await _verify(rule, chunks, answer.hits, ctx)
    left = verified.account.unchecked
    if left or any(_is_full(rule, hits) for hits in answer.hits):
        message = (
            f"the {rule.checked} nearest pictures within reach were looked at by their places, "
            f"and {left or 'perhaps some'} more are within reach"
        )
        ctx.report.incomplete.append({"code": "candidates_left", "message": message})
    scores = [rule.score(sighting.inliers) for sighting in verified.sightings.values()]
    if answer.evidence.best_score is not None:
        scores.append(answer.evidence.best_score)
    evidence = replace(answer.evidence, best_score=max(scores, default=None))
    add_evidence(ctx, leg.name, evidence, verified.account)
    return _with_verified(leg, rule, views_met(chunks, answer.hits), verified)


async def _verify(
    rule: VerifyRule,
    chunks: Sequence[QueryChunk],
    found: Sequence[Sequence[Hit]],
    ctx: StageContext,
) -> _Verified:
    """Compare the places of the nearest candidates with the query's."""
    hits = _candidates(rule, found)
    checked = dict(list(hits.items())[: rule.checked])
    rows = [Row(hit.document_id, {}, hit.source) for hit in checked.values()]
    vectors = await ctx.vectors_of(rows, rule.stored) if rows else []
    stored = {n: places for n, vector in enumerate(vectors) if (places := _read(vector))}
    views = _query_views(chunks)
    seen: dict[int, Sighting] = {}
    numbers = list(stored) if views else []
    for first in range(0, len(numbers), _TOGETHER):
        some = {n: stored[n] for n in numbers[first : first + _TOGETHER]}
        seen |= await ctx.compute(partial(_sightings, rule, views, some))
    keys = list(checked)
    account = Verification(
        places=max((len(places) for places, _ in views), default=0),
        checked=len(stored) if views else 0,
        verified=len(seen),
        without_places=len(checked) - len(stored),
        unchecked=len(hits) - len(checked),
    )
    return _Verified(hits, {keys[n]: sighting for n, sighting in seen.items()}, account)


def _with_verified(
    leg: Leg, rule: VerifyRule, notes: Mapping[DocumentKey, JsonObject], verified: _Verified
) -> Leg:
    """Return the leg with the verified documents where their places put them.

    `notes` say which views met.
    """
    floor = -np.inf if leg.entry.min_score is None else leg.entry.min_score
    scores, hits, moments = dict(leg.ranked), dict(leg.hits), dict(leg.moments)
    dropped = 0
    for key, sighting in verified.sightings.items():
        score = rule.score(sighting.inliers)
        if score < floor:
            dropped += 1
            continue
        scores[key] = score
        hits[key] = verified.hits[key]
        moments[key] = {
            **notes.get(key, {}),
            "chunks_matched": 1,  # a picture is one place
            "chunks_searched": 1,
            **moments.get(key, {}),
            "hash_score": verified.hits[key].score,
            "inliers": sighting.inliers,
            "query_box": [round(at) for at in sighting.query_box],
            "reference_box": [round(at) for at in sighting.reference_box],
        }
    ranked = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
    return replace(leg, ranked=ranked, hits=hits, moments=moments, cut=leg.cut + dropped)


def _candidates(rule: VerifyRule, found: Sequence[Sequence[Hit]]) -> dict[DocumentKey, Hit]:
    """Return the best hit of each document within reach and not near by itself, nearest first.

    Of each chunk as many hits as are looked at: how many more were asked for must not matter.
    """
    best: dict[DocumentKey, Hit] = {}
    for hits in found:
        for hit in hits[: rule.checked]:
            key = (hit.document_id, hit.source.collection_id)
            if hit.score >= rule.least_score and (key not in best or hit.score > best[key].score):
                best[key] = hit
    far = [(key, hit) for key, hit in best.items() if hit.score < rule.found_from]
    return dict(sorted(far, key=lambda pair: (-pair[1].score, pair[0])))


def _is_full(rule: VerifyRule, hits: Sequence[Hit]) -> bool:
    """Say whether a chunk has more hits within reach than are looked at."""
    return len(hits) > rule.checked and hits[rule.checked].score >= rule.least_score


def _query_views(chunks: Sequence[QueryChunk]) -> list[tuple[Keypoints, bool]]:
    """Return the query's places, of its picture and of the mirror image, and which it is."""
    views = [(_read(chunk.keypoints), is_mirrored(chunk.variant)) for chunk in chunks]
    return [(places, mirrored) for places, mirrored in views if places]


def _read(packed: UInt8 | Float32 | None) -> Keypoints | None:
    """Return what a vector holds; None for what are no places: documents may bring any bytes."""
    if packed is None or packed.dtype != np.uint8:
        return None
    try:
        places = unpack_keypoints(np.asarray(packed, np.uint8))
    except ValueError:
        return None
    return places if len(places) else None


def _sightings(
    rule: VerifyRule,
    views: Sequence[tuple[Keypoints, bool]],
    stored: Mapping[int, Keypoints],
) -> dict[int, Sighting]:
    best: dict[int, Sighting] = {}
    for places, mirrored in views:
        for number, sighting in sighted_pictures(rule, places, stored).items():
            if number not in best or sighting.inliers > best[number].inliers:
                best[number] = _unmirrored(sighting, places.width) if mirrored else sighting
    return best


def _unmirrored(sighting: Sighting, width: int) -> Sighting:
    left, top, right, bottom = sighting.query_box
    return replace(sighting, query_box=(width - right, top, width - left, bottom))
