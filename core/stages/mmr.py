"""mmr: reorder results so that each adds something to those before it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from core.arrays import Float32, Float64, Int64, UInt8
from core.filtering.paths import assign
from core.models.base import RequestModel
from core.models.queries import without_nulls
from core.rows.row import Row, Rows
from core.rows.values import canonical, finite_or_none, value_at
from core.stage import Stage, StageContext
from core.traits import FieldSet, StageParams, Traits, fields_of

SimilarityMetric = Literal["cosine", "dot", "euclidean"]
# Given the positions of m rows, their similarity with every row, (m, n).
Similarity = Callable[[Int64], Float64]

# More multiplications than this are done in a thread, so that the loop keeps its deadlines.
_INLINE_WORK = 2_000_000
# Rows that are compared with all others in one product: of the best now, most are picked soon.
# Fixed, so that the first picks are the same bits however many are wanted.
_AHEAD = 32


class DiversityFeature(RequestModel):
    """A vector by which rows are alike, and how much it counts."""

    feature_uri: str = Field(min_length=1)
    weight: float = Field(1.0, ge=0, le=1)


class MmrParams(StageParams):
    """Maximal marginal relevance, by vectors or by equal field values.

    The first that is given decides: `diversity_feature_uri`, `diversity_features`,
    `diversity_fields`; without any, the feature that the search before it scored by.
    """

    lambda_: float = Field(
        0.7, ge=0, le=1, alias="lambda", description="1 is relevance alone, 0 diversity alone."
    )
    top_k: int = Field(25, ge=1, le=500, description="Rows to keep.")
    diversity_feature_uri: str | None = Field(None, min_length=1, description="One vector.")
    diversity_features: list[DiversityFeature] | None = Field(
        None, description="Several vectors; their weights are normalized."
    )
    diversity_fields: list[str] | None = Field(
        None, description="Fields whose equal values make rows alike."
    )
    diversity_field_weights: dict[str, float] | None = Field(
        None, description="Weights of diversity_fields, 1 if absent; normalized."
    )
    score_field: str = Field("score", min_length=1, description="Where the relevance is.")
    mmr_score_field: str = Field("scores.mmr", min_length=1, description="Where MMR's score goes.")
    similarity_metric: SimilarityMetric = Field("cosine", description="How vectors are alike.")

    @model_validator(mode="before")
    @classmethod
    def _read_spellings(cls, raw: Any) -> Any:
        given = without_nulls(raw)
        if not isinstance(given, dict):
            return given
        for guide, name in (("top_n", "top_k"), ("embedding_field", "diversity_feature_uri")):
            if guide in given and name not in given:
                given[name] = given.pop(guide)
        if given.get("diversity_feature_uri") == "null":  # the SDK's typed default
            del given["diversity_feature_uri"]
        return given

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        fields = self.diversity_fields or []
        weights = self.diversity_field_weights or {}
        strange = sorted(weights.keys() - set(fields))
        if strange:
            raise ValueError(f"diversity_field_weights names no diversity_fields: {strange}")
        if any(not 0 <= weight < np.inf for weight in weights.values()):
            raise ValueError("diversity_field_weights must be finite numbers of at least 0")
        field_weights = [weights.get(name, 1.0) for name in fields]
        feature_weights = [feature.weight for feature in self.diversity_features or []]
        if (fields and not any(field_weights)) or (feature_weights and not any(feature_weights)):
            raise ValueError("weights of 0 alone leave nothing to tell rows apart by")
        return self


async def run(params: MmrParams, rows: Rows, ctx: StageContext) -> Rows:
    """Return at most `top_k` rows in the order they were picked, with their MMR score.

    Next comes argmax λ·relevance - (1 - λ)·(greatest similarity to a picked row), first the most
    relevant row (Carbonell and Goldstein, 1998); equals as they came. A row without a vector
    resembles none; one without relevance counts as the least relevant.
    """
    if not rows:
        return []
    count = min(params.top_k, int(ctx.hints.get("top_k", params.top_k)), len(rows))
    relevance = _relevance(rows, params.score_field)
    similarity, width = await _similarity(params, rows, ctx)
    if count * len(rows) * width > _INLINE_WORK:
        picks = await asyncio.to_thread(_pick, relevance, similarity, params.lambda_, count)
    else:
        picks = _pick(relevance, similarity, params.lambda_, count)
    return [_scored(rows[at], params.mmr_score_field, score) for at, score in picks]


def _pick(
    relevance: Float64, similarity: Similarity, trade: float, count: int
) -> list[tuple[int, float]]:
    """Return (row, score) of each pick."""
    left = np.ones(len(relevance), np.bool_)
    scores, penalty = trade * relevance, None
    ahead: dict[int, Float64] = {}
    at = int(np.argmax(relevance))
    picks = [(at, float(scores[at]))]
    while len(picks) < count:
        if at not in ahead:
            best = np.argsort(-scores, kind="stable")[:_AHEAD]
            positions = np.unique(np.append(best[left[best]], at))
            ahead.update(zip(positions.tolist(), similarity(positions), strict=True))
        alike = ahead.pop(at)
        left[at] = False
        penalty = alike if penalty is None else np.maximum(penalty, alike)
        scores = np.where(left, trade * relevance - (1.0 - trade) * penalty, -np.inf)
        at = int(np.argmax(scores))
        picks.append((at, float(scores[at])))
    return picks


def _relevance(rows: Rows, path: str) -> Float64:
    values = [finite_or_none(value_at(row.fields, path)) for row in rows]
    least = min((value for value in values if value is not None), default=0.0)
    return np.array([least if value is None else value for value in values], np.float64)


def _scored(row: Row, path: str, score: float) -> Row:
    return replace(row, fields=assign(row.fields, path, score))


async def _similarity(params: MmrParams, rows: Rows, ctx: StageContext) -> tuple[Similarity, int]:
    """Return how alike rows are, and how many multiplications one comparison costs."""
    if params.diversity_feature_uri is not None:
        features = {params.diversity_feature_uri: 1.0}
    elif params.diversity_features:
        features = {f.feature_uri: f.weight for f in params.diversity_features}
    elif params.diversity_fields:
        weights = params.diversity_field_weights or {}
        named = {path: weights.get(path, 1.0) for path in params.diversity_fields}
        return _by_fields(named, rows), len(named)
    else:
        found = _searched_feature(rows)
        features = {} if found is None else {found: 1.0}
    total = sum(features.values())
    parts: list[tuple[float, Similarity]] = []
    width = 1
    for uri, weight in features.items():
        vectors = await ctx.vectors_of(rows, uri)
        lacking = sum(vector is None for vector in vectors)
        if lacking:
            ctx.report.warnings.append(f"{lacking} of {len(rows)} rows have no vector {uri}")
        if lacking < len(rows):
            matrix, known = _matrix(vectors)
            width += matrix.shape[1]
            alike = _by_vectors(matrix, known, params.similarity_metric)
            parts.append((weight / total, alike))
    if not parts:
        ctx.report.warnings.append("no row has a vector to compare by: the order is by relevance")
    return _weighted(parts, len(rows)), width


def _weighted(parts: Sequence[tuple[float, Similarity]], count: int) -> Similarity:
    def similarity(at: Int64) -> Float64:
        total = np.zeros((len(at), count))
        for weight, part in parts:
            total += weight * part(at)
        return total

    return similarity


def _searched_feature(rows: Rows) -> str | None:
    """Return the feature that most rows were scored by, of equals the one met first."""
    uris = Counter(uri for row in rows if isinstance(uri := row.fields.get("feature_uri"), str))
    return uris.most_common(1)[0][0] if uris else None


def _matrix(vectors: Sequence[Float32 | UInt8 | None]) -> tuple[Float32, Float32]:
    """Return the vectors, (n, d), zeros where there is none, and 1.0 where there is one, (n,).

    Bits count as -1 and 1, so that the cosine of two is 1 - 2 · distance / bits.
    """
    unpacked = [None if vector is None else _as_numbers(vector) for vector in vectors]
    width = next(vector.shape[0] for vector in unpacked if vector is not None)
    nothing = np.zeros(width, np.float32)
    matrix = np.array([nothing if vector is None else vector for vector in unpacked])
    return matrix, np.array([vector is not None for vector in vectors], np.float32)


def _as_numbers(vector: Float32 | UInt8) -> Float32:
    if vector.dtype == np.uint8:
        return np.unpackbits(vector.view(np.uint8)).astype(np.float32) * 2.0 - 1.0
    return vector.view(np.float32)


def _by_vectors(matrix: Float32, known: Float32, metric: SimilarityMetric) -> Similarity:
    if metric == "euclidean":
        # Distances of near duplicates are differences of nearly equal numbers.
        numbers: Float32 | Float64 = matrix.astype(np.float64)
    elif metric == "cosine":
        norms = np.linalg.norm(matrix, axis=1, keepdims=True)
        numbers = matrix / np.where(norms > 0, norms, np.float32(1.0))
    else:
        numbers = matrix
    squares = np.einsum("ij,ij->i", numbers, numbers)

    def similarity(at: Int64) -> Float64:
        products = numbers[at] @ numbers.T
        if metric == "euclidean":
            apart = squares + squares[at, None] - 2.0 * products
            products = 1.0 / (1.0 + np.sqrt(np.maximum(apart, 0.0)))
        alike: Float64 = (products * known * known[at, None]).astype(np.float64)
        return alike

    return similarity


def _by_fields(weights: Mapping[str, float], rows: Rows) -> Similarity:
    total = sum(weights.values())
    columns: list[tuple[float, np.ndarray[Any, Any]]] = []
    for path, weight in weights.items():
        codes: dict[str, int] = {}
        values = [value_at(row.fields, path) for row in rows]
        # Nulls resemble nothing, themselves included.
        column = [
            -1 - n if value is None else codes.setdefault(canonical(value), len(codes))
            for n, value in enumerate(values)
        ]
        columns.append((weight / total, np.array(column)))

    def similarity(at: Int64) -> Float64:
        alike = np.zeros((len(at), len(rows)))
        for weight, column in columns:
            alike += weight * (column == column[at, None])
        return alike

    return similarity


def _reads(params: MmrParams) -> FieldSet:
    # What stands beside the new score must be there, or writing it would hide the rest.
    around = params.mmr_score_field.split(".", maxsplit=1)[0]
    fields = params.diversity_fields or []
    return fields_of(params.score_field, "feature_uri", around, *fields)


STAGE = Stage(
    stage_id="mmr",
    category="sort",
    description="Reorder results so that each adds something to those before it.",
    icon="shuffle",
    params=MmrParams,
    run=run,
    traits=Traits(
        reads=_reads,
        writes=lambda params: fields_of(params.mmr_score_field),
        cost=50,
        bound=lambda params: params.top_k,
        hints=frozenset({"top_k"}),
    ),
)
