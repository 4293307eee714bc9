"""What an object's state asks of its collection: new documents, or none."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from core.catalog.document_fields import stored_fields
from core.catalog.document_media import MediaJob, media_documents
from core.clock import utc_now
from core.ingest.keys import ReferenceFile
from core.ingest.outcomes import REMOVED, Outcome
from core.models.collections import Collection
from core.models.documents import UpsertDocument
from core.ports.media import Extraction
from core.storage.files import file_ids, find_file, mark_file
from core.storage.segments import StoredDocument
from core.storage.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Replacement:
    """The documents of one version of a file, named by its etag."""

    file: ReferenceFile
    etag: str
    documents: Sequence[StoredDocument] = field(repr=False)
    outcome: Outcome

    @classmethod
    def of(
        cls,
        file: ReferenceFile,
        etag: str,
        job: MediaJob,
        extraction: Extraction,
        collection: Collection,
    ) -> Self:
        """Return the documents that a file's extraction makes, each with the file's facts."""
        payload = {
            "path": file.path,
            "filename": file.filename,
            "size_bytes": extraction.media.size_bytes,
            "sha256": extraction.media.sha256,
        }
        document = UpsertDocument(document_id=file.document_id, source_type="bucket")
        fields = stored_fields(document, payload, utc_now())
        # By this a later event knows that the file is in already.
        fields["_internal"]["ingest"] = {"key": file.key, "etag": etag}
        documents = mark_file(
            file.document_id, media_documents(job, extraction, collection, fields, {})
        )
        warnings = tuple(warning.message for warning in extraction.warnings)
        return cls(file, etag, documents, Outcome("ingested", warnings=warnings))

    def is_made(self, snapshot: Snapshot) -> bool:
        """Say whether somebody else has stored this version already."""
        return stored_etag(snapshot, self.file.document_id) == self.etag

    def stale(self, snapshot: Snapshot) -> list[str]:
        """Return the ids that an earlier version had and this one has not."""
        kept = frozenset(document.document_id for document in self.documents)
        return [one for one in file_ids(snapshot, self.file.document_id) if one not in kept]


@dataclass(frozen=True, slots=True)
class Removal:
    """The object is gone, and all that stood for it goes."""

    file: ReferenceFile
    etag: None = None
    documents: Sequence[StoredDocument] = ()
    outcome: Outcome = REMOVED

    def is_made(self, snapshot: Snapshot) -> bool:
        """Say whether nothing stands for it any more."""
        return not self.stale(snapshot)

    def stale(self, snapshot: Snapshot) -> list[str]:
        """Return the ids of all that stood for it."""
        return file_ids(snapshot, self.file.document_id)


Change = Replacement | Removal


def stored_etag(snapshot: Snapshot, document_id: str) -> str | None:
    """Return which version of the object a collection holds, None if it holds none."""
    # Of a file of several chunks each says it.
    for _, ref in find_file(snapshot, document_id)[:1]:
        etag = snapshot.payload(ref).get("_internal", {}).get("ingest", {}).get("etag")
        return etag if isinstance(etag, str) else None
    return None
