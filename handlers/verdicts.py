"""What an answer says of a file: match, review, clear, or unknown and why. One pure function."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from core.types import JsonObject

Word = Literal["match", "review", "clear", "unknown"]

NOT_COMPARED: Final = "nothing was compared: the collection holds nothing to compare with"


@dataclass(frozen=True, slots=True)
class Measure:
    """How far apart an extractor's vectors are, in its unit, and which distances mean something.

    Up to `match` it is the same, up to `review` perhaps. Only Hamming distances have one: a score
    is 1 - bits / `dimension`.
    """

    dimension: int
    match: int
    review: int
    unit: str

    def distance(self, score: float) -> int:
        """Return the distance that a score stands for."""
        return round((1.0 - score) * self.dimension)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict; why, where that is not plain; and the nearest document, if one came back."""

    word: Word
    reason: str | None = None
    document: JsonObject | None = None
    distance: int | None = None
    unit: str = ""


def read_measures(extractors: Iterable[Mapping[str, Any]]) -> dict[str, Measure]:
    """Return the measure of each address in an answer of `/v1/discovery/extractors`."""
    measures: dict[str, Measure] = {}
    for entry in extractors:
        if entry["metric"] != "hamming":
            continue
        limits = entry["thresholds"]
        measure = Measure(entry["dimension"], limits["match"], limits["review"], limits["unit"])
        measures[entry["feature_uri"]] = measure
        measures[entry["vector_name"]] = measure
    return measures


def searched_features(retriever: Mapping[str, Any]) -> list[str]:
    """Return the feature addresses that a retriever's searches name, each once."""
    configs = [stage["config"] for stage in retriever["stages"]]
    searches = [
        search
        for config in configs
        if config["stage_id"] == "feature_search"
        for search in config["parameters"].get("searches") or ()
    ]
    return list(dict.fromkeys(search["feature_uri"] for search in searches))


def judge(
    result: Mapping[str, Any], features: Sequence[str], measures: Mapping[str, Measure]
) -> Verdict:
    """Return the verdict on one result of a retriever that searches these features.

    A near document is a match whatever else went wrong. No near document is "clear" only if the
    query completed, nothing was skipped, the search was exact, and there was something to compare
    with; everything less is "unknown", never clear.
    """
    if result["status"] != "completed":
        return Verdict("unknown", (result.get("error") or {}).get("message") or result["status"])
    known = {uri: measures[uri] for uri in features if uri in measures}
    nearest = _nearest(result.get("documents") or (), known)
    if nearest is None:
        doubt = _doubt(result, features, known, None)
        return Verdict("unknown" if doubt else "clear", doubt)
    word: Word
    if nearest.distance <= nearest.measure.review:
        word = "match" if nearest.distance <= nearest.measure.match else "review"
        reason = _incomplete(result)
    else:
        reason = _doubt(result, features, known, nearest)
        word = "unknown" if reason else "clear"
    return Verdict(word, reason, nearest.document, nearest.distance, nearest.measure.unit)


@dataclass(frozen=True, slots=True)
class _Near:
    """A document, and how far away it is in the feature in which it is nearest."""

    document: JsonObject
    distance: int
    measure: Measure


def _nearest(documents: Iterable[JsonObject], known: Mapping[str, Measure]) -> _Near | None:
    best: _Near | None = None
    for document in documents:
        found = document.get("features")
        for uri, hit in (found if isinstance(found, dict) else {}).items():
            if uri not in known:
                continue
            distance = known[uri].distance(hit.get("similarity", hit["score"]))
            if best is None or distance < best.distance:
                best = _Near(document, distance, known[uri])
    return best


def _doubt(
    result: Mapping[str, Any],
    features: Sequence[str],
    known: Mapping[str, Measure],
    nearest: _Near | None,
) -> str | None:
    """Return why nothing near may not be taken for a no-match, None if it may."""
    evidence = result.get("evidence") or {}
    strange = ", ".join(uri for uri in features if uri not in known)
    doubts = {
        "the answer is incomplete": not result["complete"],
        "the retriever searches for nothing": not features,
        f"no distances are known to mean anything for {strange}": bool(strange),
        NOT_COMPARED: not evidence.get("compared"),
        "the search was not proven exact": not evidence.get("exact"),
        "the documents are not in the answer but at its documents_url": "documents" not in result,
    }
    first = next((text for text, holds in doubts.items() if holds), None)
    return _incomplete(result) or first or _unseen(evidence, known, nearest)


def _unseen(
    evidence: Mapping[str, Any], known: Mapping[str, Measure], nearest: _Near | None
) -> str | None:
    """Say if the search came nearer than any document of the answer: a later stage, or a floor
    under the score, left out what may be a match."""
    score = evidence.get("best_score")
    if score is None:
        return "the answer does not say how near the nearest was"
    for measure in known.values():
        distance = measure.distance(score)
        if distance <= measure.review and (nearest is None or distance < nearest.distance):
            found = f"something {distance} {measure.unit} away was found"
            return f"{found}, but the retriever left it out of the answer"
    return None


def _incomplete(result: Mapping[str, Any]) -> str | None:
    return "; ".join(entry["message"] for entry in result["incomplete"]) or None
