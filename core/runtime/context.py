"""The stage context at work: what a stage asks for, answered from snapshots, pools and caches."""

import asyncio
import base64
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np

from core.arrays import Float32, UInt8
from core.deadline import Deadline
from core.errors import InvalidRequestError, NotFoundError, StageError
from core.filtering.conditions import Filter
from core.hits import ChunkBound, Hit, QueryChunk, SearchAnswer, SearchRequest, TextRequest
from core.media.extractors import find_extractor
from core.models.features import index_name
from core.ports.keypoints import VerifyRule
from core.ports.media import Extraction, GeometryRule, VoteRule
from core.rows.row import Row, Rows, Source
from core.runtime.environment import require_pinned
from core.runtime.file_chunks import load_chunks
from core.runtime.notes import note_candidates, note_extraction, note_unsearched
from core.runtime.preprocessing import query_parameters
from core.runtime.querying import QueryRun, join_search
from core.runtime.reading import find_ids, hydrate_row, load_row, vectors_outside
from core.runtime.searching import (
    absent_fields,
    count_values,
    count_vectorless,
    find_by_field,
    scan_snapshots,
)
from core.runtime.texts import search_texts
from core.runtime.views import evidence_of_same_rows, merge_views, view_requests
from core.stage import StageReport
from core.storage.files import find_file, find_first
from core.storage.snapshot import Ref
from core.types import JsonObject, JsonValue, ReadOnlyObject, VectorSpec

T = TypeVar("T")
S = TypeVar("S")

# More rows than this are read in a thread, so that the loop keeps its deadlines.
_INLINE_ROWS = 256

# Runs a retriever of the namespace (by id or name) or inline stages, within a stage's query.
NestedRun = Callable[["StageRun", str | JsonObject, ReadOnlyObject], Awaitable[Rows]]


