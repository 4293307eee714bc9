"""A retriever as users write and read it: name, collections, inputs, ordered stages, version."""

from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, Field, field_validator, model_validator

from core.models.base import RequestModel
from core.types import JsonObject, JsonValue

InputType = Literal[
    "string", "number", "integer", "float", "boolean", "object", "array", "date", "datetime",
    "text", "image", "audio", "video", "pdf", "excel", "document_reference",
]  # fmt: skip

StageType = Literal["filter", "sort", "reduce", "apply", "enrich", "group"]


class InputField(RequestModel):
    """One declared input. Keys beyond these are kept as they are, as the contract allows."""

    model_config = RequestModel.model_config | {"extra": "allow"}

    type: InputType
    required: bool = False
    default: JsonValue = None
    description: str | None = None
    enum: list[JsonValue] | None = None
    examples: list[JsonValue] | None = None
    items: "InputField | None" = None
    properties: "dict[str, InputField] | None" = None


class StageConfig(RequestModel):
    """`config` of a stage: which stage, its parameters, and the filters beside them."""

    stage_id: str = Field(min_length=1, max_length=100)
    parameters: JsonObject = Field(default_factory=dict)
    pre_filters: JsonValue = Field(None, description="Constrain what the stage may see or return.")
    post_filters: JsonValue = Field(None, description="Filter what the stage returned.")


class StageSpec(RequestModel):
    """One stage of a retriever, nested or flat (`{stage_type, stage_id, parameters}`)."""

    stage_name: str = Field(min_length=1, max_length=200, description="Your label for it.")
    stage_type: StageType | None = Field(None, description="Optional: known from `stage_id`.")
    config: StageConfig
    batch_size: str | int | None = Field(None, description="Accepted for the contract; unused.")
    description: str | None = None
    on_error: Literal["error", "skip"] = Field(
        "error", description="`skip` goes on with the rows from before the stage, and says so."
    )
    output_alias: str | None = Field(
        None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Rows become `CONTEXT.<alias>`."
    )

    @model_validator(mode="before")
    @classmethod
    def _nest(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        raw = dict(raw)
        if "config" in raw:
            raw.pop("parameters", None)  # the mirror that reads return; `config` is the source
        elif "stage_id" in raw:
            keys = ("stage_id", "parameters", "pre_filters", "post_filters")
            raw["config"] = {key: raw.pop(key) for key in keys if key in raw}
        config = raw.get("config")
        if isinstance(config, dict) and isinstance(config.get("stage_id"), str):
            raw.setdefault("stage_name", config["stage_id"])
        return raw


class BudgetLimits(RequestModel):
    """Bounds of one execution."""

    max_credits: float | None = Field(None, ge=0, description="Kept; nothing here costs credits.")
    max_time_ms: float | None = Field(None, ge=0, description="Bounds each query.")


class CanaryRule(RequestModel):
    """A canary of a retriever that takes more than the file."""

    document_id: str = Field(min_length=1, max_length=256)
    inputs: JsonObject = Field(
        default_factory=dict, description="The retriever's other inputs, to look for it with."
    )


class VerdictRule(RequestModel):
    """From which scores on a scan blocks a file or has it reviewed. Higher is nearer.

    Without thresholds they are the searched extractors' own.
    """

    block_at: float | None = Field(None, allow_inf_nan=False, description="Blocks from this on.")
    review_at: float | None = Field(
        None, allow_inf_nan=False, description="Review from this on; default: `block_at`."
    )
    score_field: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="The field of a document (dot path) that the thresholds are of; default: its "
        "similarity in the searched feature.",
    )
    allow_approximate: bool = Field(
        False, description="Whether a search that is not proven exact may say clear."
    )
    canary: Annotated[str, Field(min_length=1, max_length=256)] | CanaryRule | None = Field(
        None,
        description="A reference that every scan also looks for: if it is not found, nothing is "
        "clear. Its id, or an object with the inputs that a query needs beside the file.",
    )

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.block_at is None:
            if self.review_at is not None or self.score_field is not None:
                raise ValueError("review_at and score_field need block_at beside them")
        elif self.review_at is not None and self.review_at > self.block_at:
            raise ValueError(
                "review_at is above block_at: a higher score must mean a nearer match; scores "
                "where lower is nearer are not supported"
            )
        return self


