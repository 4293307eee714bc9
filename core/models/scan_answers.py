"""What the API answers to a scan, as models: its files, their cells, and what they come to."""

from typing import Annotated, Literal

from pydantic import Field

from core.models.answers import Answer
from core.models.responses import (
    Concurrency,
    Evidence,
    Incomplete,
    Milliseconds,
    QueryError,
    ScoredDocument,
    Statistics,
)
from core.models.scans import MAX_FILES, MAX_RETRIEVERS
from core.types import JsonObject

Word = Literal["block", "review", "clear", "unknown"]


class VerdictReason(Answer):
    """Why nothing better can be said; `code` is stable."""

    code: str
    message: str


class FileReason(VerdictReason):
    """The same, and which retriever said so."""

    retriever: str


class BestMatch(Answer):
    """The nearest document, also of a clear file: how far away "nothing near" was."""

    document_id: str | None
    collection_id: str | None
    name: str | None = Field(description="Its path, file name or title, if it has one.")
    score: float
    feature: str = Field(description="The searched feature, or the field, that the score is of.")
    distance: float | None
    unit: str | None
    place: JsonObject | None = Field(description="Where in the file; null for the whole.")


class Cell(Answer):
    """One file against one retriever: a batch's result, and what it comes to."""

    execution_id: str | None
    status: Literal["completed", "failed", "timed_out", "skipped"]
    complete: bool
    incomplete: list[Incomplete]
    documents: list[ScoredDocument]
    total: int
    error: QueryError | None
    evidence: Evidence | None
    duration_ms: Milliseconds
    stage_statistics: Statistics | None
    facets: list[JsonObject] | None
    warnings: list[str]
    limits: list[JsonObject]
    documents_url: str | None = Field(None, description="Where the documents are, if too many.")
    documents_count: int | None = None
    retriever_version: int
    verdict: Word | Literal["not_applicable"] = Field(
        description="`not_applicable` (status `skipped`): the retriever cannot use such a file."
    )
    reasons: list[VerdictReason]
    best_match: BestMatch | None


class ScannedFile(Answer):
    """One file: what it is, its cells, and the worst of their verdicts."""

    index: int = Field(ge=0, lt=MAX_FILES)
    id: str | None
    sha256: str | None
    content_type: str | None
    size_bytes: int | None
    duration_ms: int | None
    width: int | None
    height: int | None
    duplicate_of: int | None = Field(description="The equal file whose cells these are.")
    verdict: Word = Field(description="block, else review, else unknown, else clear.")
    complete: bool = Field(description="False if anything of it was left unchecked.")
    reasons: list[FileReason]
    retrievers: dict[str, Cell] = Field(description="By the retrievers' names.")


class Canary(Answer):
    """Whether the reference that every scan looks for was found."""

    document_id: str
    found: bool
    reason: VerdictReason | None


class ScanRetriever(Answer):
    """A retriever of a scan, and what its scores mean."""

    retriever_id: str
    retriever_name: str
    version: int
    input: str
    takes: list[str]
    collection_ids: list[str]
    thresholds: dict[str, dict[str, float]]
    canary: Canary | None


class Unprocessed(Answer):
    """A cell worth running again."""

    file: int
    retriever: str


class ScanTiming(Answer):
    """Where the time went."""

    total_ms: Milliseconds
    plan_ms: Milliseconds


class ScanAnswer(Answer):
    """The whole answer of a scan: `files[i]` answers the i-th file, always."""

    scan_id: str
    status: Literal["completed", "partial", "failed"]
    complete: bool
    verdict: Word
    counts: dict[Word, int] = Field(description="How many files have which verdict.")
    files: Annotated[list[ScannedFile], Field(min_length=1, max_length=MAX_FILES)]
    unprocessed: list[Unprocessed]
    retrievers: Annotated[list[ScanRetriever], Field(min_length=1, max_length=MAX_RETRIEVERS)]
    concurrency: Concurrency
    snapshots: dict[str, int]
    timing: ScanTiming
    warnings: list[str]
    created_at: str
    updated_at: str
