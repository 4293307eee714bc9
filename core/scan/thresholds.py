"""From which scores on something means something: a retriever's own rule, or its extractors'."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, Final, Literal

from core.errors import TrawlError
from core.models.features import index_name
from core.models.media_inputs import only_media_input
from core.templates import compile_tree
from core.types import JsonObject, Metric

Level = Literal["block", "review"]

# The score of a vector with itself (`core/search/scores.py`); a product has no highest one.
_MOST: Final[Mapping[Metric, float]] = {"cosine": 1.0, "euclidean": 1.0, "hamming": 1.0}
_MEASURED: Final[frozenset[Metric]] = frozenset({"hamming", "euclidean"})
# Sorts: what their field is called, and what it is where none is named.
_SORTS: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "sort_relevance": (("score_field",), "score"),
    "sort_attribute": (("field", "sort_field"), "metadata.created_at"),
}
# What leaves rows where they are, and changes no score.
_KEEP_ORDER: Final = frozenset({"limit", "attribute_filter", "score_threshold", "deduplicate"})
_LEAST_SCORE: Final = 1e-6  # a rule's own may be 0, which no distance has


@dataclass(frozen=True, slots=True)
class Measure:
    """How far apart an extractor's vectors are, in its unit, and which distances mean something.

    Up to `match` it is the same, up to `review` perhaps. Hamming distances have one, a score being
    1 - bits / `dimension`, and Euclidean ones, a score being 1 / (1 + distance).
    """

    dimension: int
    match: float
    review: float
    unit: str
    metric: Metric = "hamming"

    @property
    def whole(self) -> str:
        """What a distance is of: `of 256 bits`; where there is no greatest one, `units`."""
        return f"of {self.dimension} {self.unit}" if self.metric == "hamming" else self.unit

    def distance(self, score: float) -> float:
        """Return the distance that a score stands for: of bits a whole number, else 4 digits."""
        if self.metric == "hamming":
            return round((1.0 - score) * self.dimension)
        return round(1.0 / max(score, _LEAST_SCORE) - 1.0, 4)

    def score(self, distance: float) -> float:
        """Return the score that a distance stands for."""
        if self.metric == "hamming":
            return 1.0 - distance / self.dimension
        return 1.0 / (1.0 + distance)


@dataclass(frozen=True, slots=True)
class Agreement:
    """From which scores on something means something where no distance does: where places count
    that agree."""

    block_at: float
    review_at: float


# What is known of extractors, by feature address and by the name of their vectors.
Known = Mapping[str, Measure | Agreement]


@dataclass(frozen=True, slots=True)
class Scale:
    """The scores of one feature, or of one field: higher is nearer. `measure` turns them into
    distances where the feature has any."""

    block_at: float
    review_at: float
    measure: Measure | None = None
    most: float | None = None  # the highest score that there can be, None if that is not known

    def level(self, score: float) -> Level | None:
        """Return what a score means, None if nothing."""
        if score >= self.block_at:
            return "block"
        return "review" if score >= self.review_at else None

    @property
    def reachable(self) -> bool:
        """Say whether anything can ever be found; else thresholds are of something else."""
        return self.most is None or self.review_at <= self.most


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What the scores of one retriever's documents mean.

    `features` are those searched for the file. `scales` has the features whose scores mean
    something, `strange` the searched ones of which that is not known. With `score_field` its
    `own` scale takes the place of both.
    """

    features: tuple[str, ...]
    scales: Mapping[str, Scale]
    strange: tuple[str, ...] = ()
    score_field: str | None = None
    own: Scale | None = None
    allow_approximate: bool = False
    canary: str | None = None
    canary_inputs: Mapping[str, Any] = field(default_factory=dict)
    ordered: bool = False  # the answer stands in descending order of `score_field`
    limits: frozenset[str] = field(default_factory=frozenset)  # stages that cut it in that order
    cap: int | None = None  # the least limit of a list in another order
    # Stages that make several rows of one document, so that counts hide what they leave out.
    splits: Mapping[str, bool] = field(default_factory=dict)  # see `_splits`
    min_score: float | None = None  # below which a search leaves out what it finds

    def to_json(self) -> JsonObject:
        """Return the thresholds as answers show them, by feature or by the score's field."""
        shown = self.scales if self.own is None else {self.score_field or "score": self.own}
        return {
            name: {"block_at": scale.block_at, "review_at": scale.review_at}
            for name, scale in shown.items()
        }