def _unwrap_properties(raw: Any) -> Any:
    """Accept the guide's `{"properties": {…}}` around the flat map of fields."""
    if isinstance(raw, dict) and set(raw) <= {"type", "properties", "required"}:
        inner = raw.get("properties")
        if isinstance(inner, dict) and raw.get("type", "object") == "object":
            return inner
    return raw


class RetrieverCreate(RequestModel):
    """Body of `POST /v1/retrievers`."""

    retriever_name: str = Field(min_length=1, max_length=200)
    stages: list[StageSpec] = Field(min_length=1, max_length=50)
    collection_identifiers: list[str] = Field(
        default_factory=list,
        max_length=100,
        validation_alias=AliasChoices("collection_identifiers", "collection_ids"),
        description="Ids or names. Empty: the namespace's default collection.",
    )
    input_schema: dict[str, InputField] = Field(default_factory=dict)
    description: str | None = None
    tags: list[str] = Field(default_factory=list)
    metadata: JsonObject = Field(default_factory=dict)
    display_config: JsonObject | None = None
    budget_limits: BudgetLimits = BudgetLimits()
    verdict: VerdictRule | None = Field(None, description="What scans say of a file; Trawl's own.")
    visibility: Literal["private", "public", "marketplace"] = "private"
    marketplace_listing_id: str | None = None
    requires_subscription: bool = False

    _flat_schema = field_validator("input_schema", mode="before")(_unwrap_properties)


class RetrieverPatch(RequestModel):
    """Body of `PATCH /v1/retrievers/{id}`: what is given replaces; the version grows by one."""

    retriever_name: str | None = Field(None, min_length=1, max_length=200)
    stages: list[StageSpec] | None = Field(None, min_length=1, max_length=50)
    collection_identifiers: list[str] | None = Field(
        None,
        max_length=100,
        validation_alias=AliasChoices("collection_identifiers", "collection_ids"),
    )
    input_schema: dict[str, InputField] | None = None
    description: str | None = None
    tags: list[str] | None = None
    metadata: JsonObject | None = None
    display_config: JsonObject | None = None
    verdict: VerdictRule | None = None
    visibility: Literal["private", "public", "marketplace"] | None = None

    _flat_schema = field_validator("input_schema", mode="before")(_unwrap_properties)


class RetrieverClone(RequestModel):
    """Body of `POST /v1/retrievers/{id}/clone`: a new name, and what should differ."""

    retriever_name: str = Field(min_length=1, max_length=200)
    description: str | None = None
    collection_identifiers: list[str] | None = Field(
        None,
        max_length=100,
        validation_alias=AliasChoices("collection_identifiers", "collection_ids"),
    )
    stages: list[StageSpec] | None = Field(None, min_length=1, max_length=50)
    input_schema: dict[str, InputField] | None = None
    budget_limits: BudgetLimits | None = None
    tags: list[str] | None = None
    display_config: JsonObject | None = None

    _flat_schema = field_validator("input_schema", mode="before")(_unwrap_properties)


class Retriever(RequestModel):
    """A stored retriever: one version of it. `collection_ids` are ids, resolved when written."""

    retriever_id: str
    namespace_id: str
    retriever_name: str
    version: int = 1
    collection_ids: tuple[str, ...] = ()
    stages: tuple[StageSpec, ...]
    input_schema: dict[str, InputField] = Field(default_factory=dict)
    budget_limits: BudgetLimits = BudgetLimits()
    description: str | None = None
    tags: list[str] = Field(default_factory=list)
    metadata: JsonObject = Field(default_factory=dict)
    display_config: JsonObject | None = None
    verdict: VerdictRule | None = None
    visibility: str = "private"
    created_at: str = ""
    updated_at: str = ""
    created_by: str | None = None
    updated_by: str | None = None
