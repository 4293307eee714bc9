"""What an execution is asked: one query, a batch of them, or an explanation."""

from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, Field, model_validator

from core.models.base import RequestModel
from core.models.retriever import BudgetLimits, InputField, StageSpec
from core.types import JsonObject, JsonValue

MAX_QUERIES = 50


class Settings(RequestModel):
    """Shared by all queries of a call. `deadline_ms`, `dedupe` and `optimize` are Trawl's own."""

    limit: int | None = Field(None, ge=1, le=500, description="Documents per query; default 10.")
    max_chunks: int | None = Field(None, ge=1, le=500, description="Bounds a media query's chunks.")
    deadline_ms: int | None = Field(None, ge=1, le=900_000, description="Answer within this time.")
    dedupe: bool = Field(True, description="Answer equal queries of a batch once.")
    optimize: bool = Field(True, description="False runs the plan as written, to bisect.")
    on_deadline: Literal["return", "job"] = Field(
        "return", description="`job`: what a batch has no time for goes on as a job."
    )


class BatchQuery(RequestModel):
    """One query of a batch."""

    inputs: JsonObject = Field(description="Keys are the names of the retriever's input schema.")
    filters: JsonValue = Field(None, description="Constrain this query's searches.")


class BatchRequest(RequestModel):
    """Body of `POST /v1/retrievers/{retriever_id}/execute/batch`."""

    queries: Annotated[list[BatchQuery], Field(min_length=1, max_length=MAX_QUERIES)]
    settings: Settings = Settings()
    concurrency: int = Field(5, ge=1, le=20, description="Queries in flight at once.")
    return_presigned_urls: bool = False
    return_vectors: bool = False
    stream: bool = Field(False, description="Server-sent events, a frame for each query.")

    @model_validator(mode="before")
    @classmethod
    def _null_settings(cls, raw: Any) -> Any:
        return _without_null(raw, "settings")


class OffsetPagination(RequestModel):
    """Pages by number."""

    method: Literal["offset"]
    page_size: int = Field(10, ge=1, le=500)
    page_number: int = Field(1, ge=1)


class CursorPagination(RequestModel):
    """Pages by an opaque cursor."""

    method: Literal["cursor"] = "cursor"
    limit: int = Field(10, ge=1, le=500)
    cursor: str | None = None


class KeysetPagination(RequestModel):
    """Pages after the last document seen: `after` is `{score, document_id}`."""

    method: Literal["keyset"]
    limit: int = Field(10, ge=1, le=500)
    after: JsonObject | None = None


class ScrollPagination(RequestModel):
    """Pages by a scroll id. The snapshot is the one of each call, named in the answer."""

    method: Literal["scroll"]
    limit: int = Field(100, ge=1, le=1000)
    scroll_id: str | None = None
    scroll_ttl: int = Field(300, ge=60, le=3600)


Pagination = Annotated[
    OffsetPagination | CursorPagination | KeysetPagination | ScrollPagination,
    Field(discriminator="method"),
]


class ExecuteRequest(RequestModel):
    """Body of `POST /v1/retrievers/{retriever_id}/execute`."""

    inputs: JsonObject = Field(default_factory=dict)
    filters: JsonValue = None
    settings: Settings = Settings()
    pagination: Pagination | None = None
    limit: int | None = Field(
        None, ge=1, le=500, validation_alias=AliasChoices("limit", "page_size")
    )
    stream: bool = False
    return_presigned_urls: bool = False
    return_vectors: bool = False
    skip_cache: bool = Field(False, description="Accepted: results are never cached here.")
    explain: bool = False

    @model_validator(mode="before")
    @classmethod
    def _tolerate(cls, raw: Any) -> Any:
        raw = _without_null(raw, "settings")
        if isinstance(raw, dict) and isinstance(raw.get("pagination"), dict):
            raw = {**raw, "pagination": {"method": "cursor", **raw["pagination"]}}
        return raw

    @model_validator(mode="after")
    def _no_job(self) -> Self:
        if self.settings.on_deadline != "return":
            raise ValueError("settings.on_deadline is a batch's: one query does not go on as a job")
        return self


class AdhocRequest(ExecuteRequest):
    """Body of `POST /v1/retrievers/execute`: the stages travel with the query."""

    stages: list[StageSpec] = Field(min_length=1, max_length=50)
    collection_identifiers: list[str] = Field(
        default_factory=list,
        max_length=100,
        validation_alias=AliasChoices("collection_identifiers", "collection_ids"),
    )
    input_schema: dict[str, InputField] = Field(default_factory=dict)
    budget_limits: BudgetLimits = BudgetLimits()
    filters: JsonValue = Field(None, validation_alias=AliasChoices("filters", "pre_filters"))


class ExplainRequest(RequestModel):
    """Body of `POST /v1/retrievers/{retriever_id}/execute/explain`; nothing is executed."""

    inputs: JsonObject = Field(default_factory=dict)


def _without_null(raw: Any, key: str) -> Any:
    if isinstance(raw, dict) and key in raw and raw[key] is None:
        return {name: value for name, value in raw.items() if name != key}
    return raw
