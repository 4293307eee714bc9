"""Verdicts as `trawl batch` and the demonstration show them, in the words of one retriever."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.scan.thresholds import Thresholds
from core.scan.verdicts import Reason, judge
from core.types import JsonObject

Word = Literal["match", "review", "clear", "unknown"]

_UNWATCHED = Reason(
    "canary_unchecked", "the retriever's canary is looked for by scans alone: use trawl scan"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict; why, where that is not plain; and the nearest document, if one came back."""

    word: Word
    reason: str | None = None
    document: JsonObject | None = None
    distance: float | None = None
    unit: str = ""


def judge_result(result: Mapping[str, Any], thresholds: Thresholds) -> Verdict:
    """Return the verdict on one result: what a scan blocks is a match here."""
    said = judge(result, thresholds, _UNWATCHED if thresholds.canary else None)
    reason = "; ".join(reason.message for reason in said.reasons) or None
    word: Word = "match" if said.word == "block" else said.word
    if said.nearest is None:
        return Verdict(word, reason)
    nearest = said.nearest
    return Verdict(word, reason, nearest.document, nearest.distance, nearest.unit or "")
