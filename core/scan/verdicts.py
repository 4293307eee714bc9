"""What a result says of a file: block, review, clear, or unknown and why. Pure functions.

The one implementation for scans, `trawl batch` and the demonstration.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from core.rows.values import number_or_none, value_at
from core.scan.thresholds import Level, Scale, Thresholds
from core.types import JsonObject

Word = Literal["block", "review", "clear", "unknown"]

NOT_COMPARED: Final = "nothing was compared: the collection holds nothing to compare with"

# The worst first. Whoever looks at a review looks at the file, and is told what else is unknown;
# an unknown that hid a review would hide a finding. So review comes before unknown, and a file's
# `complete` says whether anything of it was left unchecked.
_WORST_FIRST: Final[tuple[Word, ...]] = ("block", "review", "unknown", "clear")
_APPROXIMATE: Final = "approximate"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why nothing better can be said; `code` is stable."""

    code: str
    message: str

    def to_json(self) -> JsonObject:
        """Return the wire form."""
        return {"code": self.code, "message": self.message}


@dataclass(frozen=True, slots=True)
class Near:
    """The nearest document of a result: its score, and in which feature (or field) that is."""

    document: JsonObject
    score: float
    feature: str
    scale: Scale
    # The score of its hash alone, where its places prove more, and its score says how much.
    hash_score: float | None = None

    @property
    def distance(self) -> float | None:
        """How far away it is in the feature's unit, None where there is no such."""
        measured = self.score if self.hash_score is None else self.hash_score
        return None if self.scale.measure is None else self.scale.measure.distance(measured)

    @property
    def unit(self) -> str | None:
        """The unit of the distance."""
        return None if self.scale.measure is None else self.scale.measure.unit


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one result, why, where that is not plain, and the nearest document."""

    word: Word
    reasons: tuple[Reason, ...] = ()
    nearest: Near | None = None


def worst(words: Iterable[Word]) -> Word:
    """Return the worst of some verdicts; of none, `unknown`: nothing was checked."""
    found = set(words)
    return next((word for word in _WORST_FIRST if word in found), "unknown")


def judge(
    result: Mapping[str, Any], thresholds: Thresholds, canary: Reason | None = None
) -> Judgement:
    """Return the verdict on one result of a retriever with these thresholds.

    A near document counts whatever else went wrong. No near document is "clear" only if the
    query completed, nothing was skipped, the search was exact (or the retriever allows
    approximate ones), and there was something to compare with; everything less is "unknown",
    never clear. `canary` says why the retriever's own test was not passed, if it was not.
    """
    if result["status"] != "completed":
        return Judgement("unknown", (_failure(result),))
    nearest = _nearest(result.get("documents") or (), thresholds)
    level = None if nearest is None else nearest.scale.level(nearest.score)
    if level is not None:
        return Judgement(level, _incomplete(result, thresholds), nearest)
    doubts = _doubts(result, thresholds)
    if canary is not None:
        doubts = (*doubts, canary)
    return Judgement("unknown" if doubts else "clear", doubts, nearest)


def canary_fault(result: Mapping[str, Any], thresholds: Thresholds) -> Reason | None:
    """Return what is wrong with the answer to a search for the canary, None if it came back on
    top and blocks."""
    name = thresholds.canary
    if result["status"] != "completed":
        why = _failure(result)
        return Reason("canary_failed", f"the canary {name} could not be looked for: {why.message}")
    nears = _nears(result.get("documents") or (), thresholds)
    own = [near for near in nears if _is_document(near.document, name)]
    best = max((near.score for near in nears), default=None)
    if any(near.score == best and near.scale.level(near.score) == "block" for near in own):
        return None
    missing = f"the canary {name} was not found on top, so what else was not found proves nothing"
    return Reason("canary_missing", missing)


def level_of(document: JsonObject, thresholds: Thresholds) -> Level | None:
    """Return what one document means by itself."""
    nearest = _nearest([document], thresholds)
    return None if nearest is None else nearest.scale.level(nearest.score)


def _is_document(document: JsonObject, name: str | None) -> bool:
    """Say whether it is the document of that id, or a chunk of the file of that id."""
    internal = document.get("_internal") or {}
    root = (internal.get("lineage") or {}).get("root_object_id")
    file = (internal.get("chunk") or {}).get("of")
    return name is not None and name in (document.get("document_id"), root, file)


def _failure(result: Mapping[str, Any]) -> Reason:
    error = result.get("error") or {}
    status = str(result["status"])
    return Reason(str(error.get("code") or status), str(error.get("message") or status))


def _nears(documents: Iterable[JsonObject], thresholds: Thresholds) -> list[Near]:
    found = []
    for document in documents:
        if thresholds.own is not None and thresholds.score_field is not None:
            value = number_or_none(value_at(document, thresholds.score_field))
            if value is not None:
                found.append(Near(document, float(value), thresholds.score_field, thresholds.own))
            continue
        features = document.get("features")
        for uri, hit in (features if isinstance(features, dict) else {}).items():
            # Of a recording too few of whose chunks agree, the score is their share.
            accidental = hit.get("aligned") is False
            if uri in thresholds.scales and ("similarity" in hit or not accidental):
                score = float(hit.get("similarity", hit["score"]))
                scale = thresholds.scales[uri]
                found.append(Near(document, score, uri, scale, hit.get("hash_score")))
    return found


def _nearest(documents: Iterable[JsonObject], thresholds: Thresholds) -> Near | None:
    """Return the document that means most: by its level, then by how far it is from the next."""
    return max(_nears(documents, thresholds), key=_weight, default=None)


def _weight(near: Near) -> tuple[int, float]:
    level = near.scale.level(near.score)
    # Features differ in what their scores mean: what counts is the way to their thresholds.
    return {"block": 2, "review": 1, None: 0}[level], near.score - near.scale.review_at


def _doubts(result: Mapping[str, Any], thresholds: Thresholds) -> tuple[Reason, ...]:
    """Return why nothing near may not be taken for a no-match, nothing if it may."""
    incomplete = _incomplete(result, thresholds)
    if incomplete:
        return incomplete
    allowed = thresholds.allow_approximate and bool(result["incomplete"])
    strange = ", ".join(thresholds.strange)
    unreachable = ", ".join(uri for uri, one in thresholds.scales.items() if not one.reachable)
    checks = (
        ("incomplete", "the answer is incomplete", not (result["complete"] or allowed)),
        ("no_search", "no search of the retriever looks for the file", not thresholds.features),
        (
            "no_thresholds",
            f"no distances are known to mean anything for {strange}",
            bool(strange) and thresholds.own is None,
        ),
        (
            "unreachable",
            f"no score of {unreachable} can be as high as the retriever's thresholds",
            bool(unreachable) and thresholds.own is None,
        ),
        (
            "documents_elsewhere",
            "the documents are not in the answer but at its documents_url",
            "documents" not in result or bool(result.get("documents_count")),
        ),
    )
    for code, message, holds in checks:
        if holds:
            return (Reason(code, message),)
    evidence = result.get("evidence") or {}
    unseen = _unproven(evidence, thresholds)
    if unseen is None and thresholds.own is not None:
        unseen = _unjudged(result, thresholds)
    elif unseen is None:
        unseen = _left_out(evidence, thresholds)
    return () if unseen is None else (unseen,)


def _unproven(evidence: Mapping[str, Any], thresholds: Thresholds) -> Reason | None:
    """Say why the searches prove nothing of what they did not find."""
    compared: Mapping[str, Any] = evidence.get("features") or {}
    for uri in thresholds.features:
        found = compared.get(uri)
        if not found or not found["compared"]:
            several = f", by {uri}" if len(thresholds.features) > 1 else ""
            return Reason("nothing_compared", NOT_COMPARED + several)
        if not found["whole"]:
            message = f"{uri} was compared only with what earlier stages had found"
            return Reason("not_all_compared", message)
    if not (evidence.get("exact") or thresholds.allow_approximate):
        return Reason("not_exact", "the search was not proven exact")
    blind = evidence.get("unsearchable") or 0
    if blind:
        return Reason("unsearchable_documents", _blind(blind, evidence))
    return None


def _blind(count: int, evidence: Mapping[str, Any]) -> str:
    """Say of which documents nothing can be found, and what to do about them."""
    files: Sequence[Mapping[str, Any]] = evidence.get("unsearchable_files") or ()
    names = [
        f"{one['path']!r} as {one['document_id']!r}" if one["path"] else repr(one["document_id"])
        for one in files
    ]
    more = [f"{count - len(names)} more"] if names and count > len(names) else []
    which = f" ({', '.join([*names, *more])})" if names else ""
    return (
        f"{count} of the documents to compare with have no vector{which}, so nothing finds them: "
        f"delete them{_command(files)}, or keep them out of the search by a filter"
    )


def _command(files: Sequence[Mapping[str, Any]]) -> str:
    """Return how to delete those of the first collection; the next scan names what is left."""
    if not files:
        return ""
    # Here, as most scans have no such files, and a cold start would pay for it.
    import shlex

    own = [one for one in files if one["collection_id"] == files[0]["collection_id"]]
    words = [files[0]["collection_id"], *(one["document_id"] for one in own)]
    return f" (trawl documents delete {shlex.join(words)})"


def _left_out(evidence: Mapping[str, Any], thresholds: Thresholds) -> Reason | None:
    """Say if the search came near something, and no document of the answer is: a later stage, or
    a floor under the score, left out what may be a match."""
    compared: Mapping[str, Any] = evidence.get("features") or {}
    for uri, scale in thresholds.scales.items():
        score = (compared.get(uri) or {}).get("best_score")
        if score is None and uri in thresholds.features:
            return Reason("no_best_score", "the answer does not say how near the nearest was")
        if score is None or scale.level(score) is None:
            continue
        if scale.measure is None:
            found = f"something with the score {score:.4g} was found"
        else:
            found = f"something {scale.measure.distance(score)} {scale.measure.unit} away was found"
        return Reason("left_out", f"{found}, but the retriever left it out of the answer")
    return None


def _unjudged(result: Mapping[str, Any], thresholds: Thresholds) -> Reason | None:
    """Say if documents that were found may score higher in the score's own field than those of
    the answer: no evidence is known of that field."""
    documents = result.get("documents") or ()
    name = thresholds.score_field or ""
    values = [number_or_none(value_at(document, name)) for document in documents]
    numbers = [value for value in values if value is not None]
    if len(numbers) < len(values):
        return Reason("no_score", f"a document has no number in {name!r}")
    least, own = thresholds.min_score, thresholds.own
    harmless = name == "score" and own is not None and (least or 0.0) <= own.review_at
    if least is not None and not harmless:
        return Reason("left_out", f"min_score left out what may have a high {name!r}")
    # A list in descending order may be cut anywhere: what follows is no nearer.
    in_order = bool(numbers) and numbers == sorted(numbers, reverse=True)
    ordered = thresholds.ordered and in_order
    if result.get("total", 0) > len(numbers) and not ordered:
        return Reason("left_out", f"documents beyond the answer may have a higher {name!r}")
    stages = (result.get("stage_statistics") or {}).get("stages") or {}
    most = max((done["output_count"] for done in stages.values()), default=0)
    if thresholds.cap is not None and most >= thresholds.cap:
        message = f"a limit may have left out documents with a higher {name!r}"
        return Reason("left_out", message)
    for stage, done in stages.items():
        if stage in thresholds.splits and done["input_count"]:
            cut = not (thresholds.splits[stage] and _is_whole(done))
        else:
            cut = done["output_count"] < done["input_count"]
        if cut and not (in_order and stage in thresholds.limits):
            message = f"stage {stage!r} dropped documents before {name!r} could be judged"
            return Reason("left_out", message)
    return None


def _is_whole(done: Mapping[str, Any]) -> bool:
    """Say whether moments are known to be of all documents, and all of them in the answer."""
    known: Mapping[str, Any] = done.get("metadata") or {}
    every = known.get("total_moments") == done["output_count"]
    return every and known.get("documents_without_times") == 0


def _incomplete(result: Mapping[str, Any], thresholds: Thresholds) -> tuple[Reason, ...]:
    entries: Sequence[Mapping[str, Any]] = result["incomplete"]
    return tuple(
        Reason(str(entry["code"]), str(entry["message"]))
        for entry in entries
        if not (thresholds.allow_approximate and entry["code"] == _APPROXIMATE)
    )
