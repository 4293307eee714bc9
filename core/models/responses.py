"""What the API answers, as models: they make the OpenAPI document, and tests hold answers to them.

No answer is built through them: a batch of 50 would pay for it on every call.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from core.models.execution import MAX_QUERIES
from core.types import JsonObject, JsonValue

Milliseconds = Annotated[float, Field(ge=0)]


class Answer(BaseModel):
    """The base: answers may grow, so clients must not mind keys they do not know."""

    model_config = ConfigDict(extra="allow")


class ValidationProblem(Answer):
    """One thing that is wrong with a request."""

    path: str = Field(description="Where, e.g. `stages.0.config.parameters.top_k`.")
    message: str
    type: str
    accepted: list[str] | None = Field(None, description="What would have been right.")


class ErrorDetails(Answer):
    """What helps to mend a request or to send it again."""

    validation_errors: list[ValidationProblem] | None = None
    limits: dict[str, int] | None = None
    retryable: bool | None = None
    retry_after_seconds: float | None = None


class ErrorDetail(Answer):
    """What went wrong."""

    message: str
    type: str
    code: str
    details: ErrorDetails | None = None


class ErrorAnswer(Answer):
    """The envelope of every answer that is not 2xx."""

    success: Literal[False]
    status: int
    error: ErrorDetail


class Health(Answer):
    """The process answers."""

    status: Literal["ok"]


class Done(Answer):
    """Something was done that leaves nothing to return."""

    message: str
    success: bool


class Pagination(Answer):
    """Which page this is, and where the next begins."""

    page: int
    page_size: int
    returned: int
    has_next: bool
    next_cursor: str | None
    total: int | None = None
    total_pages: int | None = None


class KeyAnswer(Answer):
    """An API key without its secret."""

    key_id: str
    key_prefix: str
    name: str
    user_id: str
    description: str | None
    permissions: list[Literal["read", "write", "delete", "admin"]]
    namespaces: list[str]
    status: Literal["active", "revoked", "expired"]
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class KeyCreated(KeyAnswer):
    """A new key; `key` is shown here and never again."""

    key: str


class KeyList(Answer):
    """A user's keys."""

    results: list[KeyAnswer]
    total: int


class NamespaceAnswer(Answer):
    """A namespace."""

    namespace_id: str
    namespace_name: str
    mode: Literal["managed", "standalone"]
    default_collection_id: str
    description: str | None
    vector_configs: list[JsonObject] | None
    registered_buckets: list[str]
    created_at: str
    updated_at: str
    collection_count: int | None = None
    document_count: int | None = None


class NamespaceList(Answer):
    """Namespaces, a page of them."""

    results: list[NamespaceAnswer]
    pagination: Pagination
    total_count: int


class VectorIndex(Answer):
    """A named vector of a collection and how to search it."""

    name: str
    feature_uri: str = Field(description="What `feature_search` takes.")
    type: Literal["dense"]
    index: JsonObject


class CollectionAnswer(Answer):
    """A collection."""

    collection_id: str
    namespace_id: str
    collection_name: str
    feature_extractor: JsonObject | None
    vector_indexes: list[VectorIndex]
    description: str | None
    metadata: JsonObject
    created_at: str
    updated_at: str
    document_count: int | None = None


class CollectionList(Answer):
    """Collections, a page of them."""

    results: list[CollectionAnswer]
    pagination: Pagination
    total_count: int


class Document(Answer):
    """A document: its payload's fields stand at the root."""

    document_id: str
    collection_id: str
    internal: JsonObject | None = Field(None, alias="_internal")


class DocumentPage(Answer):
    """Documents, a page of them, of one version of their collection."""

    results: list[Document]
    pagination: Pagination
    snapshot: int
    total_documents: int | None = None


class DocumentsFound(Answer):
    """Documents asked for by id."""

    documents: list[Document]
    not_found: list[str]


class FailedDocument(Answer):
    """A document whose media could not be read; the others of the call are stored."""

    index: int
    document_id: str
    error: JsonObject


class Upserted(Answer):
    """What an upsert stored."""

    inserted: int
    document_ids: list[str]
    failed: list[FailedDocument]
    dropped_payload_fields: dict[str, list[str]]
    unsearchable_document_ids: list[str]
    warnings: list[str]


class Updated(Answer):
    """How many documents a batch of patches changed."""

    updated_count: int
    failed_count: int


class Deleted(Answer):
    """What a batch deletion deleted."""

    status: Literal["completed"]
    deleted_count: int
    failed_count: int
    results: list[JsonObject]


class Count(Answer):
    """How many documents a collection holds."""

    collection_id: str
    count: int


class RetrieverAnswer(Answer):
    """A retriever, one version of it."""

    retriever_id: str
    retriever_name: str
    version: int
    collection_ids: list[str]
    collection_identifiers: list[str]
    stages: list[JsonObject]
    input_schema: dict[str, JsonObject]
    budget_limits: JsonObject
    feature_dependencies: list[JsonObject]
    created_at: str
    updated_at: str


