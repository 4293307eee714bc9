"""Namespaces: the tenant boundary as it is stored, and the requests that make and change one."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, StringConstraints

from core.models.base import RequestModel
from core.types import JsonObject, VectorSpec

Mode = Literal["managed", "standalone"]

# Names travel in a header and in paths, so they are plain ASCII.
_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$"
_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_. -]{0,126}[A-Za-z0-9_.-]$|^[A-Za-z0-9]$"

VectorName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$")]
BucketName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]


@dataclass(frozen=True, slots=True)
class Namespace:
    """A stored namespace. Times are ISO 8601 UTC.

    `default_collection_id` takes the documents that name no collection, and is searched by
    retrievers that name none. `registered_buckets` are buckets beside the service's own whose
    objects this namespace may read.
    """

    namespace_id: str
    namespace_name: str
    mode: Mode
    default_collection_id: str
    created_at: str
    updated_at: str
    description: str | None = None
    vector_configs: tuple[JsonObject, ...] | None = None
    feature_extractors: tuple[JsonObject, ...] = ()
    payload_indexes: tuple[JsonObject, ...] = ()
    registered_buckets: tuple[str, ...] = ()
    auto_create_indexes: bool = True
    deleting: bool = False

    def to_json(self) -> JsonObject:
        """Return the record's value, which is also most of the answer."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: JsonObject) -> "Namespace":
        """Read a record's value."""
        tuples = ("vector_configs", "feature_extractors", "payload_indexes", "registered_buckets")
        fixed: dict[str, Any] = {
            name: tuple(item) if name in tuples and item is not None else item
            for name, item in value.items()
        }
        return cls(**fixed)


class VectorConfig(RequestModel):
    """A named vector that documents bring along."""

    name: VectorName
    dimension: int = Field(
        ge=1,
        le=65_536,
        validation_alias=AliasChoices("dimension", "dimensions"),
        description="Numbers in a vector; for hamming, bits.",
    )
    metric: Literal["cosine", "dot", "dot_product", "euclidean", "hamming"] = Field(
        "cosine", validation_alias=AliasChoices("metric", "distance")
    )

    def to_spec(self) -> VectorSpec:
        """Return the vector as searches know it."""
        metric = "dot" if self.metric == "dot_product" else self.metric
        return VectorSpec(self.name, self.dimension, metric)


class FeatureExtractorConfig(RequestModel):
    """Which extractor turns a collection's media into vectors."""

    feature_extractor_name: str = Field(min_length=1, max_length=200, description="`image.pdq`")
    version: str | None = Field(None, max_length=50, description="Omitted: the newest.")
    parameters: JsonObject = Field(
        default_factory=dict, validation_alias=AliasChoices("parameters", "params")
    )


class PayloadIndex(RequestModel):
    """Accepted for the contract: every payload field is filtered through its own column here."""

    field_name: str = Field(min_length=1, max_length=500)
    type: str = "keyword"


class NamespaceCreate(RequestModel):
    """Body of `POST /v1/namespaces`."""

    namespace_name: str = Field(min_length=3, max_length=64, pattern=_NAME_PATTERN)
    namespace_id: str | None = Field(None, pattern=_ID_PATTERN, description="Default: a new id.")
    mode: Mode = "managed"
    description: str | None = Field(None, max_length=2000)
    feature_extractors: list[FeatureExtractorConfig] = Field(default_factory=list, max_length=20)
    vector_configs: list[VectorConfig] | None = Field(None, max_length=64)
    payload_indexes: list[PayloadIndex] = Field(default_factory=list, max_length=200)
    auto_create_indexes: bool = True
    registered_buckets: list[BucketName] = Field(
        default_factory=list,
        max_length=50,
        description="Buckets whose media may be read and presigned. Needs an admin key for all.",
    )


class StandaloneNamespaceCreate(RequestModel):
    """Body of `POST /v1/namespaces/standalone`: documents bring their own vectors."""

    namespace_id: str | None = Field(None, pattern=_ID_PATTERN)
    namespace_name: str | None = Field(
        None, max_length=128, pattern=_NAME_PATTERN, description="Default: the id."
    )
    description: str | None = Field(None, max_length=2000)
    vector_configs: list[VectorConfig] | None = Field(
        None, max_length=64, description="Omitted: learnt from the first documents."
    )
    auto_create_indexes: bool = True


class NamespacePatch(RequestModel):
    """Body of `PATCH /v1/namespaces/{namespace}`: what is given replaces."""

    namespace_name: str | None = Field(None, min_length=3, max_length=64, pattern=_NAME_PATTERN)
    description: str | None = Field(None, max_length=2000)
    payload_indexes: list[PayloadIndex] | None = Field(None, max_length=200)
    auto_create_indexes: bool | None = None
    registered_buckets: list[BucketName] | None = Field(None, max_length=50)
