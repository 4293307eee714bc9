"""The stage contract: what a stage is, what it declares, and all it may ask of its surroundings.

A stage is one file in `core/stages/`, named as its wire name, exporting one `STAGE`: validated
parameters, declared traits, and one coroutine. It sees the outside only through `StageContext`.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

from core.arrays import Float32, UInt8
from core.deadline import Deadline
from core.filtering.conditions import Filter
from core.hits import (
    ChunkBound,
    Evidence,
    Hit,
    QueryChunk,
    SearchAnswer,
    SearchRequest,
    TextRequest,
)
from core.ports.keypoints import VerifyRule
from core.ports.media import GeometryRule, VoteRule
from core.rows.row import Row, Rows
from core.traits import P, Traits
from core.types import JsonObject, JsonValue, ReadOnlyObject, VectorSpec

T = TypeVar("T")

Category = Literal["filter", "sort", "reduce", "apply", "enrich"]


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

    async def file_chunks(self, hit: Hit, numbers: Iterable[int]) -> list[Row]:
        """Return the chunks of these numbers of the file that a hit is a chunk of, those that live,
        with all fields; of what is no chunk of a file, itself."""
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
        self, feature_uri: str, content: str, *, bound: ChunkBound, params: ReadOnlyObject
    ) -> list[QueryChunk]:
        """Fetch a content reference and extract chunks as the feature's references were.

        Notes on quality, and chunks that the bound left out, go into the report. Raises
        `FetchError`, `MediaError`, and `InvalidRequestError` for what no such extractor takes.
        """
        ...

    def vote_rule(self, feature_uri: str) -> VoteRule | None:
        """Return how chunks of this feature's recordings vote, None if it is of no recordings."""
        ...

    def geometry_rule(self, feature_uri: str) -> GeometryRule | None:
        """Return how chunks of this feature prove a picture in a picture, None if they do not."""
        ...

    def verify_rule(self, feature_uri: str, params: ReadOnlyObject) -> VerifyRule | None:
        """Return how this feature's documents are verified by places of their pictures, None if
        they are not, with these parameters."""
        ...

    async def compute(self, work: Callable[[], T]) -> T:
        """Run what keeps a processor busy in a thread, so that others keep their deadlines."""
        ...

    def extractor_params(
        self,
        feature_uri: str,
        searched: str,
        collection_ids: Sequence[str],
        own: ReadOnlyObject,
    ) -> ReadOnlyObject:
        """Return how collections' references were extracted; `own` of vectors that documents bring.

        Raises `InvalidRequestError` if they differ, for anything in `own` that an extractor of ours
        would have to ignore, and if what `feature_uri` makes is nothing like `searched`.
        """
        ...

    async def embed_text(self, feature_uri: str, text: str, params: ReadOnlyObject) -> Float32:
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