class RetrieverList(Answer):
    """Retrievers, a page of them."""

    results: list[RetrieverAnswer]
    total: int
    pagination: Pagination


class RetrieverPatched(Answer):
    """The next version of a retriever."""

    retriever: RetrieverAnswer


class RetrieverCloned(Answer):
    """A copy, and what it was copied from."""

    retriever: RetrieverAnswer
    source_retriever_id: str


class StageAnswer(Answer):
    """One stage of the catalogue."""

    stage_id: str
    description: str
    category: Literal["filter", "sort", "reduce", "apply", "enrich", "group"]
    icon: str
    parameter_schema: JsonObject


class StageList(RootModel[list[StageAnswer]]):
    """The stages there are."""


class ExtractorAnswer(Answer):
    """One extractor, and from which distances on its matches mean something."""

    feature_extractor_name: str
    version: str
    feature_uri: str
    vector_name: str
    modalities: list[str]
    metric: str
    dimension: int
    thresholds: JsonObject


class ExtractorList(RootModel[list[ExtractorAnswer]]):
    """The extractors there are."""


class Incomplete(Answer):
    """One reason why a result may lack documents."""

    code: str
    message: str
    stage: str | None = None


class QueryError(Answer):
    """Why a query failed, and whose fault it is."""

    type: str
    code: str
    message: str
    retryable: bool
    blame: Literal["caller", "media", "service"]
    stage: str | None = None
    stage_index: int | None = None
    retry_after_seconds: float | None = None


class Evidence(Answer):
    """What a "no match" rests on."""

    compared: int = Field(ge=0, description="Vectors compared with the query's.")
    best_score: float | None = Field(description="The best of all of them, before any cut.")
    exact: bool = Field(description="True only if the answer is proven complete.")
    snapshots: dict[str, int]


class ScoredDocument(Answer):
    """A document of a result. Aggregations return rows that stand for no stored document."""

    document_id: str | None = None
    collection_id: str | None = None
    score: float | None = None


class StageStatistics(Answer):
    """What one stage did."""

    input_count: int
    output_count: int
    duration_ms: Milliseconds
    efficiency: float


class Statistics(Answer):
    """What the stages did, by their names."""

    stages: dict[str, StageStatistics]
    total_time_ms: Milliseconds
    credits_used: float


class Result(Answer):
    """The fields that a query's result has, in a batch and alone."""

    execution_id: str
    complete: bool = Field(description="False if anything was skipped, capped or degraded.")
    incomplete: list[Incomplete]
    documents: list[ScoredDocument]
    total: int
    evidence: Evidence
    duration_ms: Milliseconds
    stage_statistics: Statistics
    facets: list[JsonObject] | None
    warnings: list[str]
    limits: list[JsonObject]
    documents_url: str | None = Field(
        None, description="Where the documents are (JSON lines) if they were too many to send."
    )
    documents_count: int | None = None


class QueryResult(Result):
    """The result of one query of a batch."""

    index: int = Field(ge=0, lt=MAX_QUERIES)
    status: Literal["completed", "failed", "timed_out"]
    error: QueryError | None
    duplicate_of: int | None = Field(description="The equal query whose answer this is.")


class Concurrency(Answer):
    """How many queries were asked to run at once, and how many did."""

    requested: int
    peak: int


class Timing(Answer):
    """Where the time went."""

    total_ms: Milliseconds
    plan_ms: Milliseconds
    plan_cache: str
    cold: bool


class BatchAnswer(Answer):
    """The whole answer of a batch: `results[i]` answers `queries[i]`, always."""

    batch_id: str
    retriever_id: str
    retriever_name: str
    status: Literal["completed", "partial", "failed"]
    complete: bool
    results: Annotated[list[QueryResult], Field(min_length=1, max_length=MAX_QUERIES)]
    unprocessed: list[int] = Field(description="Indexes worth sending again.")
    concurrency: Concurrency
    snapshots: dict[str, int]
    optimization_applied: bool
    optimization_summary: JsonObject
    timing: Timing
    warnings: list[str]


class ExecutionAnswer(Result):
    """The answer of a single execution, which clients of the reference read as theirs."""

    retriever_id: str | None = None
    status: str
    error: str | None
    error_detail: QueryError | None = None
    pagination: JsonObject
    optimization_applied: bool
    optimization_summary: JsonObject | None
    results: list[JsonValue] | None = Field(None, description="`documents` again, if asked for.")


class ExplainAnswer(Answer):
    """A retriever's plan, and why it is as it is."""

    retriever_id: str
    retriever_name: str
    estimated_cost: dict[str, float]
    execution_plan: list[JsonObject]
    optimization_suggestions: list[JsonObject]
    total_estimated_stages: int
    bottleneck_stages: list[str]
    optimization_level: str
    optimization_applied: bool
    optimization_details: JsonObject
