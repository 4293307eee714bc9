"""What a job is asked: retrievers, and the items (inline or in a manifest) to run them on."""

from typing import Annotated, Any, Final

import orjson
from pydantic import Field, field_validator, model_validator

from core.models.base import RequestModel
from core.models.execution import Settings
from core.types import JsonObject, JsonValue

MAX_RETRIEVERS: Final = 10
MAX_INLINE_ITEMS: Final = 10_000
MAX_MANIFEST_LINES: Final = 1_000_000
MAX_MANIFEST_BYTES: Final = 512_000_000
# Files of this size come as an address; a line is held in memory whole.
MAX_LINE_BYTES: Final = 8_000_000
# It is stored with the job, and read with every list of them.
MAX_METADATA_BYTES: Final = 50_000

_Name = Annotated[str, Field(min_length=1, max_length=200)]


class JobItem(RequestModel):
    """One item, also a line of a manifest: `inputs` of the retrievers, or one `file`, which goes
    to each retriever's only media input."""

    id: str | None = Field(None, max_length=500, description="Comes back with the results.")
    inputs: JsonObject | None = Field(
        None, description="Keys are the names of the retriever's input schema."
    )
    file: str | None = Field(None, min_length=1, description="https://, s3:// or a data URI.")
    filters: JsonValue = Field(None, description="Constrain this item's searches.")

    @model_validator(mode="after")
    def _one_of_two(self) -> "JobItem":
        if (self.inputs is None) == (self.file is None):
            raise ValueError("an item has either inputs or a file")
        return self


class JobSettings(RequestModel):
    """Shared by all items of a job."""

    limit: int | None = Field(None, ge=1, le=500, description="Documents per item; default 10.")
    max_chunks: int | None = Field(None, ge=1, le=500, description="Bounds a media item's chunks.")
    optimize: bool = Field(True, description="False runs the plan as written, to bisect.")
    return_vectors: bool = False

    def for_batch(self) -> Settings:
        """Return the settings of one batch of the job's items."""
        return Settings(limit=self.limit, max_chunks=self.max_chunks, optimize=self.optimize)


class JobCreate(RequestModel):
    """Body of `POST /v1/jobs`."""

    retrievers: Annotated[list[_Name], Field(min_length=1, max_length=MAX_RETRIEVERS)]
    items: Annotated[list[JobItem], Field(min_length=1, max_length=MAX_INLINE_ITEMS)] | None = None
    manifest: str | None = Field(
        None,
        pattern=r"^s3://[^/]+/.+",
        max_length=1200,
        description="s3://bucket/key of JSON lines, an item a line: at most 1,000,000 and 512 MB.",
    )
    settings: JobSettings = JobSettings()
    idempotency_key: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        pattern=r"^[ -~]+$",
        description="The same key and body again continue the job instead of making another.",
    )
    metadata: JsonObject = Field(default_factory=dict, description="Yours: kept and shown.")

    @model_validator(mode="before")
    @classmethod
    def _null_settings(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and "settings" in raw and raw["settings"] is None:
            return {name: value for name, value in raw.items() if name != "settings"}
        return raw

    @model_validator(mode="after")
    def _one_source(self) -> "JobCreate":
        if (self.items is None) == (self.manifest is None):
            raise ValueError("give either items or a manifest")
        if len(set(self.retrievers)) < len(self.retrievers):
            raise ValueError("a retriever is named twice")
        return self

    @field_validator("metadata")
    @classmethod
    def _small(cls, metadata: JsonObject) -> JsonObject:
        size = len(orjson.dumps(metadata))
        if size > MAX_METADATA_BYTES:
            raise ValueError(f"{size} bytes as JSON, at most {MAX_METADATA_BYTES} are kept")
        return metadata


class JobGet(RequestModel):
    """Which result files of a job to show: a page of them, in the order of the manifest."""

    limit: int = Field(100, ge=1, le=1000)
    cursor: str | None = Field(None, max_length=2000)
