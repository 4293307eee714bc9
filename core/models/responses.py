"""What the API answers to an execution, as models: a batch, one query, an explanation."""

from typing import Annotated, Literal

from pydantic import Field

from core.models.answers import Answer
from core.models.execution import MAX_QUERIES
from core.types import JsonObject, JsonValue

Milliseconds = Annotated[float, Field(ge=0)]


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


class Verification(Answer):
    """What came of comparing places of pictures whose hashes alone are not near enough."""

    places: int = Field(ge=0, description="Places of the query's picture.")
    checked: int = Field(ge=0, description="Documents within reach that were compared by places.")
    verified: int = Field(ge=0, description="Those of them with places that agree.")
    without_places: int = Field(ge=0, description="Documents within reach without stored places.")
    unchecked: int = Field(ge=0, description="Farther ones within reach that were not looked at.")


class FeatureEvidence(Answer):
    """What was compared in one feature."""

    compared: int = Field(ge=0)
    best_score: float | None
    whole: bool = Field(description="False if only rows of earlier stages were compared.")
    verification: Verification | None = Field(
        None, description="Absent where nothing was verified by places."
    )


class UnsearchableFile(Answer):
    """A document that nothing finds: where it is, and its `path` if it was loaded from a file."""

    document_id: str
    collection_id: str
    path: str | None


class Evidence(Answer):
    """What a "no match" rests on."""

    compared: int = Field(ge=0, description="Vectors compared with the query's.")
    best_score: float | None = Field(description="The best of all of them, before any cut.")
    exact: bool = Field(description="True only if the answer is proven complete.")
    unsearchable: int = Field(
        ge=0, description="Documents that pass the filter and have no vector: nothing finds them."
    )
    unsearchable_documents: list[str] = Field(
        default_factory=list, description="The ids of the first of them."
    )
    unsearchable_files: list[UnsearchableFile] = Field(
        default_factory=list, description="The same, with where each is."
    )
    features: dict[str, FeatureEvidence] = Field(description="The same by searched feature.")
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
    retriever_version: int = Field(description="It grows with each change of the retriever.")
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
    pagination: JsonObject | None = Field(description="Null if there is no result.")
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
