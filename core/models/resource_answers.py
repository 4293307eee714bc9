"""What the API answers about keys, namespaces, collections, documents and retrievers, as models."""

from typing import Literal

from pydantic import Field, RootModel

from core.models.answers import Answer, Pagination
from core.types import JsonObject


class KeyAnswer(Answer):
    """An API key without its secret."""

    key_id: str
    key_prefix: str
    name: str
    user_id: str
    description: str | None
    permissions: list[Literal["read", "write", "delete", "admin"]]
    namespaces: list[str]
    status: Literal["active", "revoked", "expired"]
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class KeyCreated(KeyAnswer):
    """A new key; `key` is shown here and never again."""

    key: str


class KeyList(Answer):
    """A user's keys."""

    results: list[KeyAnswer]
    total: int


class NamespaceAnswer(Answer):
    """A namespace."""

    namespace_id: str
    namespace_name: str
    mode: Literal["managed", "standalone"]
    default_collection_id: str
    description: str | None
    vector_configs: list[JsonObject] | None
    registered_buckets: list[str]
    created_at: str
    updated_at: str
    collection_count: int | None = None
    document_count: int | None = None


class NamespaceList(Answer):
    """Namespaces, a page of them."""

    results: list[NamespaceAnswer]
    pagination: Pagination
    total_count: int


class VectorIndex(Answer):
    """A named vector of a collection and how to search it."""

    name: str
    feature_uri: str = Field(description="What `feature_search` takes.")
    type: Literal["dense"]
    index: JsonObject


class CollectionAnswer(Answer):
    """A collection."""

    collection_id: str
    namespace_id: str
    collection_name: str
    feature_extractor: JsonObject | None
    vector_indexes: list[VectorIndex]
    description: str | None
    metadata: JsonObject
    engine: Literal["embedded", "s3vectors"]
    filterable_fields: list[str]
    created_at: str
    updated_at: str
    document_count: int | None = None


class CollectionList(Answer):
    """Collections, a page of them."""

    results: list[CollectionAnswer]
    pagination: Pagination
    total_count: int


class Document(Answer):
    """A document: its payload's fields stand at the root."""

    document_id: str
    collection_id: str
    internal: JsonObject | None = Field(None, alias="_internal")


class DocumentPage(Answer):
    """Documents, a page of them, of one version of their collection."""

    results: list[Document]
    pagination: Pagination
    snapshot: int
    total_documents: int | None = None


class DocumentsFound(Answer):
    """Documents asked for by id."""

    documents: list[Document]
    not_found: list[str]


class FailedDocument(Answer):
    """A document whose media could not be read; the others of the call are stored."""

    index: int
    document_id: str
    error: JsonObject


class Upserted(Answer):
    """What an upsert stored."""

    inserted: int
    document_ids: list[str]
    failed: list[FailedDocument]
    dropped_payload_fields: dict[str, list[str]]
    unsearchable_document_ids: list[str]
    warnings: list[str]


class Updated(Answer):
    """How many documents a batch of patches changed."""

    updated_count: int
    failed_count: int


class Deleted(Answer):
    """What a batch deletion deleted."""

    status: Literal["completed"]
    deleted_count: int
    failed_count: int
    results: list[JsonObject]


class Count(Answer):
    """How many documents a collection holds."""

    collection_id: str
    count: int


class RetrieverAnswer(Answer):
    """A retriever, one version of it."""

    retriever_id: str
    retriever_name: str
    version: int
    collection_ids: list[str]
    collection_identifiers: list[str]
    stages: list[JsonObject]
    input_schema: dict[str, JsonObject]
    budget_limits: JsonObject
    feature_dependencies: list[JsonObject]
    created_at: str
    updated_at: str


class RetrieverList(Answer):
    """Retrievers, a page of them."""

    results: list[RetrieverAnswer]
    total: int
    pagination: Pagination


class RetrieverPatched(Answer):
    """The next version of a retriever."""

    retriever: RetrieverAnswer


class RetrieverCloned(Answer):
    """A copy, and what it was copied from."""

    retriever: RetrieverAnswer
    source_retriever_id: str


class StageAnswer(Answer):
    """One stage of the catalogue."""

    stage_id: str
    description: str
    category: Literal["filter", "sort", "reduce", "apply", "enrich", "group"]
    icon: str
    parameter_schema: JsonObject


class StageList(RootModel[list[StageAnswer]]):
    """The stages there are."""


class ExtractorAnswer(Answer):
    """One extractor, and from which distances on its matches mean something."""

    feature_extractor_name: str
    version: str
    feature_uri: str
    vector_name: str
    modalities: list[str]
    metric: str
    dimension: int
    thresholds: JsonObject
    parameters: list[JsonObject]
    available: bool
    missing: str | None  # what to install or to set, if it is not available


class ExtractorList(RootModel[list[ExtractorAnswer]]):
    """The extractors there are."""