def read_measures(extractors: Iterable[Mapping[str, Any]]) -> dict[str, Measure | Agreement]:
    """Return what is known of each address in an answer of `/v1/discovery/extractors`."""
    measures: dict[str, Measure | Agreement] = {}
    for entry in extractors:
        metric, limits = entry["metric"], entry["thresholds"]
        known: Measure | Agreement
        if metric in _MEASURED:
            near = limits["match"], limits["review"]
            known = Measure(entry["dimension"], *near, limits["unit"], metric)
        elif "block_at" in limits:
            known = Agreement(limits["block_at"], limits["review_at"])
        else:
            continue
        measures[entry["feature_uri"]] = measures[entry["vector_name"]] = known
    return measures


def own_measures() -> dict[str, Measure | Agreement]:
    """Return what is known of this process's extractors."""
    from core.media.extractors import EXTRACTORS

    return read_measures(
        {
            "metric": info.metric,
            "dimension": info.dimension,
            "thresholds": info.known_thresholds(),
            "feature_uri": info.feature_uri,
            "vector_name": info.index_name,
        }
        for info in EXTRACTORS
    )


def searched_features(retriever: Mapping[str, Any]) -> list[str]:
    """Return the feature addresses that a retriever's searches name, each once."""
    return _features(_searches(retriever))


