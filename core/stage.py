"""The stage contract: what a stage is, what it declares, and all it may ask of its surroundings.

A stage is one file in `core/stages/`, named as its wire name, exporting one `STAGE`: validated
parameters, declared traits, and one coroutine. It sees the outside only through `StageContext`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from core.deadline import Deadline
from core.filtering.conditions import Filter
from core.templates import is_template
from core.types import Float32, JsonObject, JsonValue, ReadOnlyObject, UInt8, VectorSpec

Category = Literal["filter", "sort", "reduce", "apply", "enrich"]


class StageParams(BaseModel):
    """Base of every stage's parameters: unknown names are refused, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


P = TypeVar("P", bound=StageParams)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a row's stored document lies in the pinned snapshots of this execution."""

    collection_id: str
    part: int
    row: int


@dataclass(frozen=True, slots=True)
class Row:
    """One document on its way through the stages.

    `fields` is what stages read and write: the payload's fields loaded so far, everything that
    stages computed, and `document_id`, `collection_id`, `score` where there is one. It is never
    changed in place. `source` is None for rows that stand for no stored document. `partial` says
    that stored fields may be missing from `fields` until the row is hydrated.
    """

    document_id: str
    fields: ReadOnlyObject
    source: Source | None = None
    partial: bool = False

    def with_fields(self, changes: ReadOnlyObject) -> "Row":
        """Return the row with these fields set."""
        # Not dataclasses.replace, which takes five times as long: this runs per row and stage.
        return Row(self.document_id, {**self.fields, **changes}, self.source, self.partial)


Rows = Sequence[Row]


class _All:
    """The set of every field name."""

    def __repr__(self) -> str:
        return "ALL"


ALL = _All()
FieldSet = frozenset[str] | _All  # dot paths, or ALL
NO_FIELDS: frozenset[str] = frozenset()


def reads_all(_: StageParams) -> FieldSet:
    """Declare that a stage may read any field: the safe default."""
    return ALL


def reads_none(_: StageParams) -> FieldSet:
    """Declare that a stage reads, or writes, no field."""
    return NO_FIELDS


def fields_of(*paths: str | None) -> FieldSet:
    """Return the set of these field paths; ALL if one is a template, so not yet known."""
    if any(is_template(path) for path in paths if path is not None):
        return ALL
    return frozenset(path for path in paths if path is not None)


@dataclass(frozen=True, slots=True)
class SortOrder:
    """What rows are sorted by, stably. `kind` names the comparison. `missing` says where rows
    without a value stand; None: every row has a number there, so that all comparisons agree."""

    field: str
    descending: bool
    kind: str = "number"
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Traits(Generic[P]):
    """Facts that the planner and the optimizer's rules read; what is not declared is unsafe.

    A stage is `row_local` if each output row depends on one input row alone, `keeps_order` if
    the rows that remain stand in the order they came, `keeps_rows` if it drops, adds and merges
    none, `only_drops` if its output is a subset of its input's rows, each with the same stored
    fields. `reads` and `writes` are the fields (dot paths) it may touch, given its parameters.

    Hints are what the optimizer asks of a stage, of those that it declares: `limit` or `top_k`,
    to return the first so many of the rows it would have returned; `group`, to group these as
    `as_grouping` says (a `limit` beside it cuts what that leaves); `columns`, which stored fields
    (top-level names) to load.
    """

    source: bool = False  # makes rows when it comes first (searches or scans)
    row_local: bool = False
    keeps_order: bool = False
    keeps_rows: bool = False
    only_drops: bool = False
    deterministic: bool = True
    sorts: bool = False  # output order depends on the rows' fields, ties keep incoming order
    # For a sort: the order of two rows follows from those two alone, so that rows dropped before
    # it leave the others in the order they would have had.
    pairwise: Callable[[P], bool] = lambda _: False
    reads: Callable[[P], FieldSet] = reads_all
    writes: Callable[[P], FieldSet] = reads_all
    cost: int = 10  # relative cost per row: 1 a comparison, 10 a small computation, 100 I/O
    # One row leaves for each that comes, in its place and made of it alone: for stages of which
    # that depends on the parameters.
    one_to_one: Callable[[P], bool] = lambda _: False
    # Whether it fails, and what it reports as incomplete, depends on no single row: rows that are
    # dropped before it are not missed.
    quiet: Callable[[P], bool] = lambda _: False
    # The stage is exactly this filter on its rows' fields.
    as_filter: Callable[[P], Filter | None] | None = None
    # Parameters with which the stage is exactly a given filter.
    write_filter: Callable[[Filter], JsonObject] | None = None
    # The stage is `rows[offset : offset + limit]`: (offset, limit); and parameters for a given one.
    window: Callable[[P], tuple[int, int] | None] = lambda _: None
    write_window: Callable[[int, int], JsonObject] | None = None
    # So many rows or fewer pass untouched.
    idle_up_to: Callable[[P], int] = lambda _: 0
    # The order of the rows that leave.
    sorted_by: Callable[[P], SortOrder | None] = lambda _: None
    # The stage groups its rows so, as the hint `group` of a stage that `can_group` what it returns.
    as_grouping: Callable[[P], JsonObject | None] | None = None
    can_group: Callable[[P], bool] = lambda _: False
    # The fields that must be loaded before it, where it fetches the rest of what it reads itself.
    needs: Callable[[P], FieldSet] | None = None
    # Fields that every row has anew when it leaves, whatever it had before.
    sets: Callable[[P], FieldSet] = reads_none
    # Nothing that came in leaves, but what the stage read and made anew.
    replaces: Callable[[P], bool] = lambda _: False
    # Does nothing at all with these parameters, whatever the rows (removable).
    is_noop: Callable[[P], bool] = lambda _: False
    # At most this many rows leave, None if unbounded by parameters.
    bound: Callable[[P], int | None] = lambda _: None
    # Names in `PlanStage.hints` that the stage honours: see `core/optimizer/`.
    hints: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """Nearest neighbours of one or several vectors (chunks of one query) in named collections.

    `vectors` is (m, dimension) float32, or (m, dimension / 8) uint8 for Hamming. `within`
    restricts the search to those rows.
    """

    collection_ids: tuple[str, ...]
    feature_uri: str
    vectors: Float32 | UInt8
    k: int
    filter: Filter | None = None
    within: tuple[Source, ...] | None = None


