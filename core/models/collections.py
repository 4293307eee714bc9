"""Collections: documents that are searched together, as stored and as requested."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pydantic import Field

from core.models.base import RequestModel
from core.models.namespaces import FeatureExtractorConfig, VectorConfig
from core.types import JsonObject

Engine = Literal["embedded", "s3vectors"]


@dataclass(frozen=True, slots=True)
class FeatureExtractor:
    """The extractor of a managed collection: references and queries go through the same one."""

    name: str
    version: str
    parameters: JsonObject = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """What `find_extractor` takes: `image.pdq@v2`, this version and no other."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class Collection:
    """A stored collection. Its documents and the vectors they carry are the store's to know."""

    collection_id: str
    namespace_id: str
    collection_name: str
    created_at: str
    updated_at: str
    feature_extractor: FeatureExtractor | None = None
    description: str | None = None
    metadata: JsonObject = field(default_factory=dict)
    source: JsonObject | None = None
    is_default: bool = False
    engine: Engine = "embedded"
    filterable_fields: tuple[str, ...] = ()

    def to_json(self) -> JsonObject:
        """Return the record's value."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: JsonObject) -> "Collection":
        """Read a record's value."""
        extractor = value.get("feature_extractor")
        fixed: dict[str, Any] = dict(value)
        fixed["feature_extractor"] = FeatureExtractor(**extractor) if extractor else None
        fixed["filterable_fields"] = tuple(value.get("filterable_fields", ()))
        return cls(**fixed)


class CollectionCreate(RequestModel):
    """Body of `POST /v1/collections`: with its own vectors, or with an extractor for media."""

    collection_name: str = Field(min_length=3, max_length=100)
    description: str | None = Field(None, max_length=2000)
    vector_configs: list[VectorConfig] | None = Field(
        None, max_length=64, description="Vectors that documents bring. Omitted: learnt."
    )
    feature_extractor: FeatureExtractorConfig | None = Field(
        None, description="Turns each document's `content` into vectors."
    )
    metadata: JsonObject = Field(default_factory=dict)
    source: JsonObject | None = Field(
        None, description="Kept for the contract. Documents come by upsert, or by uploading files."
    )
    engine: Engine = Field(
        "embedded",
        description="Who keeps the vectors: `embedded`, or `s3vectors` for more than fit in "
        "memory (Amazon S3 Vectors; cosine and euclidean; approximate).",
    )
    filterable_fields: list[str] = Field(
        default_factory=list,
        max_length=8,
        description="For `s3vectors`: fields by which the index itself can filter, 2 KB of them "
        "a document. By other fields only its 100 nearest candidates are filtered.",
    )


class CollectionPatch(RequestModel):
    """Body of `PATCH /v1/collections/{collection}`; vectors and extractor stay as they are."""

    collection_name: str | None = Field(None, min_length=3, max_length=100)
    description: str | None = Field(None, max_length=2000)
    metadata: JsonObject | None = None
