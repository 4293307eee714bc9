"""What every answer of the API has in common, as models, and the envelope of errors.

Answer models make the OpenAPI document, and tests hold answers to them. No answer is built
through them: a batch of 50 would pay for it on every call.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


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