@dataclass(frozen=True, slots=True)
class TextRequest:
    """The documents of named collections that best match words, by BM25. `within` restricts the
    search to those rows."""

    collection_ids: tuple[str, ...]
    text: str
    k: int
    filter: Filter | None = None
    within: tuple[Source, ...] | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A stored document and its score; larger is better for every metric."""

    document_id: str
    source: Source
    score: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a search's answer rests on.

    `compared` counts the rows that passed the filter and were compared; `best_score` is the
    best of all of them, before any cut; `exact` says the answer is proven complete.
    """

    compared: int = 0
    best_score: float | None = None
    exact: bool = True

    def merged(self, other: "Evidence") -> "Evidence":
        """Combine the evidence of two searches of one query."""
        scores = [s for s in (self.best_score, other.best_score) if s is not None]
        return Evidence(
            self.compared + other.compared,
            max(scores, default=None),
            self.exact and other.exact,
        )


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """Per vector of the request, its hits: score descending, then document id ascending."""

    hits: tuple[tuple[Hit, ...], ...]
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class QueryChunk:
    """One vector of a content query and its place in the query's media."""

    vector: Float32 | UInt8
    start_ms: int | None = None
    end_ms: int | None = None
    box: tuple[float, float, float, float] | None = None


@dataclass(slots=True)
class StageReport:
    """What a stage wants said beside its rows; collected per stage and query."""

    warnings: list[str] = field(default_factory=list)
    # {code, message}: why the result may lack documents. Any entry makes it incomplete.
    incomplete: list[JsonObject] = field(default_factory=list)
    limits: list[JsonObject] = field(default_factory=list)  # {name, requested, applied, ceiling}
    metadata: JsonObject = field(default_factory=dict)
    facets: list[JsonObject] | None = None
    evidence: Evidence | None = None
    # Why fewer rows came than asked for, e.g. "3 of 200 rows passed the filter".
    shortfall: str | None = None


