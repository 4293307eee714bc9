"""Answers of scans as a service gives them, made by hand, with whatever names a test wants."""

from typing import Any

from core.scan.thresholds import Measure
from handlers.report.context import Context, Feature
from handlers.report.page import Report
from handlers.report.thumbnails import Shown

URI = "mixpeek://image.pdq@v1/hash"
# What a hostile file may be called, or a service repeat in its messages.
HOSTILE = [
    "<script>alert(1)</script>.jpg",
    '"><img src=https://example.org/x onerror=alert(1)>.png',
    "'-alert(1)-' onload='x",
    "</style><style>*{display:none}</style>",
    "]]><!--",
    "&lt;b&gt;&#x3c;&colon;",
    "invoice\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe",
    "\x1b[31mred\x1b[0m\x07\x00",
    "line\nbreak\r\nand\ttab\N{LINE SEPARATOR}x",
    "lone \udce9 surrogate",
    "w" * 5000,
    "Z\N{COMBINING GRAVE ACCENT}" + "\N{COMBINING GRAVE ACCENT}" * 500,
    "{{INPUT.image}} ${x} %s {0}",
    "javascript:alert(1)",
]


def match(name: str = "original.png", *, distance: int = 2, moment: bool = False) -> dict[str, Any]:
    """Return the parts of a cell that found a reference at that distance."""
    score = 1 - distance / 256
    document: dict[str, Any] = {
        "document_id": "file_1",
        "collection_id": "col_1",
        "path": name,
        "features": {URI: {"score": score}},
        "_internal": {
            "mime_type": "video/mp4" if moment else "image/png",
            "size_bytes": 1234,
            "content_hash": "ab" * 32,
            "media": {"width": 640, "height": 480, "duration_ms": 60_000 if moment else None},
        },
    }
    if moment:
        document |= {
            "query_start_ms": 1000,
            "query_end_ms": 7000,
            "reference_start_ms": 31_000,
            "reference_end_ms": 37_000,
            "chunks_matched": 5,
            "chunks_searched": 6,
            "query_variant": "flip_horizontal",
            "query_chunks": [{"start_ms": 1000, "end_ms": 2000, "score": 0.9}],
        }
    best = {
        "document_id": "file_1",
        "collection_id": "col_1",
        "name": name,
        "score": score,
        "feature": URI,
        "distance": distance,
        "unit": "bits",
        "place": None,
    }
    return {"documents": [document], "best_match": best}


def cell(verdict: str, *reasons: tuple[str, str], **more: Any) -> dict[str, Any]:
    """Return a retriever's cell; a reason is a code and a message."""
    plain = verdict in ("block", "review", "clear")
    return {
        "execution_id": "exec_1",
        "status": "completed" if plain else "failed",
        "complete": plain and not reasons,
        "documents": [],
        "evidence": {"compared": 9, "best_score": 0.5, "exact": True, "snapshots": {"col_1": 4}},
        "retriever_version": 3,
        "verdict": verdict,
        "reasons": [{"code": code, "message": message} for code, message in reasons],
        "best_match": None,
        **more,
    }


def file_of(name: str, verdict: str, cells: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a file with the cells of its retrievers."""
    held = {"copies": cell(verdict)} if cells is None else cells
    return {
        "file": name,
        "index": 0,
        "sha256": "cd" * 32,
        "content_type": "image/jpeg",
        "size_bytes": 4321,
        "duration_ms": None,
        "width": 320,
        "height": 200,
        "duplicate_of": None,
        "verdict": verdict,
        "complete": all(one["complete"] for one in held.values()),
        "reasons": [
            {"retriever": key, **reason} for key, one in held.items() for reason in one["reasons"]
        ],
        "retrievers": held,
    }


def retriever(name: str = "copies", **more: Any) -> dict[str, Any]:
    """Return what a scan's answer says of a retriever."""
    return {
        "retriever_id": "ret_1",
        "retriever_name": name,
        "version": 3,
        "takes": ["image"],
        "collection_ids": ["col_1"],
        "thresholds": {URI: {"block_at": 1 - 31 / 256, "review_at": 1 - 60 / 256}},
        "canary": None,
        **more,
    }


def report(*files: dict[str, Any], retrievers: list[dict[str, Any]] | None = None) -> Report:
    """Return a report of files, of one scan."""
    feature = Feature(URI, "image.pdq", "Finds copies.", Measure(256, 31, 60, "bits"))
    context = Context(
        collections={"col_1": {"collection_name": "photos"}},
        features={URI: feature},
        retrievers={"ret_1": {"version": 3, "verdict": None}},
    )
    scans = [{"scan_id": "scan_1", "created_at": "2026-01-02T03:04:05.678Z"}]
    held = [retriever()] if retrievers is None else retrievers
    return Report(files, held, scans, "2026-01-02T03:05:00Z", context)


class Pictures:
    """Shows the same for every file, in place of a gallery."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown

    def of_file(self, file: object, at_ms: int | None = None) -> Shown:
        return self._shown

    def of_reference(self, match: object, at_ms: int | None = None) -> Shown:
        return self._shown
