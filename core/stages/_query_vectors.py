"""From a search's query to the vectors it searches with, whatever its input mode."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from core.arrays import Float32, UInt8
from core.errors import InvalidRequestError, Problem, StageError
from core.hits import ChunkBound, QueryChunk
from core.models.queries import QueryInput, SearchEntry
from core.rows.values import canonical
from core.stage import StageContext
from core.types import JsonValue, ReadOnlyObject, VectorSpec

_CONTENT_PREFIXES = ("http://", "https://", "s3://", "data:")


@dataclass(frozen=True, slots=True)
class Question:
    """A query as vectors, (m, width), and for content the chunks that they come from."""

    vectors: Float32 | UInt8
    chunks: tuple[QueryChunk, ...] = ()


@dataclass(frozen=True, slots=True)
class Preparation:
    """How content is to be extracted: by which feature's extractor, and into how many chunks."""

    feature_uri: str
    bound: ChunkBound
    params: ReadOnlyObject


def mode_and_value(query: QueryInput) -> tuple[str, JsonValue]:
    """Return the query's mode, decided by its value where it is auto, and that value."""
    if query.input_mode == "auto":
        return _mode_of(query.value), query.value
    if query.input_mode == "document":
        return "document", query.document_ref
    value = text_of(query)
    if value is None and query.content is not None:
        value = next(iter(query.content.values()))
    return query.input_mode, value


def text_of(query: QueryInput) -> JsonValue:
    """Return the query's value, under whichever of its names it was given."""
    return query.text if query.value is None else query.value


def _mode_of(value: JsonValue) -> str:
    if isinstance(value, list):
        return "vector"
    if isinstance(value, Mapping):
        return "document"
    if isinstance(value, str) and value.lower().startswith(_CONTENT_PREFIXES):
        return "content"
    return "text"


def is_empty(mode: str, value: JsonValue) -> bool:
    """Say whether a rendered query asks for nothing, which `on_empty` decides about."""
    if isinstance(value, str):
        return not value.strip()
    if mode == "document" and isinstance(value, Mapping):
        return value.get("collection_id") is None or value.get("document_id") is None
    return value is None or value in ([], {})


async def ask(
    entry: SearchEntry, spec: VectorSpec, path: str, prepare: Preparation, ctx: StageContext
) -> Question | None:
    """Return the query's vectors, None if the query is empty and `on_empty` says to skip it.

    Raises `InvalidRequestError` for what is no such query, and what extracting, embedding or
    reading a stored vector raises.
    """
    mode, value = mode_and_value(entry.query)
    if is_empty(mode, value):
        return _question_of_nothing(entry, spec, path, ctx)
    if mode == "vector":
        return Question(read_vector(value, spec, f"{path}.value")[None, :])
    if mode == "document":
        return Question((await _document_vector(entry, value, path, ctx))[None, :])
    if not isinstance(value, str):
        raise invalid(path, f"a {mode} query takes a string, not {type(value).__name__}")
    if mode == "text":
        return Question((await ctx.embed_text(entry.feature_uri, value, prepare.params))[None, :])
    return await _content_question(entry, spec, value, prepare, ctx)


def _question_of_nothing(
    entry: SearchEntry, spec: VectorSpec, path: str, ctx: StageContext
) -> Question | None:
    if entry.on_empty == "error":
        raise invalid(path, "the query is empty; set on_empty to 'skip' to leave it out")
    if entry.on_empty == "skip":
        return None
    return Question(_random_vector(entry, spec, ctx.inputs)[None, :])


async def _content_question(
    entry: SearchEntry, spec: VectorSpec, content: str, prepare: Preparation, ctx: StageContext
) -> Question:
    chunks = await ctx.extract(
        prepare.feature_uri, content, bound=prepare.bound, params=prepare.params
    )
    width = spec.dimension // 8 if spec.metric == "hamming" else spec.dimension
    if any(chunk.vector.shape != (width,) for chunk in chunks):
        raise StageError(f"{prepare.feature_uri} makes no vectors for {entry.feature_uri}")
    if not chunks:
        return Question(np.empty((0, width), np.float32))
    vectors: Float32 | UInt8 = np.stack([chunk.vector for chunk in chunks])  # type: ignore[assignment]  # one dtype per feature
    return Question(vectors, tuple(chunks))