class StageContext(Protocol):
    """All that a stage may ask for. One per stage run of one query."""

    @property
    def inputs(self) -> ReadOnlyObject:
        """The query's inputs, defaults filled in."""
        ...

    @property
    def scope(self) -> ReadOnlyObject:
        """The template scope (INPUT, CONTEXT, STAGE), to which a stage adds DOC per row."""
        ...

    @property
    def collection_ids(self) -> tuple[str, ...]:
        """The retriever's collections, as ids."""
        ...

    @property
    def is_first(self) -> bool:
        """True when there are no incoming rows by position: a source stage then makes them."""
        ...

    @property
    def filter(self) -> Filter | None:
        """For a source stage: everything that must hold of the rows it may return.

        The stage's pre_filters, the filters that the plan moved into it, and the query's own.
        """
        ...

    @property
    def hints(self) -> Mapping[str, JsonValue]:
        """What the optimizer asks of this stage; only names that its traits declare."""
        ...

    @property
    def max_chunks(self) -> int | None:
        """The request's own bound on a content query's chunks, None if it gave none."""
        ...

    @property
    def deadline(self) -> Deadline:
        """When this query must end."""
        ...

    @property
    def report(self) -> StageReport:
        """Where to say what else the caller should know."""
        ...

    def feature_spec(
        self, feature_uri: str, collection_ids: Sequence[str] | None = None
    ) -> VectorSpec | None:
        """Return the dimension and metric of a feature in this query's collections, or in those
        that its vectors are about to be searched in.

        None while no document has brought it yet (vectors declared by the first write); a name
        that the collections do not know raises `InvalidRequestError` listing theirs, and so does
        one whose vectors cannot be compared across the collections to be searched.
        """
        ...

    async def search(self, request: SearchRequest) -> SearchAnswer:
        """Search vectors; searches of concurrent queries on one index are merged into one."""
        ...

    async def text_search(self, request: TextRequest) -> SearchAnswer:
        """Search all string fields for words, which are never syntax: one list of hits.

        Scores are above 0 and unbounded. `compared` counts the documents with text that pass.
        Raises `MissingExtraError` where the library is not installed.
        """
        ...

    async def scan(
        self, collection_ids: Sequence[str], filter_: Filter | None, limit: int
    ) -> tuple[list[Row], int]:
        """Return up to `limit` live documents passing the filter, by id, and how many pass.

        Rows carry the fields that the plan needs (`hints["columns"]`), else all of them.
        """
        ...

    async def load(self, hits: Sequence[Hit], columns: Sequence[str] | None = None) -> list[Row]:
        """Turn hits into rows, with the same fields as `scan`; `score` is set by the stage.

        `columns` (top-level names): these fields will do, for a stage that hydrates what it keeps.
        """
        ...

    async def hydrate(self, rows: Rows) -> list[Row]:
        """Return rows with every stored field; what stages wrote wins over what is stored."""
        ...

    async def facets(
        self, collection_ids: Sequence[str], filter_: Filter | None, field_path: str
    ) -> list[tuple[JsonValue, int]]:
        """Count each distinct scalar value of a field among the documents passing the filter."""
        ...

    async def lookup(
        self, collection: str, field_path: str, values: Sequence[JsonValue]
    ) -> dict[int, Row]:
        """For each of `values`, by position, the first document (by id) of a collection whose
        field equals it. The collection is an id or a name; unknown raises `NotFoundError`."""
        ...

    async def stored_vector(
        self, collection: str, document_id: str, feature_uri: str
    ) -> Float32 | UInt8:
        """Return one document's vector; `NotFoundError` if there is no document or no vector."""
        ...

    async def vectors_of(self, rows: Rows, feature_uri: str) -> list[Float32 | UInt8 | None]:
        """Return each row's stored vector, None where there is none."""
        ...

    def resolve_collections(self, names: Sequence[str]) -> tuple[str, ...]:
        """Turn ids or names into ids; unknown or not of this retriever raises `NotFoundError`."""
        ...

    async def extract(
        self, feature_uri: str, content: str, *, max_chunks: int, params: ReadOnlyObject
    ) -> list[QueryChunk]:
        """Fetch a content reference and extract chunks as the feature's references were.

        Notes on quality go into the report. Raises `FetchError`, `MediaError`.
        """
        ...

    async def embed_text(self, feature_uri: str, text: str) -> Float32:
        """Embed text as the feature's references were; `StageError` if it embeds no text."""
        ...

    async def run_retriever(self, retriever: str, inputs: ReadOnlyObject) -> Rows:
        """Run another retriever of the namespace, by id or name, within this query's time."""
        ...

    async def run_stages(self, config: JsonObject, inputs: ReadOnlyObject) -> Rows:
        """Run an inline retriever (`{stages, collection_identifiers?}`) within this query."""
        ...


@dataclass(frozen=True, slots=True)
class Stage(Generic[P]):
    """A stage: its name, its words for the catalogue, its parameters, its facts, its work.

    `run` never mutates rows, is cancelled without harm at any await, and breaks every tie by
    the incoming order or by `document_id`. `row_templates` names the parameters whose templates
    the stage renders itself, per row (they may use DOC).
    """

    stage_id: str
    category: Category
    description: str
    icon: str
    params: type[P]
    run: Callable[[P, Rows, StageContext], Awaitable[Rows]]
    traits: Traits[P]
    row_templates: frozenset[str] = frozenset()
    # The searches it will make, known from its parameters alone: a batch merges those that its
    # plan begins with. Must equal what `run` asks for; empty where they are not known before.
    searches: Callable[[P, StageContext], Sequence[SearchRequest]] | None = None
    cost_tier: Literal["cheap", "moderate", "expensive"] = "cheap"


AnyStage = Stage[Any]
