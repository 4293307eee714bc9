"""What a report says, in words: verdicts, times, distances, sizes. Plain text, no markup."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from core.scan.thresholds import Measure
from core.types import JsonObject
from handlers.report.markup import shown

# What a match is about: a copy of a file, a person's face, or what a model takes for alike.
Likeness = Literal["copy", "face", "likeness"]


@dataclass(frozen=True, slots=True)
class VerdictWords:
    """One verdict for people: a short name, what it means, and what to do."""

    title: str
    meaning: str
    advice: str


VERDICTS: Final = {
    "block": VerdictWords(
        "Match",
        "A reference is as near as the retriever's rule asks of a match.",
        "Treat it as a copy of the reference, or as holding one, until a person has decided "
        "otherwise.",
    ),
    "review": VerdictWords(
        "Possible match",
        "A reference is near, yet not near enough to say that it is a copy.",
        "A person has to look at both.",
    ),
    "unknown": VerdictWords(
        "Not determined",
        "It could not be compared, or not completely. The report says why.",
        "Treat it as unchecked. It is no “no match”.",
    ),
    "clear": VerdictWords(
        "No match found",
        "It was compared completely, and no reference was near.",
        "This is said of these references alone, as they were at that version.",
    ),
    "not_applicable": VerdictWords(
        "Not applicable",
        "This retriever does not take files of this kind.",
        "Nothing was to be looked for.",
    ),
}
# Where what is compared is no copy: whoever reads of a person must not take it for a proof.
_NO_PROOF: Final = "Faces that are alike do not prove who somebody is."
_OF_FACES: Final = {
    "block": VerdictWords(
        "Match",
        "A face is as near to one of a reference as the retriever's rule asks of a match.",
        f"{_NO_PROOF} Nothing may happen to a person before a person has looked at both pictures.",
    ),
    "review": VerdictWords(
        "Possible match",
        "A face is near to one of a reference, yet not near enough for a match.",
        f"A person has to look at both. {_NO_PROOF}",
    ),
    "clear": VerdictWords(
        "No match found",
        "Every face that was found in it was compared, and no reference was near.",
        "A face that was not found was not compared. This is said of these references alone, as "
        "they were at that version.",
    ),
}
_OF_LIKENESS: Final = {
    "block": VerdictWords(
        "Match",
        "A reference is as near as the retriever's rule asks of a match.",
        "Treat it as a match until a person has decided otherwise.",
    ),
    "review": VerdictWords(
        "Possible match",
        "A reference is near, yet not near enough for a match.",
        "A person has to look at both.",
    ),
}
WORST_FIRST: Final = ("block", "review", "unknown", "clear")

# The extractors that find a file, or a part of it, again.
_COPIES: Final = frozenset({"image.pdq", "audio.chromaprint", "video.vpdq", "logo.sift"})
_BY_KIND: Final[Mapping[Likeness, Mapping[str, VerdictWords]]] = {
    "copy": VERDICTS,
    "face": _OF_FACES,
    "likeness": _OF_LIKENESS,
}

_REASONS: Final = {
    "file_unreadable": "The file could not be read on the machine that scanned",
    "media_unreadable": "The file, or what the retriever needs of it, could not be read",
    "media_forbidden": "The file could not be fetched",
    "media_unavailable": "The file could not be fetched",
    "missing_extra": "The service lacks the part that reads such files",
    "timed_out": "Time ran out",
    "unavailable": "The service could not do it at that moment",
    "no_query_chunks": "Nothing in the file could be compared",
    "no_face": "No face was found in the file, so none was compared",
    "low_quality": "There is too little in the file to compare",
    "too_short": "There is too little in the file to compare",
    "damaged": "A part of the file could not be read",
    "cut_off": "A part of the file was not compared",
    "chunks_sampled": "A part of the file was not compared",
    "first_frame_only": "A part of the file was not compared",
    "first_track_only": "A part of the file was not compared",
    "nothing_compared": "There was nothing to compare with",
    "unsearchable_documents": "Some references cannot be compared with anything",
    "not_all_compared": "Not all references were compared",
    "candidates_left": "More references were likely than were compared closely",
    "no_thresholds": "No rule says which scores are a match",
    "no_search": "The retriever compares no files",
    "left_out": "Something near was found, and left out of the answer",
    "no_score": "A document has no score to judge by",
    "no_best_score": "It is not known how near the nearest was",
    "documents_elsewhere": "The documents found were too large for the answer",
    "canary_unchecked": "The control search was not made",
    "unreachable": "The retriever's thresholds are higher than any score",
    "not_exact": "It is not proven that nothing nearer was passed over",
    "approximate": "It is not proven that nothing nearer was passed over",
    "canary_missing": "The control search was not passed",
    "canary_failed": "The control search was not passed",
    "not_applicable": "No retriever takes files of this kind",
}
_OTHER_REASON: Final = "It could not be compared completely"
# Follows from any other reason, and says less.
_CONSEQUENCE: Final = "no_query_chunks"
# In place of messages that speak of the retriever's parts.
_MESSAGES: Final = {
    "no_query_chunks": "nothing was found in the file that could be compared",
    "no_search": "the retriever has no search that looks for the file",
    "no_thresholds": "neither the retriever nor its extractor has a rule for scores: give the "
    "retriever one (block_at, review_at)",
}
# Which of two opposite turns it was is left open: a viewer sees it.
_VARIANTS: Final = {
    "flip_horizontal": "mirrored",
    "flip_vertical": "mirrored top to bottom",
    "rotate_90": "turned by a quarter",
    "rotate_180": "turned upside down",
    "rotate_270": "turned by a quarter",
    "transpose": "mirrored and turned by a quarter",
    "transverse": "mirrored and turned by a quarter",
}
_KINDS: Final = {"image": "picture", "audio": "recording", "video": "film"}
_MINUTE, _HOUR = 60_000, 3_600_000


def kind_of_likeness(extractor: str) -> Likeness:
    """Return what it means that two files are near to each other by an extractor."""
    if extractor.startswith("face."):
        return "face"
    return "copy" if extractor in _COPIES else "likeness"


def verdict_words(word: str, kinds: Collection[Likeness] = ()) -> VerdictWords:
    """Return the words of a verdict, for all kinds of likeness that it is about; of a verdict that
    is not known here, those of `unknown`."""
    plain = VERDICTS.get(word, VERDICTS["unknown"])
    said = [words.get(word, plain) for kind, words in _BY_KIND.items() if kind in kinds] or [plain]
    return VerdictWords(
        plain.title,
        " ".join(dict.fromkeys(words.meaning for words in said)),
        " ".join(dict.fromkeys(words.advice for words in said)),
    )


def match_words(kinds: Collection[Likeness]) -> str:
    """Say what a match says, and what it does not, for all kinds of likeness in a report."""
    said = []
    if "copy" in kinds or not kinds:
        said.append("A match says that two files have the same fingerprint, or nearly.")
    if "face" in kinds:
        said.append(f"A match of faces says that two of them are alike. {_NO_PROOF}")
    if "likeness" in kinds:
        said.append("Where a model compares, a match says that it takes two files for alike.")
    return " ".join(said)


def clock(ms: float) -> str:
    """Return a place in a recording: `4.0 s`, `1:02.5`, `1:00:02.5`."""
    tenths = round(ms / 100)
    if ms < _MINUTE:
        return f"{tenths / 10:.1f} s"
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    within = f"{rest / 10:04.1f}"
    return f"{hours}:{minutes:02}:{within}" if hours else f"{minutes}:{within}"


def span(start_ms: float, end_ms: float) -> str:
    """Return two places with what lies between them."""
    return f"{clock(start_ms)} to {clock(end_ms)}"


def size(count: int) -> str:
    """Return a number of bytes."""
    if count < 1000:
        return f"{count} bytes"
    return f"{count / 1000:.0f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"


def counted(count: int, noun: str) -> str:
    """Return `1 file`, `2 files`; nouns in -y are not asked for."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def file_facts(facts: JsonObject) -> list[str]:
    """Return a file's type, size, measures and length, as far as they are known."""
    said = []
    if facts.get("content_type"):
        said.append(shown(facts["content_type"], 60))
    if isinstance(facts.get("width"), int) and isinstance(facts.get("height"), int):
        said.append(f"{facts['width']} × {facts['height']} px")
    if isinstance(facts.get("duration_ms"), int | float):
        said.append(clock(facts["duration_ms"]))
    if isinstance(facts.get("size_bytes"), int):
        said.append(size(facts["size_bytes"]))
    return said


