"""A scan's answer: its files with their cells and verdicts, and what all of them come to."""

from collections import Counter
from collections.abc import Mapping, Sequence

from core.errors import DeadlineError, describe_error
from core.ids import new_id
from core.runtime.answers import is_unprocessed
from core.scan.targets import Target
from core.scan.verdicts import Judgement, Near, Reason, judge, worst
from core.types import JsonObject, JsonValue

_NAMES = ("path", "filename", "title")
_SKIPPED = "not_applicable"
# Of a canary that could not be looked for: another call may well find it.
_CANARY = "canary_"


def judged_cell(result: JsonObject, target: Target, canary: Reason | None) -> JsonObject:
    """Return a result as a cell: with its verdict, why, and its nearest document."""
    said = judge(result, target.thresholds, canary)
    cell = {key: value for key, value in result.items() if key not in ("index", "duplicate_of")}
    return {
        **cell,
        "retriever_version": target.retriever.version,
        "verdict": said.word,
        "reasons": [reason.to_json() for reason in said.reasons],
        "best_match": None if said.nearest is None else _best_match(said.nearest, said),
    }


def skipped_cell(target: Target, message: str) -> JsonObject:
    """Return the cell of a file that the retriever cannot use: no result, and no verdict of it."""
    return {
        "execution_id": None,
        "status": "skipped",
        "complete": True,
        "incomplete": [],
        "documents": [],
        "total": 0,
        "error": None,
        "evidence": None,
        "duration_ms": 0.0,
        "stage_statistics": None,
        "facets": None,
        "warnings": [],
        "limits": [],
        "retriever_version": target.retriever.version,
        "verdict": _SKIPPED,
        "reasons": [Reason(_SKIPPED, message).to_json()],
        "best_match": None,
    }


def copied_cell(cell: JsonObject) -> JsonObject:
    """Return the cell of an equal file: the same result, as an execution of its own."""
    return {**cell, "execution_id": cell["execution_id"] and new_id("exec")}


def rated_file(file: JsonObject) -> JsonObject:
    """Return a file with what its cells come to: verdict, reasons, completeness.

    Cells that do not apply say nothing; a file to which none applies is unknown.
    """
    cells: Mapping[str, JsonObject] = file["retrievers"]
    words = [cell["verdict"] for cell in cells.values() if cell["verdict"] != _SKIPPED]
    reasons = [
        {"retriever": name, **reason}
        for name, cell in cells.items()
        if words == [] or cell["verdict"] != _SKIPPED
        for reason in cell["reasons"]
    ]
    return {
        **file,
        "verdict": worst(words),
        "complete": bool(words) and all(cell["complete"] for cell in cells.values()),
        "reasons": reasons,
    }


def rated_scan(files: Sequence[JsonObject], about: Mapping[str, JsonValue]) -> JsonObject:
    """Return the envelope around a scan's files; `about` is what does not follow from them."""
    rated = [rated_file(file) for file in files]
    cells = [cell for file in rated for cell in file["retrievers"].values()]
    run = [cell for cell in cells if cell["status"] != "skipped"]
    done = sum(cell["status"] == "completed" for cell in run)
    status = "completed" if done == len(run) else "partial" if done else "failed"
    counts = Counter(file["verdict"] for file in rated)
    return {
        "scan_id": None,
        "status": status,
        "complete": all(file["complete"] for file in rated),
        "verdict": worst(file["verdict"] for file in rated),
        "counts": {word: counts[word] for word in ("block", "review", "unknown", "clear")},
        "files": rated,
        "unprocessed": [
            {"file": file["index"], "retriever": name}
            for file in rated
            for name, cell in file["retrievers"].items()
            if is_unprocessed(cell)
        ],
        **about,
    }


def to_run_again(answer: JsonObject) -> frozenset[tuple[int, str]]:
    """Return the cells of an earlier answer that have not succeeded, and may: those that are
    unprocessed, and those that only the canary keeps from being clear."""
    return frozenset(
        (file["index"], name)
        for file in answer["files"]
        for name, cell in file["retrievers"].items()
        if is_unprocessed(cell)
        or any(reason["code"].startswith(_CANARY) for reason in cell["reasons"])
    )


def late_cell(cell: JsonObject, changed: JsonObject) -> JsonObject:
    """Return a cell whose documents could not be delivered: what was found stays said, that
    nothing was found does not."""
    error = changed["error"] or describe_error(DeadlineError("time ran out"))
    if changed["verdict"] != "clear":
        return changed
    reason = {"code": error["code"], "message": error["message"]}
    return {**changed, "verdict": "unknown", "reasons": [*cell["reasons"], reason]}


def _best_match(near: Near, said: Judgement) -> JsonObject:
    document = near.document
    names = (document.get(name) for name in _NAMES)
    found = said.word in ("block", "review")
    return {
        "document_id": document.get("document_id"),
        "collection_id": document.get("collection_id"),
        "name": next((name for name in names if isinstance(name, str)), None),
        "score": near.score,
        "feature": near.feature,
        "distance": near.distance,
        "unit": near.unit,
        "place": _place(document) if found else None,
    }


def _place(document: JsonObject) -> JsonValue:
    """Return the part of the file that met the document best, None where it is the whole."""
    chunks = document.get("query_chunks")
    if not isinstance(chunks, list) or not chunks:
        box = document.get("query_box")
        return {"box": box, "reference_box": document.get("reference_box")} if box else None
    best: JsonValue = max(chunks, key=lambda chunk: chunk["score"])
    return best
