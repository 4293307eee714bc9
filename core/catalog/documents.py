"""Documents of a collection: upserted, read, changed and deleted, each call whole or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.catalog.collections import CollectionCatalog
from core.catalog.document_fields import split_reserved, stored_fields
from core.catalog.document_files import Upsert, patch_files, read_documents, stale_ids
from core.catalog.document_media import MediaIndexer, MediaJob, media_documents
from core.clock import utc_now
from core.deadline import Deadline
from core.errors import (
    BadRequestError,
    FeaturelessError,
    InvalidRequestError,
    MissingExtraError,
    NotFoundError,
    Problem,
    TrawlError,
    describe_error,
)
from core.ids import new_id
from core.models.collections import Collection
from core.models.documents import DocumentCreate, UpsertDocument, UpsertRequest
from core.models.namespaces import Namespace
from core.ports.media import Extraction
from core.storage.collections import CollectionStore
from core.storage.files import file_ids, mark_file
from core.storage.segments import StoredDocument
from core.storage.snapshot import Snapshot
from core.types import JsonObject


@dataclass(frozen=True, slots=True)
class Written:
    """What an upsert did. `failed` holds the documents whose media could not be read."""

    document_ids: list[str]
    failed: list[JsonObject]
    dropped: dict[str, list[str]]
    unsearchable: list[str]
    warnings: list[str]

    def to_json(self) -> JsonObject:
        """Return the answer of an upsert."""
        return {
            "inserted": len(self.document_ids),
            "document_ids": self.document_ids,
            "failed": self.failed,
            "dropped_payload_fields": self.dropped,
            "unsearchable_document_ids": self.unsearchable,
            "warnings": self.warnings,
        }


class DocumentCatalog:
    """The documents of all collections. `media` is None where no media can be read."""

    def __init__(
        self,
        store: CollectionStore,
        collections: CollectionCatalog,
        media: MediaIndexer | None = None,
    ) -> None:
        self._store = store
        self._collections = collections
        self._media = media

    def upsert(
        self, namespace: Namespace, request: UpsertRequest, *, deadline: Deadline
    ) -> JsonObject:
        """Store the documents, each replacing the one of its id.

        A fault in any document (a wrong dimension, an unknown vector) refuses the whole call,
        with every fault named. A media file that cannot be read costs only its own document,
        which `failed` names.
        """
        name = request.collection_id or namespace.default_collection_id
        collection = self._collections.find(namespace.namespace_id, name)
        needed = request.options.require_features
        written, _ = self._write(
            namespace, collection, request.documents, deadline, require_features=needed
        )
        return written.to_json()

    def create(
        self,
        namespace: Namespace,
        collection_name: str,
        request: DocumentCreate,
        *,
        deadline: Deadline,
    ) -> JsonObject:
        """Store one document and return it; what its media lacks is raised, not reported."""
        collection = self._collections.find(namespace.namespace_id, collection_name)
        document = request.to_upsert(request.document_id or new_id("doc"))
        if document.content is not None and collection.feature_extractor is None:
            # Without an extractor `content` is a payload field like any other.
            payload = {**document.payload, "content": document.content}
            document = document.model_copy(update={"payload": payload, "content": None})
        written, error = self._write(namespace, collection, [document], deadline)
        if error is not None:
            raise error
        return self.get(namespace, collection.collection_id, written.document_ids[0])

    def get(
        self,
        namespace: Namespace,
        collection_name: str,
        document_id: str,
        *,
        return_vectors: bool = False,
    ) -> JsonObject:
        """Return one document; `NotFoundError`."""
        collection = self._collections.find(namespace.namespace_id, collection_name)
        snapshot = self.snapshot(collection)
        found = read_documents(snapshot, [document_id], return_vectors=return_vectors)
        if document_id not in found:
            raise NotFoundError("document", document_id)
        return found[document_id]

    def get_many(
        self,
        namespace: Namespace,
        document_ids: Sequence[str],
        collection_name: str | None = None,
        *,
        return_vectors: bool = False,
    ) -> JsonObject:
        """Return the documents of these ids, in their order, and the ids not found.

        Without a collection all of the namespace's are looked through, and an id that stands in
        several gives several documents.
        """
        if collection_name is None:
            collections = self._collections.all(namespace.namespace_id)
        else:
            collections = [self._collections.find(namespace.namespace_id, collection_name)]
        snapshots = [self.snapshot(collection) for collection in collections]
        documents: list[JsonObject] = []
        missing: list[str] = []
        wanted = list(dict.fromkeys(document_ids))
        found = [
            read_documents(snapshot, wanted, return_vectors=return_vectors)
            for snapshot in snapshots
        ]
        for document_id in wanted:
            present = [of_one[document_id] for of_one in found if document_id in of_one]
            documents += present
            if not present:
                missing.append(document_id)
        return {"documents": documents, "not_found": missing}

    def patch(
        self, namespace: Namespace, collection_name: str, document_id: str, patch: JsonObject
    ) -> JsonObject:
        """Change one document by a JSON merge patch (RFC 7396) and return it.

        Objects merge, null removes, everything else replaces. `vectors` replaces the vectors it
        names, `metadata` merges into `_internal.metadata`. Reserved names may be sent back as
        they were read, and not otherwise.
        """
        if not patch:
            raise BadRequestError("an empty patch changes nothing")
        collection = self._collections.find(namespace.namespace_id, collection_name)
        self._patch_all(collection, [(document_id, patch)])
        return self.get(namespace, collection.collection_id, document_id)

    def patch_many(
        self, namespace: Namespace, collection_name: str, patches: Sequence[tuple[str, JsonObject]]
    ) -> int:
        """Apply several patches as one write; return how many documents changed."""
        collection = self._collections.find(namespace.namespace_id, collection_name)
        self._patch_all(collection, patches)
        return len(patches)

    def delete(self, namespace: Namespace, collection_name: str, document_id: str) -> None:
        """Delete one document, with all chunks of its file; `NotFoundError` if there is none."""
        collection = self._collections.find(namespace.namespace_id, collection_name)
        if not self._delete(collection, [document_id]):
            raise NotFoundError("document", document_id)

    def delete_many(
        self, namespace: Namespace, collection_name: str, document_ids: Sequence[str]
    ) -> list[tuple[str, bool]]:
        """Delete documents in one write; say of each id whether it was there."""
        collection = self._collections.find(namespace.namespace_id, collection_name)
        wanted = list(dict.fromkeys(document_ids))
        present = self._delete(collection, wanted)
        return [(one, one in present) for one in wanted]

    def snapshot(self, collection: Collection) -> Snapshot:
        """Return the present version of a collection's documents."""
        return self._store.snapshot(collection.namespace_id, collection.collection_id)

    def find_collection(self, namespace: Namespace, id_or_name: str) -> Collection:
        """Return a collection of the namespace; `NotFoundError`."""
        return self._collections.find(namespace.namespace_id, id_or_name)

    def _delete(self, collection: Collection, wanted: Sequence[str]) -> set[str]:
        """Delete documents and files in one write; return which of these ids there were."""
        present: set[str] = set()

        def edit(snapshot: Snapshot) -> tuple[list[StoredDocument], list[str]]:
            found = {one: file_ids(snapshot, one) for one in wanted}
            present.clear()
            present.update(one for one, ids in found.items() if ids)
            return [], sorted({one for ids in found.values() for one in ids})

        self._store.update(collection.namespace_id, collection.collection_id, edit)
        return present

    def _write(
        self,
        namespace: Namespace,
        collection: Collection,
        documents: Sequence[UpsertDocument],
        deadline: Deadline,
        *,
        require_features: bool = False,
    ) -> tuple[Written, TrawlError | None]:
        """Store documents; return what was done and the first media fault."""
        place = (collection.namespace_id, collection.collection_id)
        _check_unique(documents)
        jobs = [
            MediaJob(index, document.document_id, document.content)
            for index, document in enumerate(documents)
            if document.content is not None
        ]
        names = self._vector_names(place, documents)
        prepared, dropped = _prepare(documents, names)
        if not jobs and collection.feature_extractor is None:
            # Without an extractor there are no files of several chunks, so nothing to look for.
            self._store.upsert(*place, prepared)
            alone = [Upsert(index, one.document_id, [one]) for index, one in enumerate(prepared)]
            return _written(alone, dropped), None
        extractions: dict[int, Extraction | TrawlError] = {}
        if jobs:
            if self._media is None:
                raise MissingExtraError("media cannot be read here: install the extra [media]")
            extractions = self._media.extract(namespace, collection, jobs, deadline=deadline)
        if require_features:
            extractions = {index: _refuse_bare(found) for index, found in extractions.items()}
        return self._write_media(collection, jobs, extractions, prepared, dropped)

    def _write_media(
        self,
        collection: Collection,
        jobs: Sequence[MediaJob],
        extractions: dict[int, Extraction | TrawlError],
        prepared: Sequence[StoredDocument],
        dropped: dict[str, list[str]],
    ) -> tuple[Written, TrawlError | None]:
        by_index = {job.index: job for job in jobs}
        upserts: list[Upsert] = []
        failed: list[JsonObject] = []
        warnings: list[str] = []
        first: TrawlError | None = None
        for index, document in enumerate(prepared):
            result = extractions.get(index)
            if result is None:
                upserts.append(Upsert(index, document.document_id, [document]))
            elif isinstance(result, TrawlError):
                first = first or result
                body = {"index": index, "document_id": document.document_id}
                failed.append({**body, "error": describe_error(result)})
            else:
                chunks = media_documents(
                    by_index[index], result, collection, document.fields, dict(document.vectors)
                )
                root = document.document_id
                upserts.append(Upsert(index, root, mark_file(root, chunks)))
                warnings += [f"{document.document_id}: {w.message}" for w in result.warnings]

        def edit(snapshot: Snapshot) -> tuple[list[StoredDocument], list[str]]:
            stored = [document for upsert in upserts for document in upsert.stored]
            return stored, stale_ids(snapshot, upserts)

        if upserts:
            self._store.update(collection.namespace_id, collection.collection_id, edit)
        return _written(upserts, dropped, failed, warnings), first

    def _vector_names(
        self, place: tuple[str, str], documents: Sequence[UpsertDocument]
    ) -> frozenset[str]:
        """Return every vector name that these documents have or the collection knows."""
        known = frozenset(self._store.describe(*place).specs)
        return known.union(*(document.vectors for document in documents))

    def _patch_all(self, collection: Collection, patches: Sequence[tuple[str, JsonObject]]) -> None:
        now = utc_now()

        def edit(snapshot: Snapshot) -> tuple[list[StoredDocument], list[str]]:
            return patch_files(snapshot, collection, patches, now), []

        self._store.update(collection.namespace_id, collection.collection_id, edit)


