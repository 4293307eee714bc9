"""Media of documents at indexing: fetched, extracted, and made into one document per chunk."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from core.deadline import Deadline
from core.errors import InvalidRequestError, Problem, TrawlError
from core.media.extractor_info import ExtractorInfo
from core.media.extractors import find_extractor
from core.models.collections import Collection, FeatureExtractor
from core.models.namespaces import Namespace
from core.ports.media import Chunk, Extraction, MediaExtractor, MediaFetcher, ReadObject
from core.storage.segments import StoredDocument
from core.types import JsonObject

# Fetching waits for the network; the extraction's own processes bound the work.
_THREADS: Final = 4


@dataclass(frozen=True, slots=True)
class MediaJob:
    """One document's media: `index` is its place in the request."""

    index: int
    document_id: str
    content: str = field(repr=False)


class MediaIndexer:
    """Turns the `content` of documents into chunks. `reader` says what a namespace may read."""

    def __init__(
        self,
        fetcher: MediaFetcher,
        extractor: MediaExtractor,
        reader: Callable[[Namespace], ReadObject],
    ) -> None:
        self._fetcher = fetcher
        self._extractor = extractor
        self._reader = reader

    def extract(
        self,
        namespace: Namespace,
        collection: Collection,
        jobs: Sequence[MediaJob],
        *,
        deadline: Deadline,
    ) -> dict[int, Extraction | TrawlError]:
        """Return, by the jobs' indexes, what each file holds or why it cannot be read.

        A content value that is no reference at all raises `InvalidRequestError`, every one named.
        """
        if collection.feature_extractor is None:
            raise InvalidRequestError(
                f"collection {collection.collection_name!r} has no feature_extractor: "
                "send vectors instead of content",
                [
                    Problem(f"documents.{job.index}.content", "the collection has no extractor")
                    for job in jobs
                ],
            )
        extractor, read = collection.feature_extractor, self._reader(namespace)

        def run(job: MediaJob) -> Extraction | TrawlError:
            try:
                return self._extract_one(extractor, job, read, deadline)
            except TrawlError as error:
                return error

        with ThreadPoolExecutor(min(_THREADS, len(jobs))) as pool:
            results = dict(zip((job.index for job in jobs), pool.map(run, jobs), strict=True))
        problems = [
            Problem(f"documents.{index}.content", result.message, result.code)
            for index, result in results.items()
            if isinstance(result, InvalidRequestError)
        ]
        if problems:
            raise InvalidRequestError(f"{problems[0].path}: {problems[0].message}", problems)
        return results

    def _extract_one(
        self, extractor: FeatureExtractor, job: MediaJob, read: ReadObject, deadline: Deadline
    ) -> Extraction:
        media = self._fetcher.fetch(job.content, deadline=deadline, read_object=read)
        return self._extractor.extract(
            extractor.reference,
            media.data,
            deadline=deadline,
            params=extractor.parameters or None,
            declared_type=media.declared_type,
        )


def media_documents(
    job: MediaJob,
    extraction: Extraction,
    collection: Collection,
    fields: JsonObject,
    vectors: dict[str, Any],
) -> list[StoredDocument]:
    """Return one document per chunk, or a single one without its vector if there is none.

    One chunk keeps the document's id; of several, chunk n is `{id}#{n}`. All of them carry
    `_internal.lineage.root_object_id`, and where in the file they lie in `_internal.place`. The
    views of one place are vectors of one document.
    """
    if collection.feature_extractor is None:
        raise InvalidRequestError("the collection has no feature_extractor")
    extractor = collection.feature_extractor
    info = find_extractor(extractor.reference).sized(extractor.parameters)
    fields = _with_media(job, extraction, fields)
    if not extraction.chunks:
        return [StoredDocument(job.document_id, fields, vectors)]
    places = _places(info, extraction.chunks)
    ids = [job.document_id]
    if len(places) > 1:
        ids = [f"{job.document_id}#{n}" for n in range(len(places))]
    return [
        StoredDocument(
            document_id,
            _with_place(fields, chunks[0]),
            {**vectors, **_vectors(info, chunks)},
        )
        for document_id, chunks in zip(ids, places, strict=True)
    ]


def _vectors(info: ExtractorInfo, chunks: Sequence[Chunk]) -> dict[str, Any]:
    """Return one document's vectors, and the places of its picture where there are any."""
    vectors: dict[str, Any] = {info.chunk_vector(chunk.variant): chunk.vector for chunk in chunks}
    for chunk in chunks:
        if info.verification is not None and chunk.keypoints is not None:
            vectors[info.verification.stored] = chunk.keypoints
    return vectors


def _places(info: ExtractorInfo, chunks: Sequence[Chunk]) -> list[list[Chunk]]:
    """Return the chunks that are one document each: one chunk, or all views of one place."""
    places: list[list[Chunk]] = []
    for chunk in chunks:
        is_view = places and chunk.variant in info.views and chunk.place == places[-1][0].place
        if is_view:
            places[-1].append(chunk)
        else:
            places.append([chunk])
    return places


def _with_media(job: MediaJob, extraction: Extraction, fields: JsonObject) -> JsonObject:
    media = extraction.media
    internal = dict(fields["_internal"])
    internal["lineage"] = {"root_object_id": job.document_id, **internal.get("lineage", {})}
    internal["mime_type"] = media.content_type
    internal["modality"] = media.content_type.split("/", 1)[0]
    internal["size_bytes"] = media.size_bytes
    internal.setdefault("content_hash", media.sha256)
    measures = {"width": media.width, "height": media.height, "duration_ms": media.duration_ms}
    internal["media"] = {name: value for name, value in measures.items() if value is not None}
    if job.content.startswith(("https://", "s3://")) and "document_blobs" not in fields:
        blob = {
            "field": "content",
            "role": "source",
            "type": internal["modality"],
            "url": job.content,
            "content_type": media.content_type,
            "size_bytes": media.size_bytes,
        }
        fields = {**fields, "document_blobs": [blob]}
    return {**fields, "_internal": internal}


def _with_place(fields: JsonObject, chunk: Chunk) -> JsonObject:
    place: JsonObject = {}
    if chunk.place is not None:
        place = {
            "start_ms": chunk.place.start_ms,
            "end_ms": chunk.place.end_ms,
            "box": list(chunk.place.box) if chunk.place.box else None,
        }
    found = {name: value for name, value in place.items() if value is not None}
    if chunk.quality is not None:
        found["quality"] = chunk.quality
    if not found:
        return fields
    return {**fields, "_internal": {**fields["_internal"], "place": found}}