async def _document_vector(
    entry: SearchEntry, ref: JsonValue, path: str, ctx: StageContext
) -> Float32 | UInt8:
    names = ("collection_id", "document_id")
    if not isinstance(ref, Mapping) or not all(isinstance(ref.get(n), str) for n in names):
        raise invalid(path, "a document query takes an object of collection_id and document_id")
    return await ctx.stored_vector(ref["collection_id"], ref["document_id"], entry.feature_uri)


def read_vector(value: JsonValue, spec: VectorSpec, path: str) -> Float32 | UInt8:
    """Return a vector of the index's shape: (dimension,) float32, or (dimension / 8,) packed bits.

    A binary vector may be written as hex text, as 0s and 1s, or as bytes. Raises
    `InvalidRequestError` naming `path`.
    """
    if spec.metric == "hamming":
        return _read_bits(value, spec, path)
    array = _numbers(value, path)
    if array.ndim != 1:
        raise invalid(path, "a vector is one list of numbers; several vectors are not supported")
    if array.shape[0] != spec.dimension:
        raise _wrong_dimension(array.shape[0], spec, path)
    with np.errstate(over="ignore"):
        vector = array.astype(np.float32)
    if not np.isfinite(vector).all():
        position = int(np.argmin(np.isfinite(vector)))
        raise invalid(f"{path}.{position}", "not a finite number, or too large for float32")
    if spec.metric == "cosine" and not vector.any():
        raise invalid(path, "a vector of zeros has no direction, so cosine cannot compare it")
    return vector


def _numbers(value: JsonValue, path: str) -> np.ndarray[Any, Any]:
    if not isinstance(value, list):
        raise invalid(path, f"a vector is a list of numbers, not {type(value).__name__}")
    try:
        array = np.asarray(value)
    except ValueError:
        raise invalid(path, "a vector is one list of numbers") from None
    if array.dtype.kind not in "iuf":
        for position, item in enumerate(value):
            if isinstance(item, bool) or not isinstance(item, int | float):
                raise invalid(f"{path}.{position}", f"{type(item).__name__} is not a number")
        raise invalid(path, "a number is too large for float32")
    return array


def _read_bits(value: JsonValue, spec: VectorSpec, path: str) -> UInt8:
    width = spec.dimension // 8
    if isinstance(value, str):
        try:
            packed = np.frombuffer(bytes.fromhex(value), np.uint8)
        except ValueError:
            raise invalid(path, "a binary vector as text is hexadecimal") from None
        if packed.shape[0] != width:
            raise _wrong_dimension(packed.shape[0] * 8, spec, path)
        return packed
    array = _numbers(value, path)
    bits = array.shape[0] == spec.dimension
    if array.ndim != 1 or (not bits and array.shape[0] != width):
        raise _wrong_dimension(array.shape[0], spec, path)
    if array.dtype.kind == "f" or array.min() < 0 or array.max() > (1 if bits else 255):
        raise invalid(path, f"{spec.dimension} bits of 0 and 1, or {width} bytes of 0 to 255")
    return np.packbits(array.astype(np.uint8)) if bits else array.astype(np.uint8)


def _random_vector(entry: SearchEntry, spec: VectorSpec, inputs: ReadOnlyObject) -> Float32 | UInt8:
    """Return a vector drawn from the inputs' own digest: the same query gets the same answer."""
    seed = blake2b(f"{entry.feature_uri} {canonical(dict(inputs))}".encode(), digest_size=8)
    generator = np.random.default_rng(int.from_bytes(seed.digest()))
    if spec.metric == "hamming":
        return generator.integers(0, 256, spec.dimension // 8, np.uint8)
    return generator.standard_normal(spec.dimension, np.float32)


def _wrong_dimension(got: int, spec: VectorSpec, path: str) -> InvalidRequestError:
    unit = "bits" if spec.metric == "hamming" else "numbers"
    return invalid(path, f"{spec.name} takes {spec.dimension} {unit}, not {got}")


def invalid(path: str, message: str) -> InvalidRequestError:
    """Return the error of one parameter, its path in the message too."""
    return InvalidRequestError(f"{path}: {message}", [Problem(path, message)])
