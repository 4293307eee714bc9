"""Documents as they arrive: upserts, single creations, and what is asked of a collection's."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from core.models.base import RequestModel
from core.models.listing import ListRequest
from core.types import JsonObject, JsonValue

MAX_DOCUMENTS = 1000

# Ids stand in paths and in answers: no slash-free rule, but nothing invisible.
DocumentId = Annotated[
    str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")
]


class Lineage(RequestModel):
    """Where a document comes from; kept under `_internal.lineage`."""

    source_type: Literal["bucket", "collection", "direct_upsert", "signal"] | None = None
    root_object_id: str | None = Field(None, max_length=500)
    root_bucket_id: str | None = Field(None, max_length=500)
    source_object_id: str | None = Field(None, max_length=500)
    source_document_id: str | None = Field(None, max_length=500)
    source_collection_id: str | None = Field(None, max_length=500)
    lineage_path: str | None = Field(None, max_length=2000)
    lineage_chain: list[JsonObject] | None = Field(None, max_length=100)
    content_hash: str | None = Field(None, max_length=200)


class UpsertDocument(Lineage):
    """One document of an upsert; the same id replaces the whole document."""

    document_id: DocumentId
    vectors: dict[str, Any] = Field(
        default_factory=dict,
        description="Name to numbers; for hamming, hex digits or a list of 0 and 1.",
    )
    payload: JsonObject = Field(default_factory=dict)
    metadata: JsonObject | None = Field(None, description="Kept under `_internal.metadata`.")
    content: str | None = Field(
        None,
        min_length=1,
        description="Media for the collection's extractor: a data URI, base64, https or s3://.",
    )


class UpsertOptions(RequestModel):
    """The first two are accepted for the contract: every acknowledged write is seen by the next
    read anyway."""

    write_token: bool = False
    idempotency_key: str | None = Field(None, max_length=200)
    require_features: bool = Field(
        False,
        description="Whether a document whose media has nothing to compare fails, and what was "
        "stored under its id stays. Otherwise it is stored, and keeps scans from saying clear.",
    )


class UpsertRequest(RequestModel):
    """Body of `POST /v1/namespaces/{namespace}/documents/upsert`."""

    documents: Annotated[list[UpsertDocument], Field(min_length=1, max_length=MAX_DOCUMENTS)]
    collection_id: str | None = Field(
        None, max_length=200, description="Id or name; default: the namespace's own collection."
    )
    options: UpsertOptions = UpsertOptions()


class DocumentCreate(RequestModel):
    """Body of `POST /v1/collections/{collection}/documents`.

    Other keys than these are the document's payload, as the contract has it: here alone a key
    that is not known is data and not a mistake.
    """

    model_config = RequestModel.model_config | {"extra": "allow"}

    document_id: DocumentId | None = Field(None, description="Default: a new id.")
    vectors: dict[str, Any] = Field(default_factory=dict)
    payload: JsonObject = Field(default_factory=dict)
    metadata: JsonObject | None = None
    content: str | None = Field(None, min_length=1)
    root_object_id: str | None = Field(None, max_length=500)

    def to_upsert(self, document_id: str) -> UpsertDocument:
        """Return the same document as an upsert has it."""
        return UpsertDocument(
            document_id=document_id,
            vectors=self.vectors,
            payload={**(self.model_extra or {}), **self.payload},
            metadata=self.metadata,
            content=self.content,
            root_object_id=self.root_object_id,
        )


class DocumentList(ListRequest):
    """Body of `POST /v1/collections/{collection}/documents/list`."""

    search: str | None = Field(None, max_length=500, description="Part of any text field.")
    select: list[str] | None = Field(
        None, max_length=200, description="Payload fields to return (dot paths); ids always are."
    )
    return_vectors: bool = False
    return_presigned_urls: bool = False
    include_total: bool = False


class DocumentIds(RequestModel):
    """Body of `POST /v1/documents/batch-get`."""

    document_ids: Annotated[list[DocumentId], Field(min_length=1, max_length=MAX_DOCUMENTS)]
    collection_id: str | None = Field(None, max_length=200, description="Default: look in all.")
    return_presigned_urls: bool = False
    return_vectors: bool = False


class DocumentDelete(RequestModel):
    """Body of `DELETE /v1/collections/{collection}/documents/batch`: ids or filters, not both."""

    document_ids: Annotated[list[DocumentId], Field(min_length=1, max_length=MAX_DOCUMENTS)] | (
        None
    ) = None
    filters: JsonValue = None
    reason: str | None = Field(None, max_length=500, description="Accepted, kept nowhere.")

    @model_validator(mode="after")
    def _one_of(self) -> "DocumentDelete":
        if (self.document_ids is None) == (not self.filters):
            raise ValueError("give document_ids or filters: one of them, not both")
        return self


class DocumentUpdate(RequestModel):
    """One change of a batch."""

    document_id: DocumentId
    update_data: JsonObject


class DocumentUpdates(RequestModel):
    """Body of `POST /v1/collections/{collection}/documents/batch`: all of them or none."""

    updates: Annotated[list[DocumentUpdate], Field(min_length=1, max_length=MAX_DOCUMENTS)]
