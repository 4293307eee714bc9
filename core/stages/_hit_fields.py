"""What a search writes on a document: its score, and what each of its legs says of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.rows.fusion import DocumentKey, Fused
from core.stages._leg import Leg
from core.types import JsonObject


@dataclass(frozen=True, slots=True)
class Ballot:
    """One leg, its place among the stage's searches, and its documents' scores and ranks. Its
    name is `shared` if another leg has the same."""

    number: int
    leg: Leg
    shared: bool
    scores: Mapping[DocumentKey, float]
    ranks: Mapping[DocumentKey, int]

    def entry(self, key: DocumentKey, *, ranked: bool) -> JsonObject | None:
        """Return what the leg says of a document, None if it has not found it."""
        if key not in self.scores:
            return None
        entry: JsonObject = {"score": self.scores[key]}
        if ranked:
            entry["rank"] = self.ranks[key]
        if key in self.leg.similarity:
            entry["similarity"] = self.leg.similarity[key]
        return {**entry, **self.leg.moments.get(key, {})}


def ballots_of(legs: Mapping[int, Leg]) -> list[Ballot]:
    """Return the legs, by their places among the stage's searches, ready to be read."""
    names = Counter(leg.name for leg in legs.values())
    return [
        Ballot(
            number,
            leg,
            names[leg.name] > 1,
            dict(leg.ranked),
            {key: n for n, (key, _) in enumerate(leg.ranked, 1)} if len(legs) > 1 else {},
        )
        for number, leg in sorted(legs.items())
    ]


def hit_fields(fused: Fused, ballots: Sequence[Ballot]) -> JsonObject:
    """Return the fields. `features` has an entry for each leg that found the document, by the
    leg's name; legs of one name share the better one's, each with its own in `searches`."""
    key = fused.key
    features: JsonObject = {}
    for ballot in ballots:
        entry = ballot.entry(key, ranked=len(ballots) > 1)
        if entry is None:
            continue
        name = ballot.leg.name
        known = features.get(name)
        if ballot.shared:
            own = {"search": ballot.number, **entry}
            several = [*(known["searches"] if known else ()), own]
            better = entry if known is None or entry["score"] > known["score"] else known
            nearest = {"similarity": _nearest(several)} if _any_similarity(several) else {}
            features[name] = {**better, **nearest, "searches": several}
        else:
            features[name] = entry
    lead = ballots[fused.lead].leg
    changes: JsonObject = {
        "document_id": key[0],
        "collection_id": key[1],
        "score": fused.score,
        "feature_uri": lead.name,
        "features": features,
        **lead.moments.get(key, {}),
    }
    chunks = [chunk for ballot in ballots for chunk in ballot.leg.places.get(key, ())]
    return {**changes, "query_chunks": chunks} if chunks else changes


def _any_similarity(entries: Sequence[JsonObject]) -> bool:
    return any("similarity" in entry for entry in entries)


def _nearest(entries: Sequence[JsonObject]) -> float:
    """Return how near the nearest says a document is: verdicts read it.

    Where an entry has no similarity its score is one, but for a recording whose chunks agree by
    accident: that is a share of votes.
    """
    return max(
        float(entry["similarity"] if "similarity" in entry else entry["score"])
        for entry in entries
        if "similarity" in entry or entry.get("aligned") is not False
    )