def _searches(retriever: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    configs = [stage["config"] for stage in retriever["stages"]]
    return [
        search
        for config in configs
        if config["stage_id"] == "feature_search"
        for search in config["parameters"].get("searches") or ()
    ]


def _features(searches: Iterable[Mapping[str, Any]]) -> list[str]:
    names = (search.get("feature_uri") for search in searches if not search.get("lexical"))
    return list(dict.fromkeys(name for name in names if isinstance(name, str)))


def _reads_file(search: Mapping[str, Any], retriever: Mapping[str, Any]) -> bool:
    """Say whether a search looks for the file: one for anything else says nothing of it."""
    schema: Mapping[str, Any] = retriever.get("input_schema") or {}
    name = only_media_input({name: declared["type"] for name, declared in schema.items()})
    if name is None:
        return True  # its caller says what takes the file
    try:
        read = compile_tree(search.get("query")).names
    except TrawlError:
        return False
    return not read.isdisjoint({"INPUT", f"INPUT.{name}"})


def thresholds_of(retriever: Mapping[str, Any], measures: Known) -> Thresholds:
    """Return the thresholds of a retriever as reads show it: `verdict`, else the extractors'."""
    searches = _searches(retriever)
    features = _features(searches)
    rule = retriever.get("verdict") or {}
    canary = rule.get("canary")
    named = canary if isinstance(canary, Mapping) else {"document_id": canary}
    known = {uri: measures.get(uri) or measures.get(index_name(uri)) for uri in features}
    own = _rule_scale(rule)
    if own is None:
        scales = {uri: _scale(found) for uri, found in known.items() if found is not None}
    else:
        scales = {
            uri: replace(_scale(found), block_at=own.block_at, review_at=own.review_at)
            if found is not None
            else own
            for uri, found in known.items()
        }
    score_field = rule.get("score_field")
    limits, cap, ordered = _ordered(retriever, score_field)
    return Thresholds(
        features=tuple(_features(one for one in searches if _reads_file(one, retriever))),
        scales=scales,
        strange=tuple(uri for uri in features if uri not in scales),
        score_field=score_field,
        own=None if score_field is None else own,
        allow_approximate=bool(rule.get("allow_approximate")),
        canary=named["document_id"],
        canary_inputs=named.get("inputs") or {},
        ordered=ordered,
        limits=limits,
        cap=cap,
        splits=_splits(retriever),
        min_score=max((one["min_score"] for one in searches if one.get("min_score")), default=None),
    )


def _ordered(
    retriever: Mapping[str, Any], score_field: str | None
) -> tuple[frozenset[str], int | None, bool]:
    """Return the stages that cut a list in descending order of a field, the least limit of any
    other list, and whether the answer stands in that order.

    Values alone do not tell: one number is in every order. Nor do the stages' counts: a plan may
    cut in an earlier stage than the one that says so, a sort or the search itself.
    """
    cuts: dict[str, float] = {}
    caps: list[float] = []
    ordered = False
    for stage in retriever["stages"]:
        stage_id, given = stage["config"]["stage_id"], stage["config"].get("parameters") or {}
        if stage_id == "limit":
            limit = given.get("limit")
            # An offset leaves out the first: whatever was found may be among them.
            most = limit if isinstance(limit, int) and not given.get("offset") else 1
            if ordered and not given.get("offset"):
                cuts[stage["stage_name"]] = most
            else:
                caps.append(most)
        elif stage_id in _SORTS:
            names, usual = _SORTS[stage_id]
            by = next((given[name] for name in names if given.get(name)), usual)
            downwards = (given.get("direction") or given.get("order") or "desc") == "desc"
            ordered = downwards and by == score_field
            if ordered:
                cuts[stage["stage_name"]] = inf
        elif stage_id not in _KEEP_ORDER and not _joins(stage_id, score_field):
            # It may write the field, so what was cut before was in the order of something else.
            caps += cuts.values()
            cuts.clear()
            ordered = score_field == "score" and _ranks(stage_id, given)
    least = min(caps, default=inf)
    return frozenset(cuts), None if least == inf else int(least), ordered


def _joins(stage_id: str, score_field: str | None) -> bool:
    """Say whether a stage adds fields to rows that stay where they are, and not this one."""
    return stage_id == "document_enrich" and score_field == "score"


def _ranks(stage_id: str, given: Mapping[str, Any]) -> bool:
    """Say whether a stage returns rows by the score that it gives them."""
    if stage_id == "moment_group":
        return given.get("output_mode") == "moments_only"
    return stage_id == "feature_search" and given.get("group_by") is None


def _splits(retriever: Mapping[str, Any]) -> dict[str, bool]:
    """Return the stages that may make several rows of one document and none of another, and
    whether what they say of themselves can show that they left out none."""
    found: dict[str, bool] = {}
    for stage in retriever["stages"]:
        stage_id, given = stage["config"]["stage_id"], stage["config"].get("parameters") or {}
        if stage_id == "unwind" and given.get("preserve_null_and_empty") is not True:
            found[stage["stage_name"]] = False
        elif stage_id == "moment_group" and given.get("output_mode", "annotated") != "annotated":
            found[stage["stage_name"]] = given.get("min_score") is None
    return found


def with_metrics(thresholds: Thresholds, metrics: Mapping[str, Metric]) -> Thresholds:
    """Return the thresholds, with the highest scores that features of known metrics can have."""
    scales = {
        uri: replace(scale, most=scale.most or _MOST.get(metrics[uri])) if uri in metrics else scale
        for uri, scale in thresholds.scales.items()
    }
    return replace(thresholds, scales=scales)


def _rule_scale(rule: Mapping[str, Any]) -> Scale | None:
    block_at, review_at = rule.get("block_at"), rule.get("review_at")
    if block_at is None:
        return None
    return Scale(block_at, block_at if review_at is None else review_at)


def _scale(measure: Measure | Agreement) -> Scale:
    if isinstance(measure, Agreement):
        return Scale(measure.block_at, measure.review_at, most=1.0)
    match, review = measure.score(measure.match), measure.score(measure.review)
    return Scale(match, review, measure, most=1.0)
