"""What a scan is asked: files and retrievers, every file against every retriever that takes it."""

from typing import Annotated, Any, Self

from pydantic import AliasChoices, Field, StringConstraints, model_validator

from core.models.base import RequestModel
from core.types import JsonObject

MAX_FILES = 50
MAX_RETRIEVERS = 10

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class DocumentFile(RequestModel):
    """A stored document as the file: what it was made from, else its stored vectors."""

    collection: Name = Field(
        validation_alias=AliasChoices("collection", "collection_id"), description="Id or name."
    )
    document_id: Annotated[str, StringConstraints(min_length=1, max_length=256)]


class ScanFile(RequestModel):
    """One file. A bare string stands for `{"file": …}`."""

    file: str | None = Field(
        None, min_length=1, description="An https:// URL, s3://bucket/key, a data URI, or base64."
    )
    document: DocumentFile | None = Field(None, description="In place of `file`.")
    id: Name | None = Field(None, description="Yours: it comes back beside the index.")
    inputs: JsonObject = Field(
        default_factory=dict, description="Other inputs that the retrievers take."
    )

    @model_validator(mode="before")
    @classmethod
    def _read_bare(cls, raw: Any) -> Any:
        return {"file": raw} if isinstance(raw, str) else raw

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.file is None) == (self.document is None):
            raise ValueError("give file or document: one of them, not both")
        return self


class ScanSettings(RequestModel):
    """Shared by all cells of a scan."""

    limit: int | None = Field(None, ge=1, le=500, description="Documents per cell; default 10.")
    max_chunks: int | None = Field(None, ge=1, le=500, description="Bounds a file's chunks.")
    deadline_ms: int | None = Field(None, ge=1, le=900_000, description="Answer within this time.")
    dedupe: bool = Field(True, description="Search equal files once.")
    optimize: bool = Field(True, description="False runs the plans as written, to bisect.")


class ScanRequest(RequestModel):
    """Body of `POST /v1/scans`."""

    files: Annotated[list[ScanFile], Field(min_length=1, max_length=MAX_FILES)]
    retrievers: Annotated[list[Name], Field(min_length=1, max_length=MAX_RETRIEVERS)] = Field(
        description="Ids or names, each retriever once."
    )
    settings: ScanSettings = ScanSettings()
    concurrency: int = Field(10, ge=1, le=20, description="Files in flight at once.")
    return_presigned_urls: bool = False
    return_vectors: bool = False
    stream: bool = Field(False, description="Server-sent events, a frame for each file.")
    idempotency_key: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        None,
        description="The same key and files again runs only the cells that have not succeeded.",
    )

    @model_validator(mode="before")
    @classmethod
    def _null_settings(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and "settings" in raw and raw["settings"] is None:
            return {name: value for name, value in raw.items() if name != "settings"}
        return raw