@dataclass(slots=True)
class StageRun:
    """The `StageContext` of one stage of one query: see there for what each method promises."""

    query: QueryRun
    filter: Filter | None
    hints: Mapping[str, JsonValue]
    is_first: bool
    report: StageReport
    run_nested: NestedRun

    @property
    def inputs(self) -> ReadOnlyObject:
        """The query's inputs."""
        return self.query.inputs

    @property
    def scope(self) -> ReadOnlyObject:
        """The template scope."""
        return self.query.scope

    @property
    def collection_ids(self) -> tuple[str, ...]:
        """The retriever's collections."""
        return self.query.collection_ids

    @property
    def max_chunks(self) -> int | None:
        """The request's bound on chunks."""
        return self.query.max_chunks

    @property
    def deadline(self) -> Deadline:
        """When this query must end."""
        return self.query.deadline

    def resolve_collections(self, names: Sequence[str]) -> tuple[str, ...]:
        """Turn ids or names of this retriever's collections into ids."""
        found = require_pinned(self.query.environment, names)
        for name, collection_id in zip(names, found, strict=True):
            if collection_id not in self.query.collection_ids:
                raise NotFoundError("collection of this retriever", name)
        return found

    def feature_spec(
        self, feature_uri: str, collection_ids: Sequence[str] | None = None
    ) -> VectorSpec | None:
        """Return a feature's dimension and metric."""
        environment = self.query.environment
        if collection_ids is None:
            return environment.feature(self.query.collection_ids, feature_uri).spec()
        feature = environment.feature(collection_ids, feature_uri)
        note_unsearched(self.report, feature)
        return feature.comparable_spec()

    async def search(self, request: SearchRequest) -> SearchAnswer:
        """Search, merged with whatever else is in flight on the same index."""
        environment = self.query.environment
        snapshots = environment.pin(request.collection_ids)
        feature = environment.feature(request.collection_ids, request.feature_uri)
        others = view_requests(request, feature.views)
        begun = [join_search(self.query, one) for one in (request, *others.values())]
        answers, *of_views = await asyncio.gather(*begun)
        if others:
            views = dict(zip(others, of_views, strict=True))
            answers = merge_views(answers, views, request.k)
        hits = tuple(answer.hits[0][: request.k] for answer in answers)
        evidence = replace(
            evidence_of_same_rows([answer.evidence for answer in answers]),
            **await self._unsearchable(request),
        )
        if not evidence.compared:
            await self._note_absent(request.collection_ids, request.filter)
        if any(answer.floor is not None for answer in answers):
            note_candidates(self.report, snapshots, request, answers)
        return SearchAnswer(hits, evidence)

    async def text_search(self, request: TextRequest) -> SearchAnswer:
        """Search words; queries of all batches share one index of each snapshot."""
        environment, deadline = self.query.environment, self.deadline
        snapshots = environment.pin(request.collection_ids)
        texts = environment.services.texts
        return await self._run_stoppable(
            lambda stop: search_texts(texts, snapshots, request, deadline, stop)
        )

    async def scan(
        self, collection_ids: Sequence[str], filter_: Filter | None, limit: int
    ) -> tuple[list[Row], int]:
        """Return the first passing documents by id, and how many pass."""
        snapshots = self.query.environment.pin(collection_ids)
        found, passing = await self._run_stoppable(
            lambda stop: scan_snapshots(snapshots, filter_, limit, stop)
        )
        if not passing:
            await self._note_absent(collection_ids, filter_)
        return await self._load(found), passing

    async def load(self, hits: Sequence[Hit], columns: Sequence[str] | None = None) -> list[Row]:
        """Turn hits into rows."""
        return await self._load([(hit.document_id, hit.source) for hit in hits], columns)

    async def file_chunks(self, hit: Hit, numbers: Iterable[int]) -> list[Row]:
        """Read chunks of one file, in a thread."""
        return await self._run(lambda: load_chunks(self.query.environment, hit, numbers))

    async def hydrate(self, rows: Rows) -> list[Row]:
        """Return the rows with every stored field."""
        environment = self.query.environment
        return await self._map(lambda row: hydrate_row(environment, row), rows)

    async def facets(
        self, collection_ids: Sequence[str], filter_: Filter | None, field_path: str
    ) -> list[tuple[JsonValue, int]]:
        """Count a field's values among the passing documents."""
        snapshots = self.query.environment.pin(collection_ids)
        return await self._run_stoppable(
            lambda stop: count_values(snapshots, filter_, field_path, stop)
        )

    async def lookup(
        self, collection: str, field_path: str, values: Sequence[JsonValue]
    ) -> dict[int, Row]:
        """Find one document for each value, in any collection of the namespace."""
        environment = self.query.environment

        def find() -> dict[int, Row]:
            (snapshot,) = environment.pin([collection])
            if field_path == "document_id":
                found = find_ids(snapshot.collection_id, partial(find_first, snapshot), values)
            else:
                found = find_by_field(snapshot, field_path, values)
            return {at: load_row(environment, *item, columns=None) for at, item in found.items()}

        return await self._run(find)

    async def stored_vector(
        self, collection: str, document_id: str, feature_uri: str
    ) -> Float32 | UInt8:
        """Return one document's vector."""
        environment = self.query.environment

        def find() -> Float32 | UInt8:
            (snapshot,) = environment.pin([collection])
            found = find_file(snapshot, document_id)
            if not found:
                raise NotFoundError("document", f"{document_id} in {collection}")
            first, ref = found[0]
            if len(found) > 1:
                message = f"{document_id} is a file of {len(found)} chunks, each with a vector"
                raise InvalidRequestError(f"{message}: name one of them, such as {first}")
            vector = snapshot.vector(ref, index_name(feature_uri))
            if vector is None:
                raise NotFoundError("vector", f"{index_name(feature_uri)} of {document_id}")
            return vector

        return await self._run(find)

    async def vectors_of(self, rows: Rows, feature_uri: str) -> list[Float32 | UInt8 | None]:
        """Return each row's stored vector."""
        environment, name = self.query.environment, index_name(feature_uri)
        places = {row.source.collection_id for row in rows if row.source is not None}
        if any(environment.pinned(place).remote is not None for place in places):
            return await self._run_stoppable(
                lambda stop: vectors_outside(environment, rows, name, stop)
            )

        def find(row: Row) -> Float32 | UInt8 | None:
            if row.source is None:
                return None
            snapshot = environment.pinned(row.source.collection_id)
            return snapshot.vector(Ref(row.source.part, row.source.row), name)

        return await self._map(find, rows)

    async def extract(
        self, feature_uri: str, content: str, *, bound: ChunkBound, params: ReadOnlyObject
    ) -> list[QueryChunk]:
        """Fetch a content reference and extract its chunks, in a thread and a child process."""
        info = find_extractor(feature_uri)
        shared = self.query.environment.media
        if shared is not None:
            extraction = await shared.extract(
                info.reference, info.index_name, content, max_chunks=bound.most, params=params
            )
        else:
            extraction = await self._extract_alone(
                info.reference, content, max_chunks=bound.most, params=params
            )
        note_extraction(self.report, extraction, bound)
        return [
            QueryChunk(
                chunk.vector,
                chunk.place.start_ms if chunk.place else None,
                chunk.place.end_ms if chunk.place else None,
                chunk.place.box if chunk.place else None,
                chunk.variant,
                chunk.keypoints,
            )
            for chunk in extraction.chunks
        ]

    def vote_rule(self, feature_uri: str) -> VoteRule | None:
        """Return how chunks of this feature's recordings vote."""
        info = self.query.environment.extractor_of(feature_uri)
        return None if info is None else info.votes

    def geometry_rule(self, feature_uri: str) -> GeometryRule | None:
        """Return how chunks of this feature prove a picture in a picture."""
        info = self.query.environment.extractor_of(feature_uri)
        return None if info is None else info.geometry

    def verify_rule(self, feature_uri: str, params: ReadOnlyObject) -> VerifyRule | None:
        """Return how this feature's documents are verified by places of their pictures."""
        info = self.query.environment.extractor_of(feature_uri)
        return None if info is None else info.sized(params).verification

    async def compute(self, work: Callable[[], T]) -> T:
        """Run work in a thread."""
        return await self._run(work)

    def extractor_params(
        self,
        feature_uri: str,
        searched: str,
        collection_ids: Sequence[str],
        own: ReadOnlyObject,
    ) -> ReadOnlyObject:
        """Return the parameters that the collections' vectors were made with."""
        return query_parameters(self.query.environment, feature_uri, searched, collection_ids, own)

    async def embed_text(self, feature_uri: str, text: str, params: ReadOnlyObject) -> Float32:
        """Embed text by the extractor of the collections, if that is one of texts too."""
        info = self.query.environment.extractor_of(feature_uri)
        if info is None or "text" not in info.modalities:
            raise StageError(
                f"{feature_uri} has no text extractor, so a text query cannot be embedded: "
                "send a vector (input_mode: vector) or content (input_mode: content)"
            )
        # As content, so that equal texts of one call are embedded once.
        content = "data:text/plain;base64," + base64.b64encode(text.encode()).decode()
        whole = ChunkBound(1, "default")
        (chunk,) = await self.extract(feature_uri, content, bound=whole, params=params)
        return np.asarray(chunk.vector, np.float32)

    async def run_retriever(self, retriever: str, inputs: ReadOnlyObject) -> Rows:
        """Run another retriever within this query's time."""
        return await self.run_nested(self, retriever, inputs)

    async def run_stages(self, config: JsonObject, inputs: ReadOnlyObject) -> Rows:
        """Run inline stages within this query's time."""
        return await self.run_nested(self, config, inputs)

    async def _extract_alone(
        self, extractor: str, content: str, *, max_chunks: int, params: ReadOnlyObject
    ) -> Extraction:
        services, deadline = self.query.environment.services, self.deadline
        read_object = services.read_object(self.query.environment.namespace)

        def fetch_and_extract() -> Extraction:
            media = services.fetcher.fetch(content, deadline=deadline, read_object=read_object)
            return services.extractor.extract(
                extractor,
                media.data,
                deadline=deadline,
                params=params,
                max_chunks=max_chunks,
                as_query=True,
                declared_type=media.declared_type,
            )

        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(services.media_pool, fetch_and_extract)

    async def _unsearchable(self, request: SearchRequest) -> dict[str, Any]:
        """Return what evidence says of documents that a search is meant to cover and no search
        can find."""
        environment = self.query.environment
        if request.within is not None or not environment.vectorless(request.collection_ids):
            return {}
        count, first = await self._run_stoppable(
            lambda stop: count_vectorless(
                environment.vectorless(request.collection_ids),
                request.filter,
                stop,
                environment.unsearchable,
            )
        )
        return {"unsearchable": count, "unsearchable_files": first}

    async def _note_absent(self, collection_ids: Sequence[str], filter_: Filter | None) -> None:
        """Say which fields of a filter that nothing passed are in no document at all."""
        if filter_ is None:
            return
        snapshots = self.query.environment.pin(collection_ids)
        for name in await self._run(lambda: absent_fields(snapshots, filter_)):
            warning = f"no document has the field {name!r}, which the filter names"
            if warning not in self.report.warnings:
                self.report.warnings.append(warning)

    async def _load(
        self, found: Sequence[tuple[str, Source]], columns: Sequence[str] | None = None
    ) -> list[Row]:
        columns = self.hints.get("columns") if columns is None else columns
        environment = self.query.environment
        return await self._map(lambda item: load_row(environment, *item, columns=columns), found)

    async def _map(self, convert: Callable[[S], T], items: Sequence[S]) -> list[T]:
        if len(items) <= _INLINE_ROWS:
            return [convert(item) for item in items]
        return await self._run(lambda: [convert(item) for item in items])

    async def _run_stoppable(self, work: Callable[[Callable[[], bool]], T]) -> T:
        """Run blocking work in the pool that asks now and then whether to stop."""
        cancelled, deadline = threading.Event(), self.deadline

        def stop() -> bool:
            return cancelled.is_set() or deadline.passed()

        try:
            return await self._run(lambda: work(stop))
        finally:
            cancelled.set()  # the thread sees it where nobody waits any more

    async def _run(self, work: Callable[[], T]) -> T:
        """Run blocking work in the pool. Cancelled, it goes on until its own deadline."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.query.environment.services.pool, work)
