"""The parameters of `aggregate`: figures, the keys of groups, and how results are ordered."""

from typing import Literal, Self

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    field_validator,
    model_validator,
)

from core.rows.aggregation import NUMERIC
from core.traits import StageParams

Function = Literal[
    "count",
    "count_distinct",
    "sum",
    "avg",
    "min",
    "max",
    "first",
    "last",
    "collect",
    "collect_distinct",
    "percentile",
    "stddev",
    "variance",
    "frequency",
    "co_occurrence",
    "correlation",
    "histogram",
]
PAIRED = ("co_occurrence", "correlation")
_ROW_FIELDS = ("document_id", "collection_id")  # what a result row carries of its own


class Aggregation(BaseModel):
    """One figure. Rows where its field is missing or null take no part in it."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    function: Function = Field(
        validation_alias=AliasChoices("function", "type"),
        description="count counts rows (those that have field, if one is given). sum, avg, min, "
        "max, percentile, stddev, variance, correlation and histogram with an interval need "
        "numbers; any other value is an error. first and last go by score. stddev and variance "
        "are the population's. cardinality is count_distinct.",
    )
    alias: str = Field(
        min_length=1,
        validation_alias=AliasChoices("alias", "name"),
        description="The figure's name in the result.",
    )
    field: str | None = Field(
        None, min_length=1, description="Dot path; required but for count. An array is one value."
    )
    field_b: str | None = Field(
        None, min_length=1, description="Second dot path, for co_occurrence and correlation."
    )
    percentile_value: float = Field(50, ge=0, le=100, description="Which percentile.")
    percentiles: list[FiniteFloat] | None = Field(
        None, min_length=1, description='Several percentiles at once: the result is {"25": …}.'
    )
    top_k: int = Field(10, ge=1, le=100, description="Entries of frequency and co_occurrence.")
    interval: FiniteFloat | None = Field(
        None, gt=0, description="Width of a histogram's buckets; null: a bucket per value."
    )

    @field_validator("function", mode="before")
    @classmethod
    def _guide_name(cls, value: object) -> object:
        return "count_distinct" if value == "cardinality" else value

    @field_validator("percentiles")
    @classmethod
    def _percents(cls, value: list[float] | None) -> list[float] | None:
        if value is not None and not all(0 <= percent <= 100 for percent in value):
            raise ValueError("percentiles must be within 0 and 100")
        return value

    @model_validator(mode="after")
    def _fields_are_named(self) -> Self:
        if self.field is None and self.function != "count":
            raise ValueError(f"{self.function} needs field")
        if self.field_b is None and self.function in PAIRED:
            raise ValueError(f"{self.function} needs field_b")
        return self

    def needs_numbers(self) -> bool:
        """Say whether any value that is no number is an error."""
        if self.function == "histogram":
            return self.interval is not None
        return self.function in (*NUMERIC, "percentile", "correlation")


class GroupKey(BaseModel):
    """One field to group by."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    field: str = Field(min_length=1, description="Dot path; missing and null are one group.")
    alias: str | None = Field(
        None, min_length=1, description="Its name in the result; null: the path's last segment."
    )

    def name(self) -> str:
        """Return the key's name in the result."""
        return self.alias or self.field.rpartition(".")[2]


class AggregateParams(StageParams):
    """Figures over the rows that reach this stage, not over the whole collection."""

    aggregations: list[Aggregation] = Field(min_length=1, description="The figures, by alias.")
    group_by: list[GroupKey] | None = Field(
        None,
        description="Fields whose values, all together, make a group; null: one result for all. "
        "A single path may be written as a string.",
    )
    sort_by: str | None = Field(
        None,
        description="Alias of an aggregation to sort the groups by, groups without a value last; "
        "null: by first appearance. Without group_by it has no effect.",
    )
    sort_order: Literal["asc", "desc"] = Field("desc", description="Direction of sort_by.")
    limit: int | None = Field(
        None, ge=1, le=1_000, description="Groups kept. Without group_by it has no effect."
    )
    include_documents: bool = Field(
        False,
        description="true: the rows pass unchanged and the figures are in the stage's metadata "
        "alone; false: the figures replace the rows, one row per group.",
    )

    @field_validator("group_by", mode="before")
    @classmethod
    def _paths(cls, value: object) -> object:
        if isinstance(value, str):
            return None if value == "null" else [{"field": value}]
        if isinstance(value, list):
            return [{"field": key} if isinstance(key, str) else key for key in value] or None
        return value

    @field_validator("sort_by", mode="before")
    @classmethod
    def _unset(cls, value: object) -> object:
        return None if value == "null" else value  # what the typed client sends for unset

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        figures = [figure.alias for figure in self.aggregations]
        names = [*figures, *(key.name() for key in self.group_by or ()), *_ROW_FIELDS]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"names must be unique, and not {_ROW_FIELDS}: {repeated}")
        if self.sort_by is not None and self.sort_by not in figures:
            raise ValueError(f"sort_by must be the alias of an aggregation: {figures}")
        return self
