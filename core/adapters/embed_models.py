"""What each embedding model is asked, and how its answer is read. Pure: nothing is sent here.

Shapes as published: Amazon's user guides for Titan Multimodal Embeddings G1, for Nova's embeddings
schema and for Cohere Embed 3 and 4 on Bedrock; the last one is ours, see `docs/embedders.md`.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import orjson

from core.arrays import Float32
from core.errors import MediaError, TrawlError
from core.types import JsonObject

Kind = Literal["text", "image", "audio", "video"]
_JPEG_PNG: Final = frozenset({"image/jpeg", "image/png"})


@dataclass(frozen=True, slots=True)
class Input:
    """One text or file to embed, as UTF-8 or as it is."""

    kind: Kind
    data: bytes = field(repr=False)
    content_type: str

    @property
    def text(self) -> str:
        """The text."""
        return self.data.decode()

    @property
    def base64(self) -> str:
        """The bytes as base64."""
        return base64.b64encode(self.data).decode()


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one request takes: so many inputs, files of these types, so many bytes each."""

    inputs: int
    file_bytes: int
    text_chars: int
    types: frozenset[str] | None = None  # None: whatever the extractor's modalities are


def capacity_of(extractor: str, values: Mapping[str, Any], kind: Kind) -> Capacity:
    """Return what one request to an extractor's model takes of inputs of one kind."""
    if extractor == "bedrock.titan-multimodal":
        # 128 tokens of text; what is longer is refused by the model itself.
        return Capacity(1, 15_000_000, 2_000, _JPEG_PNG)
    if extractor == "bedrock.nova-multimodal":
        types = _JPEG_PNG | {"image/gif", "image/webp"}
        return Capacity(1, 15_000_000, 8_192, types)
    if extractor == "bedrock.cohere":
        return Capacity(96 if kind == "text" else 1, 5_000_000, 2_048, _JPEG_PNG)
    # A SageMaker endpoint takes 6 MB a call; base64 adds a third.
    most = 4_000_000 if extractor == "sagemaker.endpoint" else 15_000_000
    return Capacity(int(values["batch"]), most, 100_000)


def request_body(
    extractor: str, values: Mapping[str, Any], inputs: Sequence[Input], *, as_query: bool
) -> bytes:
    """Return the body of one request; the inputs are of one kind, no more than fit."""
    if extractor == "bedrock.titan-multimodal":
        return orjson.dumps(_titan(values, inputs[0]))
    if extractor == "bedrock.nova-multimodal":
        return orjson.dumps(_nova(values, inputs[0], as_query=as_query))
    if extractor == "bedrock.cohere":
        return orjson.dumps(_cohere(values, inputs, as_query=as_query))
    return orjson.dumps(_ours(values, inputs, as_query=as_query))


def read_vectors(extractor: str, raw: bytes, count: int, dimension: int) -> list[Float32]:
    """Return the vectors in an answer, (dimension,) float32 and not all zero.

    Raises `TrawlError` for an answer of another form or length, `MediaError` for a vector that has
    no direction: cosine cannot compare it.
    """
    try:
        answer = orjson.loads(raw)
        found = _vectors(extractor, answer)
        with np.errstate(over="ignore"):
            vectors = [np.asarray(each, np.float64).astype(np.float32) for each in found]
    except (orjson.JSONDecodeError, LookupError, TypeError, ValueError) as error:
        raise TrawlError(f"{extractor} answered something that is no embedding") from error
    if len(vectors) != count:
        raise TrawlError(f"{extractor} answered {len(vectors)} vectors for {count} inputs")
    for vector in vectors:
        if vector.shape != (dimension,):
            raise TrawlError(
                f"{extractor} answered vectors of shape {vector.shape}; the collection's have "
                f"{dimension} numbers"
            )
        if not np.isfinite(vector).all():
            raise TrawlError(f"{extractor} answered numbers that are not finite")
        if not vector.any():
            raise MediaError(f"{extractor} has only zeros for this content: nothing to compare")
    return vectors


def _titan(values: Mapping[str, Any], one: Input) -> JsonObject:
    given = {"inputText": one.text} if one.kind == "text" else {"inputImage": one.base64}
    return {**given, "embeddingConfig": {"outputEmbeddingLength": values["dimension"]}}


def _nova(values: Mapping[str, Any], one: Input, *, as_query: bool) -> JsonObject:
    params: JsonObject = {
        "embeddingPurpose": "GENERIC_RETRIEVAL" if as_query else "GENERIC_INDEX",
        "embeddingDimension": values["dimension"],
    }
    if one.kind == "text":
        params["text"] = {"truncationMode": "NONE", "value": one.text}
    else:
        params["image"] = {
            "format": one.content_type.partition("/")[2],
            "source": {"bytes": one.base64},
        }
    return {
        "schemaVersion": "nova-multimodal-embed-v1",
        "taskType": "SINGLE_EMBEDDING",
        "singleEmbeddingParams": params,
    }


def _cohere(values: Mapping[str, Any], inputs: Sequence[Input], *, as_query: bool) -> JsonObject:
    newer = "embed-v4" in values["model"]
    body: JsonObject = {
        "input_type": "search_query" if as_query else "search_document",
        "embedding_types": ["float"],
        "truncate": "NONE",
    }
    if newer:
        body["output_dimension"] = values["dimension"]
    if inputs[0].kind == "text":
        return {**body, "texts": [each.text for each in inputs]}
    if not newer:
        body["input_type"] = "image"
    return {**body, "images": [f"data:{i.content_type};base64,{i.base64}" for i in inputs]}


def _ours(values: Mapping[str, Any], inputs: Sequence[Input], *, as_query: bool) -> JsonObject:
    body: JsonObject = {
        "purpose": "query" if as_query else "document",
        "dimension": values["dimension"],
        "inputs": [
            {"type": "text", "text": each.text}
            if each.kind == "text"
            else {"type": each.kind, "content_type": each.content_type, "base64": each.base64}
            for each in inputs
        ],
    }
    model = values.get("model")
    return body if model is None else {**body, "model": model}


def _vectors(extractor: str, answer: Any) -> list[Any]:
    if extractor == "bedrock.titan-multimodal":
        return [answer["embedding"]]
    if extractor == "bedrock.nova-multimodal":
        return [each["embedding"] for each in answer["embeddings"]]
    found = answer["embeddings"]
    if extractor == "bedrock.cohere" and isinstance(found, dict):
        found = found["float"]
    if not isinstance(found, list):
        raise TypeError("no list of vectors")
    return found
