"""What one search of feature_search has found, and what that rests on."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from core.hits import Evidence, FeatureEvidence, Hit, Verification
from core.models.queries import SearchEntry
from core.rows.fusion import DocumentKey
from core.stage import StageContext
from core.types import JsonObject

LEXICAL_SUFFIX = "#bm25"


@dataclass(frozen=True, slots=True)
class Leg:
    """What one search found.

    `ranked` is best first. `similarity` holds, where the scores are not similarities, each
    document's best one; `places` each document's `query_chunks`, where chunks have places.
    """

    entry: SearchEntry
    ranked: list[tuple[DocumentKey, float]]
    hits: Mapping[DocumentKey, Hit]
    cut: int = 0  # hits below min_score
    similarity: Mapping[DocumentKey, float] = field(default_factory=dict)
    places: Mapping[DocumentKey, list[JsonObject]] = field(default_factory=dict)
    # What voting says of each document: which seconds met which, and how many chunks agree. Of an
    # image, which view of it met which view of the document.
    moments: Mapping[DocumentKey, JsonObject] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What its scores are of: a feature's vectors, or words, which are of no feature."""
        return name_of(self.entry)


def name_of(entry: SearchEntry) -> str:
    """Return under which name a search's scores are known."""
    uri = entry.feature_uri
    return f"{uri}{LEXICAL_SUFFIX}" if entry.lexical else uri


def add_evidence(
    ctx: StageContext, name: str, evidence: Evidence, verification: Verification | None = None
) -> None:
    """Add what a search's answer rests on to what the stage's rests on."""
    compared, best = evidence.compared, evidence.best_score
    own = FeatureEvidence(compared, best, whole=ctx.is_first, verification=verification)
    evidence = replace(evidence, features={name: own})
    known = ctx.report.evidence
    ctx.report.evidence = evidence if known is None else known.merged(evidence)
