"""A StageContext over documents in memory, slow and obvious: what the stages' tests run against."""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from core.arrays import Float32, Float64, UInt8
from core.deadline import NEVER, Deadline
from core.errors import InvalidRequestError, NotFoundError, Problem, StageError
from core.filtering.conditions import Filter
from core.filtering.operators import matches
from core.filtering.paths import MISSING, resolve
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
from core.rows.row import Row, Rows, Source
from core.stage import StageReport
from core.types import JsonObject, JsonValue, Metric, ReadOnlyObject, VectorSpec
from tests.core.bm25 import bm25_scores

T = TypeVar("T")

Extractor = Callable[[str], Sequence[QueryChunk]]
Embedder = Callable[[str], Sequence[float]]
Retriever = Callable[[ReadOnlyObject], "Rows | Awaitable[Rows]"]


@dataclass(frozen=True)
class Doc:
    """A stored document: its id, its payload fields, its vectors by name (lists or arrays)."""

    document_id: str
    fields: ReadOnlyObject = field(default_factory=dict)
    vectors: Mapping[str, Any] = field(default_factory=dict)


def rows_of(*payloads: ReadOnlyObject) -> list[Row]:
    """Return rows that stand for no stored document; ids are `d0`, `d1`… unless given."""
    return [
        Row(str(p.get("document_id", f"d{n}")), {"document_id": f"d{n}", **p})
        for n, p in enumerate(payloads)
    ]