def variant(name: Any) -> str | None:
    """Return how the file stood to be found, None if as it is."""
    found = _VARIANTS.get(str(name).partition("+")[0])
    return None if found is None else f"the file is {found} in comparison with the reference"


def kind_of(content_type: Any) -> str | None:
    """Return what a file of a type is called, None if that is not known."""
    return _KINDS.get(str(content_type or "").partition("/")[0])


def distance_words(measure: Measure) -> str:
    """Say what a distance of such a measure means, and what it does not."""
    if measure.metric == "hamming":
        return "0 is the same fingerprint."
    # Of all that is measured only faces have such distances.
    return "0 is the same picture of a face. Faces that are alike do not prove who somebody is."


def reason_words(code: Any) -> str:
    """Return a reason's code in words."""
    return _REASONS.get(str(code), _OTHER_REASON)


def reason_message(reason: JsonObject) -> str:
    """Return a reason's own message, in words for people where the service's are not."""
    return _MESSAGES.get(reason["code"]) or str(reason["message"])


def telling_reasons(reasons: Iterable[JsonObject]) -> list[JsonObject]:
    """Return the reasons without those that only follow from another of the same retriever."""
    known = list(reasons)
    causes = {one.get("retriever") for one in known if one["code"] != _CONSEQUENCE}
    return [
        one for one in known if one["code"] != _CONSEQUENCE or one.get("retriever") not in causes
    ]
