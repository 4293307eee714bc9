"""What the API answers about jobs, as models."""

from typing import Literal

from pydantic import Field

from core.models.answers import Answer, Pagination
from core.models.responses import BatchAnswer, QueryError
from core.types import JsonObject

JobStatus = Literal[
    "queued", "running", "completed", "completed_with_errors", "failed", "stopped", "interrupted"
]


class JobProgress(Answer):
    """How far a job is. An item has succeeded once every retriever has a result for it."""

    items: int | None = Field(description="Null until the manifest is read.")
    done: int
    succeeded: int
    failed: int
    chunks: int
    chunks_done: int
    fraction: float = Field(ge=0, le=1)


class JobCost(Answer):
    """What the job cost so far, from list prices and measured times; 0 on a laptop."""

    estimated: Literal[True]
    usd: float
    lambda_gb_seconds: float = Field(description="Of the job function.")
    media_gb_seconds: float = Field(
        description="Of the media functions, by the caller's clock: a little more than is billed."
    )
    requests: dict[str, int] = Field(description="How many of each kind, by name.")
    prices: str = Field(description="Whose prices, and of when.")
    covers: str = Field(description="What is counted, and what is not.")


class ResultFile(Answer):
    """JSON lines: a line for each item and retriever."""

    kind: Literal["results", "errors"]
    url: str
    expires_at: str
    items: int = Field(description="Lines in the file.")
    bytes: int


class JobRetriever(Answer):
    """A retriever of a job."""

    retriever_id: str
    retriever_name: str
    retriever_version: int | None = Field(
        None, description="When the job was made. Each result has that of its own."
    )


class JobSummary(Answer):
    """A job in a list."""

    job_id: str
    status: JobStatus
    run: int = Field(description="Counts from 1; each continuation is a new run.")
    retrievers: list[JobRetriever]
    manifest: str | None
    settings: JsonObject
    idempotency_key: str | None
    metadata: JsonObject
    error: QueryError | None = Field(description="Why the job as a whole failed.")
    retryable: int = Field(
        description="Items with an error that another run would try again; known at the end."
    )
    created_at: str
    started_at: str | None
    finished_at: str | None


class JobAnswer(JobSummary):
    """A job, its progress, and a page of its result files."""

    progress: JobProgress
    errors_by_code: dict[str, int] = Field(description="Errors in the files, by code.")
    cost: JobCost
    results: list[ResultFile]
    pagination: Pagination


class JobPage(Answer):
    """A page of jobs, the newest first."""

    results: list[JobSummary]
    pagination: Pagination
    total_count: int


class BatchJob(Answer):
    """The job that goes on with a batch's unprocessed queries; its item ids are their indexes."""

    job_id: str
    status: JobStatus
    url: str
    indexes: list[int]


class ContinuedBatchAnswer(BatchAnswer):
    """A batch's answer, and the job that does the rest."""

    job: BatchJob