@dataclass
class FakeContext:
    """Every method of `StageContext`, over `collections` (id to documents).

    `metrics` maps a vector name to its metric, cosine if absent. `searches` records what was
    searched. Retrievers and `on_stages` return rows, or an awaitable of them.
    """

    collections: Mapping[str, Sequence[Doc]] = field(default_factory=dict)
    inputs: ReadOnlyObject = field(default_factory=dict)
    scope: ReadOnlyObject = field(default_factory=dict)
    is_first: bool = True
    filter: Filter | None = None
    hints: Mapping[str, JsonValue] = field(default_factory=dict)
    max_chunks: int | None = None
    deadline: Deadline = NEVER
    report: StageReport = field(default_factory=StageReport)
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    vote_rules: Mapping[str, VoteRule] = field(default_factory=dict)
    geometry_rules: Mapping[str, GeometryRule] = field(default_factory=dict)
    verify_rules: Mapping[str, VerifyRule] = field(default_factory=dict)
    extractor: Extractor | None = None
    embedder: Embedder | None = None
    retrievers: Mapping[str, Retriever] = field(default_factory=dict)
    on_stages: Callable[[JsonObject, ReadOnlyObject], Rows] | None = None
    before_search: Callable[[SearchRequest], Awaitable[None]] | None = None
    searches: list[SearchRequest] = field(default_factory=list)
    text_searches: list[TextRequest] = field(default_factory=list)
    extractions: list[tuple[str, str, int, ReadOnlyObject]] = field(default_factory=list)

    @property
    def collection_ids(self) -> tuple[str, ...]:
        return tuple(self.collections)

    async def search(self, request: SearchRequest) -> SearchAnswer:
        self.searches.append(request)
        if self.before_search is not None:
            await self.before_search(request)
        spec = self.feature_spec(request.feature_uri)
        allowed = None if request.within is None else set(request.within)
        found: list[tuple[Source, Doc]] = [
            (source, doc)
            for source, doc in self._stored(request.collection_ids)
            if spec is not None
            and spec.name in doc.vectors
            and (allowed is None or source in allowed)
            and (request.filter is None or matches(request.filter, self._fields(source, doc)))
        ]
        lists: list[tuple[Hit, ...]] = []
        best: list[float] = []
        for vector in request.vectors:
            hits = [
                Hit(doc.document_id, source, _score(spec, vector, doc.vectors[spec.name]))
                for source, doc in found
                if spec is not None
            ]
            hits.sort(key=lambda h: (-h.score, h.document_id, h.source.collection_id))
            best.extend(hit.score for hit in hits[:1])
            lists.append(tuple(hits[: request.k]))
        return SearchAnswer(tuple(lists), Evidence(len(found), max(best, default=None)))

    async def text_search(self, request: TextRequest) -> SearchAnswer:
        """Score by the documents' top-level strings."""
        self.text_searches.append(request)
        allowed = None if request.within is None else set(request.within)
        hits: list[Hit] = []
        compared = 0
        for name in request.collection_ids:
            stored = self._stored([name])
            texts = [[v for v in doc.fields.values() if isinstance(v, str)] for _, doc in stored]
            scores = bm25_scores(texts, request.text)
            for (source, doc), score in zip(stored, scores, strict=True):
                passes = request.filter is None or matches(
                    request.filter, self._fields(source, doc)
                )
                if passes and (allowed is None or source in allowed):
                    compared += 1
                    if score > 0:
                        hits.append(Hit(doc.document_id, source, score))
        hits.sort(key=lambda h: (-h.score, h.document_id, h.source.collection_id))
        best = hits[0].score if hits else None
        return SearchAnswer((tuple(hits[: request.k]),), Evidence(compared, best))

    async def scan(
        self, collection_ids: Sequence[str], filter_: Filter | None, limit: int
    ) -> tuple[list[Row], int]:
        passing = [
            self._row(source, doc)
            for source, doc in self._stored(collection_ids)
            if filter_ is None or matches(filter_, self._fields(source, doc))
        ]
        passing.sort(key=lambda row: (row.document_id, row.fields["collection_id"]))
        return passing[:limit], len(passing)

    async def file_chunks(self, hit: Hit, numbers: Iterable[int]) -> list[Row]:
        root, mark, _ = hit.document_id.rpartition("#")
        if not mark:
            return [self._row(hit.source, self._doc(hit.source))]
        wanted = [f"{root}#{number}" for number in numbers]
        stored = self._stored([hit.source.collection_id])
        return [
            Row(d.document_id, self._fields(s, d), s) for s, d in stored if d.document_id in wanted
        ]

    async def load(self, hits: Sequence[Hit], columns: Sequence[str] | None = None) -> list[Row]:
        return [self._row(hit.source, self._doc(hit.source), columns) for hit in hits]

    async def hydrate(self, rows: Rows) -> list[Row]:
        return [
            row
            if row.source is None
            else Row(
                row.document_id,
                {**self._fields(row.source, self._doc(row.source)), **row.fields},
                row.source,
            )
            for row in rows
        ]

    async def facets(
        self, collection_ids: Sequence[str], filter_: Filter | None, field_path: str
    ) -> list[tuple[JsonValue, int]]:
        rows = [
            row
            for row in self.all_rows()
            if row.fields["collection_id"] in collection_ids
            and (filter_ is None or matches(filter_, row.fields))
        ]
        counts: dict[tuple[str, JsonValue], int] = {}
        for row in rows:
            value = resolve(row.fields, field_path)
            for item in value if isinstance(value, list) else [value]:
                if item is not MISSING and isinstance(item, str | int | float | bool):
                    key = (type(item).__name__, item)
                    counts[key] = counts.get(key, 0) + 1
        return [(value, count) for (_, value), count in counts.items()]

    async def lookup(
        self, collection: str, field_path: str, values: Sequence[JsonValue]
    ) -> dict[int, Row]:
        if collection not in self.collections:
            raise NotFoundError("collection", collection)
        stored = sorted(self._stored([collection]), key=lambda pair: pair[1].document_id)
        answer = {}
        for position, value in enumerate(values):
            for source, doc in stored:
                if resolve(self._fields(source, doc), field_path) == value:
                    answer[position] = Row(doc.document_id, self._fields(source, doc), source)
                    break
        return answer

    def feature_spec(self, feature_uri: str, _: Sequence[str] | None = None) -> VectorSpec | None:
        lengths = {
            len(doc.vectors[feature_uri])
            for _, doc in self._stored(self.collections)
            if feature_uri in doc.vectors
        }
        metric = self.metrics.get(feature_uri, "cosine")
        if lengths:
            return VectorSpec(feature_uri, max(lengths) * (8 if metric == "hamming" else 1), metric)
        if feature_uri in self.metrics:
            return None
        known = sorted({name for _, doc in self._stored(self.collections) for name in doc.vectors})
        problem = Problem("feature_uri", f"unknown vector {feature_uri!r}", accepted=known)
        raise InvalidRequestError(problem.message, [problem])

    async def stored_vector(
        self, collection: str, document_id: str, feature_uri: str
    ) -> Float32 | UInt8:
        for _, doc in self._stored([n for n in [collection] if n in self.collections]):
            if doc.document_id == document_id and feature_uri in doc.vectors:
                return self._vector(doc, feature_uri)
        raise NotFoundError("vector", f"{collection}/{document_id}/{feature_uri}")

    async def vectors_of(self, rows: Rows, feature_uri: str) -> list[Float32 | UInt8 | None]:
        docs = [None if row.source is None else self._doc(row.source) for row in rows]
        return [
            self._vector(doc, feature_uri) if doc and feature_uri in doc.vectors else None
            for doc in docs
        ]

    def resolve_collections(self, names: Sequence[str]) -> tuple[str, ...]:
        for name in names:
            if name not in self.collections:
                raise NotFoundError("collection", name)
        return tuple(names)

    async def extract(
        self, feature_uri: str, content: str, *, bound: ChunkBound, params: ReadOnlyObject
    ) -> list[QueryChunk]:
        self.extractions.append((feature_uri, content, bound.most, params))
        if self.extractor is None:
            raise StageError(f"{feature_uri} has no extractor")
        return list(self.extractor(content))[: bound.most]

    def vote_rule(self, feature_uri: str) -> VoteRule | None:
        return self.vote_rules.get(feature_uri)

    def geometry_rule(self, feature_uri: str) -> GeometryRule | None:
        return self.geometry_rules.get(feature_uri)

    def verify_rule(self, feature_uri: str, params: ReadOnlyObject) -> VerifyRule | None:
        return self.verify_rules.get(feature_uri)

    async def compute(self, work: Callable[[], T]) -> T:
        return work()

    def extractor_params(
        self,
        feature_uri: str,
        searched: str,
        collection_ids: Sequence[str],
        own: ReadOnlyObject,
    ) -> ReadOnlyObject:
        return own

    async def embed_text(self, feature_uri: str, text: str, params: ReadOnlyObject) -> Float32:
        if self.embedder is None:
            raise StageError(f"{feature_uri} embeds no text")
        return np.asarray(self.embedder(text), np.float32)

    async def run_retriever(self, retriever: str, inputs: ReadOnlyObject) -> Rows:
        if retriever not in self.retrievers:
            raise NotFoundError("retriever", retriever)
        answer = self.retrievers[retriever](inputs)
        return await answer if inspect.isawaitable(answer) else answer

    async def run_stages(self, config: JsonObject, inputs: ReadOnlyObject) -> Rows:
        if self.on_stages is None:
            raise StageError("this context runs no stages")
        return self.on_stages(config, inputs)

    def all_rows(self, *fields: str) -> list[Row]:
        """Return every stored document as a row, by collection and id; all fields if none named."""
        rows = [
            Row(d.document_id, self._fields(s, d), s) for s, d in self._stored(self.collections)
        ]
        kept = {"document_id", "collection_id", *fields}
        if not fields:
            return rows
        return [
            Row(r.document_id, {k: v for k, v in r.fields.items() if k in kept}, r.source, True)
            for r in rows
        ]

    def _stored(
        self, collection_ids: Sequence[str] | Mapping[str, Any]
    ) -> list[tuple[Source, Doc]]:
        return [
            (Source(name, 0, number), doc)
            for name in collection_ids
            for number, doc in enumerate(self.collections[name])
        ]

    def _doc(self, source: Source) -> Doc:
        return self.collections[source.collection_id][source.row]

    def _fields(self, source: Source, doc: Doc) -> JsonObject:
        own = {"document_id": doc.document_id, "collection_id": source.collection_id}
        return {**doc.fields, **own}

    def _row(self, source: Source, doc: Doc, columns: Sequence[str] | None = None) -> Row:
        fields = self._fields(source, doc)
        columns = self.hints.get("columns") if columns is None else columns
        if columns is not None:
            kept = {"document_id", "collection_id", *(path.split(".")[0] for path in columns)}
            fields = {name: value for name, value in fields.items() if name in kept}
        return Row(doc.document_id, fields, source, columns is not None)

    def _vector(self, doc: Doc, feature_uri: str) -> Float32 | UInt8:
        if self.metrics.get(feature_uri) == "hamming":
            return np.asarray(doc.vectors[feature_uri], np.uint8)
        return np.asarray(doc.vectors[feature_uri], np.float32)


def _score(spec: VectorSpec, query: Float32 | UInt8, stored: Any) -> float:
    """Return the similarity that `core/ports/vectors.py` defines, in float64, pair by pair."""
    if spec.metric == "hamming":
        differing = np.bitwise_xor(query.astype(np.uint8), np.asarray(stored, np.uint8))
        return 1.0 - int(np.unpackbits(differing).sum()) / spec.dimension
    a: Float64 = np.asarray(query, np.float64)
    b: Float64 = np.asarray(np.asarray(stored, np.float32), np.float64)
    if spec.metric == "euclidean":
        return float(1.0 / (1.0 + np.linalg.norm(a - b)))
    product = float(a @ b)
    if spec.metric == "dot":
        return product
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return product / norm if norm else 0.0
