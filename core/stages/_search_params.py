"""The parameters of feature_search."""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from core.filtering.conditions import parse_filter
from core.models.queries import (
    FacetRequest,
    QueryPreprocessing,
    SearchEntry,
    SearchGrouping,
    without_nulls,
)
from core.traits import StageParams


class FeatureSearchParams(StageParams):
    """Search by vectors, text, content or a stored document; without searches, by filter alone."""

    searches: list[SearchEntry] = Field(
        default_factory=list, max_length=10, description="What to search; none to filter alone."
    )
    final_top_k: int = Field(25, ge=1, le=5000, description="Documents to return after fusion.")
    fusion: Literal["rrf", "dbsf", "weighted", "max"] = Field(
        "rrf", description="How several searches' results become one order."
    )
    learning_config: None = Field(None, description="Not available: nothing learns here.")
    query_preprocessing: QueryPreprocessing | None = Field(None, description="For all searches.")
    auto_preprocess: bool = Field(
        True, description="Cut video and audio queries into chunks without being asked."
    )
    collection_identifiers: list[str] | None = Field(None, description="Ids or names.")
    facets: list[FacetRequest] | None = Field(None, description="Fields whose values to count.")
    group_by: SearchGrouping | None = Field(None, description="Group documents by a field.")
    hard_timeout_ms: int | None = Field(
        None, ge=1, description="The stage ends then with what it has, and says what it lacks."
    )
    interactive: bool = Field(False, description="Accepted: there is no second attempt to skip.")
    degrade_retry: bool = Field(False, description="Accepted: there is no second attempt.")
    cache_behavior: Literal["auto", "disabled", "aggressive"] = Field(
        "auto", description="Accepted: answers of searches are not kept between executions."
    )
    cache_ttl_seconds: int | None = Field(None, ge=0, description="Accepted, as cache_behavior.")

    @model_validator(mode="before")
    @classmethod
    def _read_nulls(cls, raw: Any) -> Any:
        return without_nulls(raw)

    @field_validator("fusion", mode="before")
    @classmethod
    def _refuse_learned(cls, raw: Any) -> Any:
        if raw == "learned":
            raise ValueError(
                "learned fusion needs records of users' interactions, which are not kept here; "
                "'weighted' takes weights of your own"
            )
        return raw

    @field_validator("learning_config", mode="before")
    @classmethod
    def _refuse_learning(cls, raw: Any) -> Any:
        raise ValueError("learned fusion is not available here, so nothing reads learning_config")

    @model_validator(mode="after")
    def _check_filters(self) -> Self:
        for n, entry in enumerate(self.searches):
            if entry.filters is not None:
                parse_filter(entry.filters, f"searches.{n}.filters")
        return self

    def preparation_of(self, entry: SearchEntry) -> QueryPreprocessing | None:
        """Return a search's own preprocessing, else the stage's, else None."""
        return entry.query_preprocessing or self.query_preprocessing
