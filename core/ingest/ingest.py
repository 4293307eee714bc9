"""Objects of the assets bucket become documents of the collection that their key names.

An event only says "look at this key". What counts is the object's state: it is looked at before
it is read, read as exactly that version, and looked at once more between reading the collection
and writing to it. A write goes through only if nobody wrote in between; so of two that look at
the same object, the one that saw the older state either writes first or not at all, whatever
the order and number of events. S3's sequencers cannot promise that: a removed object has no
document left that could remember one.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from core.catalog.collections import CollectionCatalog
from core.catalog.document_media import MediaIndexer, MediaJob
from core.catalog.namespaces import NamespaceCatalog
from core.deadline import Deadline
from core.errors import (
    ConflictError,
    InvalidRequestError,
    MediaError,
    NotFoundError,
    TrawlError,
    UnavailableError,
)
from core.ingest.changes import Change, Removal, Replacement, stored_etag
from core.ingest.keys import FOLDER, ReferenceFile, read_key
from core.ingest.objects import State, look_at, reader_of
from core.ingest.outcomes import IGNORED, UNCHANGED, Outcome, outcome_of
from core.models.collections import Collection
from core.models.namespaces import Namespace
from core.ports.blobs import BlobInfo, Blobs
from core.ports.media import MediaExtractor, MediaFetcher
from core.storage.collections import CollectionStore
from core.storage.segments import StoredDocument
from core.storage.snapshot import Snapshot

_log = logging.getLogger(__name__)

_THREADS: Final = 10
# Each holds its collection's segments meanwhile: all of a batch's at once might not fit.
_COLLECTIONS_AT_ONCE: Final = 3
# Files are read until this long before the end, so that those read in time are also written.
WRITE_RESERVE_S: Final = 15.0


class Ingest:
    """Brings documents to the state of their objects. `assets` is the bucket of the objects;
    those of more than `max_bytes` are not read."""

    def __init__(
        self,
        namespaces: NamespaceCatalog,
        collections: CollectionCatalog,
        store: CollectionStore,
        *,
        assets: Blobs,
        fetcher: MediaFetcher,
        extractor: MediaExtractor,
        max_bytes: int,
    ) -> None:
        self._namespaces = namespaces
        self._collections = collections
        self._store = store
        self._assets = assets
        self._fetcher = fetcher
        self._extractor = extractor
        self._max_bytes = max_bytes

    @property
    def bucket(self) -> str:
        """The name of the bucket whose objects are taken in."""
        return self._assets.bucket

    def run(self, keys: Sequence[str], *, deadline: Deadline) -> dict[str, Outcome]:
        """Return what became of each key, every one of them; nothing is raised for one of them.

        Each collection is written to once. What the deadline leaves undone is `later`.
        """
        misnamed: dict[str, InvalidRequestError] = {}
        outcomes: dict[str, Outcome] = {}
        groups: dict[tuple[str, str], list[ReferenceFile]] = defaultdict(list)
        for key in dict.fromkeys(keys):
            try:
                file = read_key(key)
            except InvalidRequestError as error:
                misnamed[key] = error
                continue
            if file is None:
                outcomes[key] = IGNORED
            else:
                groups[file.namespace_id, file.collection].append(file)

        # Who takes such an object away again has mended it.
        for key, state in look_at(self._assets, misnamed).items():
            outcomes[key] = UNCHANGED if state is None else outcome_of(misnamed[key])

        def run(files: list[ReferenceFile]) -> dict[str, Outcome]:
            try:
                return self._run_collection(files, deadline)
            except TrawlError as error:
                return dict.fromkeys((file.key for file in files), _not_now(error))
            except Exception as error:
                # A defect of ours must not cost the other collections their files.
                _log.exception("ingesting into %s failed", files[0].collection)
                return dict.fromkeys((file.key for file in files), _later(error))

        if groups:
            with ThreadPoolExecutor(min(_COLLECTIONS_AT_ONCE, len(groups))) as pool:
                for found in pool.map(run, groups.values()):
                    outcomes.update(found)
        return outcomes

    def _run_collection(
        self, files: Sequence[ReferenceFile], deadline: Deadline
    ) -> dict[str, Outcome]:
        deadline.check("ingesting")
        states = look_at(self._assets, (file.key for file in files))
        outcomes = {
            key: outcome_of(state) for key, state in states.items() if isinstance(state, TrawlError)
        }
        files = [file for file in files if file.key not in outcomes]
        try:
            namespace, collection = self._place(files[0]) if files else (None, None)
        except NotFoundError as error:
            # Of what is gone together with its collection nothing is left to do.
            missing = outcome_of(error)
            return outcomes | {
                file.key: UNCHANGED if states[file.key] is None else missing for file in files
            }
        if namespace is None or collection is None:
            return outcomes
        changes: list[Change] = [Removal(file) for file in files if states[file.key] is None]
        present = {file: state for file in files if isinstance(state := states[file.key], BlobInfo)}
        read = self._read(namespace, collection, present, deadline)
        for file, result in read.items():
            if isinstance(result, Outcome):
                outcomes[file.key] = result
            else:
                changes.append(result)
        return outcomes | self._write(collection, changes, deadline)

    def _place(self, file: ReferenceFile) -> tuple[Namespace, Collection]:
        namespace = self._namespaces.find(file.namespace_id)
        if namespace.namespace_id != file.namespace_id:
            # Its name is no part of what a namespace may read, nor does it stay the same.
            raise NotFoundError(
                "namespace", f"{file.namespace_id} (want its id: {_like(namespace)})"
            )
        return namespace, self._collections.find(namespace.namespace_id, file.collection)

    def _read(
        self,
        namespace: Namespace,
        collection: Collection,
        present: Mapping[ReferenceFile, BlobInfo],
        deadline: Deadline,
    ) -> dict[ReferenceFile, Outcome | Replacement]:
        """Return the new documents of what has changed, side by side, each for itself."""
        if not present:
            return {}
        snapshot = self._store.snapshot(collection.namespace_id, collection.collection_id)
        until = Deadline(deadline.at - WRITE_RESERVE_S)

        def read(file: ReferenceFile) -> Outcome | Replacement:
            info = present[file]
            if stored_etag(snapshot, file.document_id) == info.etag:
                return UNCHANGED
            try:
                if info.size > self._max_bytes:
                    raise MediaError(
                        f"the file has {info.size} bytes; at most {self._max_bytes} are read"
                    )
                uri = f"s3://{self._assets.bucket}/{file.key}"
                job = MediaJob(0, file.document_id, uri)
                reader = reader_of(self._assets, info)
                indexer = MediaIndexer(self._fetcher, self._extractor, lambda _namespace: reader)
                result = indexer.extract(namespace, collection, [job], deadline=until)[0]
                if isinstance(result, TrawlError):
                    raise result
                return Replacement.of(file, info.etag, job, result, collection)
            except TrawlError as error:
                return outcome_of(error)
            except Exception as error:
                _log.exception("reading %s failed", file.key)
                return _later(error)

        with ThreadPoolExecutor(min(_THREADS, len(present)), thread_name_prefix="ingest") as pool:
            return dict(zip(present, pool.map(read, present), strict=True))

    def _write(
        self, collection: Collection, changes: Sequence[Change], deadline: Deadline
    ) -> dict[str, Outcome]:
        """Make the changes as one write of the collection; return what became of each."""
        if not changes:
            return {}
        outcomes: dict[str, Outcome] = {}

        def edit(snapshot: Snapshot) -> tuple[list[StoredDocument], list[str]]:
            # From here on the collection must not change: the present state is looked at after
            # it was read, so whoever saw a later state writes later.
            deadline.check("writing documents")
            states = look_at(self._assets, (change.file.key for change in changes))
            outcomes.clear()
            documents: list[StoredDocument] = []
            deletes: list[str] = []
            for change in changes:
                outcome = outcomes[change.file.key] = _settle(change, states, snapshot)
                if outcome.status in ("ingested", "removed"):
                    documents += change.documents
                    deletes += change.stale(snapshot)
            return documents, deletes

        try:
            self._store.update(collection.namespace_id, collection.collection_id, edit)
        except TrawlError as error:
            if isinstance(error, InvalidRequestError) and len(changes) > 1:
                # One document that the collection refuses must not cost the others.
                alone = (self._write(collection, [change], deadline) for change in changes)
                return {key: outcome for found in alone for key, outcome in found.items()}
            return dict.fromkeys((change.file.key for change in changes), _not_now(error))
        return outcomes


def _settle(change: Change, states: Mapping[str, State], snapshot: Snapshot) -> Outcome:
    """Return whether a change is still what the object's state asks for, and still to be made."""
    state = states[change.file.key]
    if isinstance(state, TrawlError):
        return outcome_of(state)
    if (None if state is None else state.etag) != change.etag:
        return outcome_of(ConflictError(f"{change.file.key} changed while it was read"))
    if change.is_made(snapshot):
        return UNCHANGED
    return change.outcome


def _not_now(error: TrawlError) -> Outcome:
    """Return what an error means for files whose collection was there a moment ago.

    If that is gone by now, the next look says what it means for each of them: for those that are
    gone too, nothing; and another collection may have its name by then.
    """
    return Outcome("later", error) if isinstance(error, NotFoundError) else outcome_of(error)


def _later(error: Exception) -> Outcome:
    return Outcome("later", UnavailableError(f"unexpected {type(error).__name__}; see the log"))


def _like(namespace: Namespace) -> str:
    return f"{namespace.namespace_id}/{FOLDER}/…"