def _check_unique(documents: Sequence[UpsertDocument]) -> None:
    first: dict[str, int] = {}
    problems = []
    for index, document in enumerate(documents):
        earlier = first.setdefault(document.document_id, index)
        if earlier != index:
            message = f"documents {earlier} and {index} have the same id"
            problems.append(Problem(f"documents.{index}.document_id", message, "duplicate_id"))
    if problems:
        raise InvalidRequestError(f"{problems[0].path}: {problems[0].message}", problems)


def _refuse_bare(found: Extraction | TrawlError) -> Extraction | TrawlError:
    """Return what was extracted, as an error if that is nothing."""
    if isinstance(found, TrawlError) or found.chunks:
        return found
    told = "; ".join(w.message.removesuffix(": nothing was compared") for w in found.warnings)
    return FeaturelessError(told or "there is nothing in it to compare")


def _prepare(
    documents: Sequence[UpsertDocument], vector_names: frozenset[str]
) -> tuple[list[StoredDocument], dict[str, list[str]]]:
    now = utc_now()
    prepared: list[StoredDocument] = []
    dropped: dict[str, list[str]] = {}
    for document in documents:
        payload, names = split_reserved(document.payload, vector_names)
        if names:
            dropped[document.document_id] = names
        fields = stored_fields(document, payload, now)
        prepared.append(StoredDocument(document.document_id, fields, document.vectors))
    return prepared, dropped


def _written(
    upserts: Sequence[Upsert],
    dropped: dict[str, list[str]],
    failed: list[JsonObject] | None = None,
    warnings: list[str] | None = None,
) -> Written:
    bare = [one for one in upserts if not any(document.vectors for document in one.stored)]
    return Written(
        document_ids=[one.document_id for one in upserts],
        failed=failed or [],
        dropped=dropped,
        unsearchable=[one.document_id for one in bare],
        warnings=warnings or [],
    )
