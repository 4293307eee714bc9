"""What a feature search asks: the query's input modes, its preprocessing, one search, grouping."""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from core.models.base import RequestModel

InputMode = Literal["auto", "text", "vector", "content", "document", "multi_content"]
OnEmpty = Literal["error", "skip", "random"]

# The fields of each mode beside `input_mode`.
_MODE_FIELDS: dict[str, frozenset[str]] = {
    "auto": frozenset({"value"}),
    "text": frozenset({"value", "text", "embedding_task"}),
    "vector": frozenset({"value"}),
    "content": frozenset({"value", "content"}),
    "document": frozenset({"document_ref"}),
    "multi_content": frozenset({"values"}),
}


def without_nulls(raw: Any) -> Any:
    """Return a JSON object without its null members: null means "not given", so the default."""
    if isinstance(raw, dict):
        return {key: value for key, value in raw.items() if value is not None}
    return raw


class QueryInput(RequestModel):
    """What to search for.

    `auto` decides by the value, and is what a bare value means: an array is a vector, an object
    with `document_id` a document, a URL or data URI is content, any other text is text.
    """

    input_mode: InputMode = "auto"
    # Any: numbers are checked as one array when the vector's dimension is known; checking each
    # of 512 numbers here would cost more than searching with them.
    value: Any = Field(None, description="Text, a vector, or a content reference.")
    text: str | None = Field(None, description="Deprecated: use `value`.")
    embedding_task: str | None = None
    content: dict[str, str] | None = Field(
        None, description="Deprecated: use `value`. An object of either `url` or `base64`."
    )
    document_ref: Any = Field(None, description="An object of `collection_id`, `document_id`.")
    values: Any = None

    @model_validator(mode="before")
    @classmethod
    def _read_bare(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw if isinstance(raw, cls) else {"input_mode": "auto", "value": raw}
        given = without_nulls(raw)
        if "input_mode" in given:
            return given
        modes = {"document_ref": "document", "text": "text", "values": "multi_content"}
        modes["content"] = "content"
        if raw.keys() == {"collection_id", "document_id"}:
            return {"input_mode": "document", "document_ref": raw}
        mode = next((mode for name, mode in modes.items() if name in given), "auto")
        return {"input_mode": mode, **given}

    @model_validator(mode="after")
    def _check_mode(self) -> Self:
        allowed = _MODE_FIELDS[self.input_mode]
        wrong = sorted(self.model_fields_set - allowed - {"input_mode"})
        if wrong:
            raise ValueError(
                f"input_mode {self.input_mode!r} takes {', '.join(sorted(allowed))}; "
                f"not {', '.join(wrong)}"
            )
        return self

    @field_validator("input_mode")
    @classmethod
    def _refuse_joint(cls, mode: InputMode) -> InputMode:
        if mode == "multi_content":
            raise ValueError(
                "multi_content needs an index that embeds several inputs as one, and none here "
                "does: list one search per input instead"
            )
        return mode

    @field_validator("embedding_task")
    @classmethod
    def _check_task(cls, task: str | None) -> str | None:
        if task not in (None, "retrieval_query", "none"):
            raise ValueError(
                f"{task!r} is not supported: query text is embedded as it is ('none'), or in the "
                "model's own query form ('retrieval_query')"
            )
        return task

    @field_validator("content")
    @classmethod
    def _check_content(cls, content: dict[str, str] | None) -> dict[str, str] | None:
        if content is not None and content.keys() not in ({"url"}, {"base64"}):
            raise ValueError("takes exactly one of url and base64")
        return content


class QueryPreprocessing(RequestModel):
    """How a content query is cut into chunks, and how the chunks' results become one list."""

    feature_uri: str | None = Field(None, description="Whose extractor to use; the search's own.")
    params: dict[str, Any] | None = Field(None, description="Parameters of the extractor.")
    max_chunks: int | None = Field(
        None,
        ge=1,
        le=500,
        description="Evenly sampled beyond this; default: 20, of recordings their extractor's own.",
    )
    aggregation: Literal["rrf", "max", "avg", "votes"] | None = Field(
        None,
        description="Default: votes for recordings (audio.chromaprint, video.vpdq), else rrf. "
        "votes: the share of the query that agrees with a reference at one offset, times how "
        "alike it is there.",
    )
    dedup_field: str | None = Field(None, description="Keep the best document of each value.")

    @model_validator(mode="before")
    @classmethod
    def _read_nulls(cls, raw: Any) -> Any:
        return without_nulls(raw)


class SearchEntry(RequestModel):
    """One search: whose vectors, what for, how many, and which of them count."""

    feature_uri: str = Field(min_length=1)
    query: QueryInput
    top_k: int = Field(100, ge=1, le=5000, description="Candidates before fusion.")
    min_score: float | None = Field(
        None, ge=0, le=1, description="Applied before fusion, to BM25's own scores if lexical."
    )
    weight: float = Field(1.0, ge=0, le=1, description="For rrf, dbsf and weighted fusion.")
    lexical: bool = Field(
        False, description="Search the words of all string fields by BM25 instead of vectors."
    )
    optional: bool = Field(False, description="Skip while nothing is indexed under the feature.")
    on_empty: OnEmpty = Field("error", description="What an empty query does.")
    query_preprocessing: QueryPreprocessing | None = None
    collection_identifiers: list[str] | None = None
    filters: Any = Field(None, description="A filter that this search's documents must pass.")

    @model_validator(mode="before")
    @classmethod
    def _read_spellings(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        # An explicit null query is an empty one, which `on_empty` is for.
        entry = {k: v for k, v in raw.items() if v is not None or k in ("query", "vector")}
        if "feature_uri" not in entry and "vector_name" in entry:
            entry["feature_uri"] = entry.pop("vector_name")
        if "query" not in entry and "vector" in entry:
            entry["query"] = {"input_mode": "vector", "value": entry.pop("vector")}
        return entry

    @model_validator(mode="after")
    def _check_lexical(self) -> Self:
        if self.lexical and self.query.input_mode not in ("auto", "text"):
            raise ValueError(f"a lexical search takes text, not {self.query.input_mode}")
        if self.lexical and self.on_empty == "random":
            raise ValueError("a lexical search draws no random vector: on_empty is error or skip")
        if self.lexical and self.query_preprocessing is not None:
            raise ValueError("a lexical search takes words as they are: no query_preprocessing")
        return self


class SearchGrouping(RequestModel):
    """Grouping of a search's documents by the value of a field, best document first."""

    field: str = Field(min_length=1)
    max_per_group: int = Field(1, ge=1, le=100)
    limit: int = Field(25, ge=1, le=500, description="Groups to return.")
    output_mode: Literal["first", "all", "flatten"] = "all"

    @model_validator(mode="before")
    @classmethod
    def _read_spellings(cls, raw: Any) -> Any:
        given = without_nulls(raw)
        if isinstance(given, dict) and "group_size" in given and "max_per_group" not in given:
            given["max_per_group"] = given.pop("group_size")
        return given


class FacetRequest(RequestModel):
    """A field whose values to count. Counts are always exact, so `exact` changes nothing."""

    key: str = Field(min_length=1)
    limit: int = Field(10, ge=1, le=1000)
    exact: bool = False

    @model_validator(mode="before")
    @classmethod
    def _read_bare(cls, raw: Any) -> Any:
        return {"key": raw} if isinstance(raw, str) else without_nulls(raw)
