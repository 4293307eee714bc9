"""What a stage asks of a search, and what it is told: hits, and the evidence behind them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from core.arrays import Float32, UInt8
from core.filtering.conditions import Filter
from core.rows.row import Source


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """Nearest neighbours of one or several vectors (chunks of one query) in named collections.

    `vectors` is (m, dimension) float32, or (m, dimension / 8) uint8 for Hamming. `within`
    restricts the search to those rows. With `views` a document is as near as the nearest of the
    vectors that its extractor stored beside the feature's own.
    """

    collection_ids: tuple[str, ...]
    feature_uri: str
    vectors: Float32 | UInt8
    k: int
    filter: Filter | None = None
    within: tuple[Source, ...] | None = None
    views: bool = False


@dataclass(frozen=True, slots=True)
class TextRequest:
    """The documents of named collections that best match words, by BM25. `within` restricts the
    search to those rows."""

    collection_ids: tuple[str, ...]
    text: str
    k: int
    filter: Filter | None = None
    within: tuple[Source, ...] | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A stored document and its score; larger is better for every metric. `view` names which of
    its vectors was nearest, None for the feature's own."""

    document_id: str
    source: Source
    score: float
    view: str | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of comparing places of pictures whose vectors alone are not near enough.

    `places` counts the query's. Of the documents within reach `checked` were compared, `verified`
    of those have places that agree; `without_places` have none stored; `unchecked` were left, as
    far as is known: they are farther away than as many others as are looked at.
    """

    places: int
    checked: int
    verified: int
    without_places: int
    unchecked: int

    def merged(self, other: "Verification") -> "Verification":
        """Combine two searches' of the same feature."""
        return Verification(
            max(self.places, other.places),
            self.checked + other.checked,
            self.verified + other.verified,
            self.without_places + other.without_places,
            self.unchecked + other.unchecked,
        )


@dataclass(frozen=True, slots=True)
class FeatureEvidence:
    """The same of one feature alone: scores of several cannot be told apart in one number.

    `whole` is false if only rows that earlier stages had found were compared. `verification` is
    None where nothing was verified by places.
    """

    compared: int
    best_score: float | None
    whole: bool
    verification: Verification | None = None

    def merged(self, other: "FeatureEvidence") -> "FeatureEvidence":
        """Combine the evidence of two searches of the same feature."""
        return FeatureEvidence(
            self.compared + other.compared,
            _greatest(self.best_score, other.best_score),
            self.whole or other.whole,
            _merged(self.verification, other.verification),
        )


def _merged(one: Verification | None, other: Verification | None) -> Verification | None:
    return one.merged(other) if one and other else one or other


def _greatest(*scores: float | None) -> float | None:
    return max((score for score in scores if score is not None), default=None)


@dataclass(frozen=True, slots=True)
class UnsearchableFile:
    """A document that nothing can find, and the path of the file it was made from, if known."""

    document_id: str
    collection_id: str
    path: str | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a search's answer rests on.

    `compared` counts the rows that passed the filter and were compared; `best_score` is the
    best of all of them, before any cut; `exact` says the answer is proven complete. Where vectors
    lie in an index outside, `compared` counts the candidates that it gave a score for, `best_score`
    is of those that count, and `exact` is false.

    `unsearchable` counts the documents that pass the filter and have no vector at all, so that
    nothing can find them, and `unsearchable_files` names the first. `features` has the same
    by what was searched, once a stage says what that was.
    """

    compared: int = 0
    best_score: float | None = None
    exact: bool = True
    unsearchable: int = 0
    unsearchable_files: tuple[UnsearchableFile, ...] = ()
    features: Mapping[str, FeatureEvidence] = field(default_factory=dict)

    def merged(self, other: "Evidence") -> "Evidence":
        """Combine the evidence of two searches of one query."""
        features = dict(self.features)
        blind = max(self, other, key=lambda one: one.unsearchable)
        for name, found in other.features.items():
            features[name] = features[name].merged(found) if name in features else found
        return Evidence(
            self.compared + other.compared,
            _greatest(self.best_score, other.best_score),
            self.exact and other.exact,
            blind.unsearchable,
            blind.unsearchable_files,
            features,
        )


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """Per vector of the request, its hits: score descending, then document id ascending.

    `floor` is set if an index outside gave as many candidates as it may and could have more: what
    it kept back scores no better than this.
    """

    hits: tuple[tuple[Hit, ...], ...]
    evidence: Evidence
    floor: float | None = None


@dataclass(frozen=True, slots=True)
class ChunkBound:
    """How many places of a content query are searched for at most, and who said so: the request,
    the search, the stage, or nobody, which is the default."""

    most: int
    set_by: Literal["request", "search", "stage", "auto_preprocess", "default"]


@dataclass(frozen=True, slots=True)
class QueryChunk:
    """One vector of a content query and its place in the query's media. `variant` says which view
    of that place it stands for (`flip_horizontal`, …); `keypoints` are its picture's, see
    `core.ports.keypoints`."""

    vector: Float32 | UInt8
    start_ms: int | None = None
    end_ms: int | None = None
    box: tuple[float, float, float, float] | None = None
    variant: str = "original"
    keypoints: UInt8 | None = None
