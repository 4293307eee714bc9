"""The media of one call: fetched once each, and decoded once per kind of feature."""

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Hashable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from core.deadline import Deadline
from core.ports.media import (
    Chunk,
    Extraction,
    MediaExtractor,
    MediaFetcher,
    MediaInfo,
    MediaWarning,
    Place,
    ReadObject,
)
from core.rows.sampling import every_nth
from core.rows.values import canonical
from core.storage.snapshot import Ref, Snapshot
from core.types import JsonObject, ReadOnlyObject

T = TypeVar("T")

# What stands for a stored document where a content reference is expected. The random part cannot
# be guessed, so nobody else's text is ever taken for one.
_DOCUMENT_SCHEME = "data:application/x-trawl-document,"

_STORED_ONLY = MediaWarning(
    "stored_vectors",
    "the document's file is not stored, so its stored vectors were searched: altered views of it "
    "were not looked for",
)


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A fetched file: its bytes, their SHA-256, and the type that was declared for them."""

    data: bytes = field(repr=False)
    sha256: str
    declared_type: str | None


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document of a pinned snapshot; a file of several chunks has one document for each."""

    snapshot: Snapshot
    refs: tuple[Ref, ...]

    def payload(self) -> JsonObject:
        """Return the fields of the document, of several chunks those of the first."""
        return self.snapshot.payload(self.refs[0])

    def info(self) -> MediaInfo:
        """Return what is known of the file that the document was made from; "" and 0 for what
        is not."""
        internal = self.payload().get("_internal") or {}
        media = internal.get("media") or {}
        return MediaInfo(
            content_type=internal.get("mime_type") or "",
            size_bytes=internal.get("size_bytes") or 0,
            sha256=internal.get("content_hash") or "",
            **{name: media.get(name) for name in ("width", "height", "duration_ms")},
        )

    def extraction(self, name: str, max_chunks: int) -> Extraction:
        """Return the stored vectors of a name as chunks, evenly sampled beyond `max_chunks`."""
        vectors = self.snapshot.vectors_of(self.refs, [name], lambda: False)
        chunks = [
            Chunk(found[name], _place(self.snapshot.payload(ref)))
            for ref, found in zip(self.refs, vectors, strict=True)
            if name in found
        ]
        kept = tuple(chunks[at] for at in every_nth(len(chunks), max_chunks))
        if len(kept) == len(chunks):
            return Extraction(kept, self.info(), (_STORED_ONLY,))
        message = f"{len(kept)} of {len(chunks)} stored chunks were searched, evenly spread"
        sampled = MediaWarning("chunks_sampled", f"{message} (max_chunks)")
        return Extraction(kept, self.info(), (_STORED_ONLY, sampled), len(chunks))


class CallMedia:
    """Fetches and extracts for all queries of one call, which share what is the same.

    Whoever waits may give up alone: the work itself ends by the call's own deadline.
    """

    def __init__(
        self,
        fetcher: MediaFetcher,
        extractor: MediaExtractor,
        read_object: ReadObject,
        executor: Executor,
        deadline: Deadline,
    ) -> None:
        self._fetcher = fetcher
        self._extractor = extractor
        self._read_object = read_object
        self._executor = executor
        self._deadline = deadline
        self._documents: dict[str, StoredDocument] = {}
        self._files: dict[str, asyncio.Future[MediaFile]] = {}
        self._extractions: dict[Hashable, asyncio.Future[Extraction]] = {}
        self._infos: dict[str, list[MediaInfo]] = {}

    def add_document(self, document: StoredDocument) -> str:
        """Return a content reference that stands for a stored document in this call alone."""
        handle = f"{_DOCUMENT_SCHEME}{secrets.token_hex(16)}"
        self._documents[handle] = document
        return handle

    def stands_for_document(self, content: str) -> bool:
        """Say whether a reference stands for a stored document."""
        return content in self._documents

    async def file(self, content: str) -> MediaFile:
        """Return the file behind a reference; raises as `MediaFetcher.fetch` does."""

        def fetch() -> MediaFile:
            media = self._fetcher.fetch(
                content, deadline=self._deadline, read_object=self._read_object
            )
            digest = hashlib.sha256(media.data).hexdigest()
            return MediaFile(media.data, digest, media.declared_type)

        return await self._shared(self._files, content, fetch)

    async def extract(
        self, extractor: str, index: str, content: str, *, max_chunks: int, params: ReadOnlyObject
    ) -> Extraction:
        """Return a reference's chunks; raises as fetching and extracting do."""
        stored = self._documents.get(content)
        if stored is not None:
            key: Hashable = (content, index, max_chunks)
            return await self._shared(
                self._extractions, key, lambda: stored.extraction(index, max_chunks)
            )
        file = await self.file(content)

        def extract() -> Extraction:
            return self._extractor.extract(
                extractor,
                file.data,
                deadline=self._deadline,
                params=params,
                max_chunks=max_chunks,
                as_query=True,
                declared_type=file.declared_type,
            )

        key = (file.sha256, file.declared_type, extractor, canonical(dict(params)), max_chunks)
        extraction = await self._shared(self._extractions, key, extract)
        self._infos.setdefault(content, []).append(extraction.media)
        return extraction

    def infos(self, content: str) -> list[MediaInfo]:
        """Return what extractors said of a file so far."""
        stored = self._documents.get(content)
        return [stored.info()] if stored is not None else self._infos.get(content, [])

    def release(self, content: str) -> None:
        """Let go of a file's bytes; whoever asks for it again has it fetched again."""
        self._files.pop(content, None)

    def close(self) -> None:
        """Take back what no thread has begun."""
        waiting: list[asyncio.Future[Any]] = [*self._files.values(), *self._extractions.values()]
        for future in waiting:
            future.cancel()

    async def _shared(
        self, table: "dict[Any, asyncio.Future[T]]", key: Hashable, work: Callable[[], T]
    ) -> T:
        future = table.get(key)
        if future is None:
            future = asyncio.get_running_loop().run_in_executor(self._executor, work)
            # Whoever waited may be gone when it fails.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            table[key] = future
        return await asyncio.shield(future)


def _place(fields: JsonObject) -> Place | None:
    """Return where in its file a stored chunk lies; None for the whole of it."""
    place = (fields.get("_internal") or {}).get("place") or {}
    if place.get("start_ms") is None and not place.get("box"):
        return None
    return Place(place.get("start_ms"), place.get("end_ms"), place.get("box"))
