"""mmr: the published rule, in every mode, and what happens where something is missing."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixpeek.models.stage_params_mmr import StageParamsMmr
from pydantic import ValidationError

from core.registry import find_stage
from core.rows.row import Row
from tests.core.stages.context import Doc, FakeContext
from tests.core.stages.running import ids_of, run_stage

quick = settings(derandomize=True, deadline=None, max_examples=100)


def mmr(ctx: FakeContext, rows: list[Row], **parameters: Any) -> list[Row]:
    return run_stage("mmr", parameters, rows, context=ctx)[0]


def scored(vectors: list[Any], scores: list[float | None], **more: Any) -> tuple[FakeContext, Any]:
    docs = [
        Doc(f"d{n}", {} if s is None else {"score": s}, {} if v is None else {"v": v})
        for n, (v, s) in enumerate(zip(vectors, scores, strict=True))
    ]
    ctx = FakeContext({"c": docs}, is_first=False, **more)
    return ctx, [row.with_fields({"feature_uri": "v"}) for row in ctx.all_rows()]


def naive(
    vectors: list[Any], scores: list[float], trade: float, count: int, alike: Any
) -> list[tuple[int, float]]:
    """Return the picks of the rule as it is written, one comparison at a time."""
    picked: list[tuple[int, float]] = []
    for _ in range(min(count, len(scores))):
        best: tuple[int, float] | None = None
        for n, score in enumerate(scores):
            if any(n == at for at, _ in picked):
                continue
            near = max((alike(vectors[n], vectors[at]) for at, _ in picked), default=0.0)
            # The first pick is the most relevant, even where relevance counts for nothing.
            value = trade * score - (1 - trade) * near if picked else score
            if best is None or value > best[1] + 1e-9:
                best = (n, value)
        assert best is not None
        picked.append(best if picked else (best[0], trade * best[1]))
    return picked


def cosine(a: Any, b: Any) -> float:
    if a is None or b is None:
        return 0.0
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.dot(a, b)) / norm if norm else 0.0


def dot(a: Any, b: Any) -> float:
    return 0.0 if a is None or b is None else float(np.dot(a, b))


def euclidean(a: Any, b: Any) -> float:
    if a is None or b is None:
        return 0.0
    return 1.0 / (1.0 + float(np.linalg.norm(np.subtract(a, b))))


point = st.one_of(st.none(), st.tuples(st.integers(-2, 2), st.integers(-2, 2), st.integers(1, 3)))


@given(
    items=st.lists(st.tuples(point, st.sampled_from([0.0, 0.25, 0.5, 1.0])), max_size=8),
    trade=st.sampled_from([0.0, 0.3, 0.7, 1.0]),
    count=st.integers(1, 9),
    metric=st.sampled_from([("cosine", cosine), ("dot", dot), ("euclidean", euclidean)]),
)
@quick
def test_it_is_the_rule(items: list[Any], trade: float, count: int, metric: Any) -> None:
    vectors = [None if v is None else [float(x) for x in v] for v, _ in items]
    scores = [s for _, s in items]
    ctx, rows = scored(vectors, list(scores))
    parameters = {"lambda": trade, "top_k": count, "similarity_metric": metric[0]}
    out = mmr(ctx, rows, **parameters)
    value_of = {row.document_id: row.fields["scores"]["mmr"] for row in out}
    wanted = naive(vectors, scores, trade, count, metric[1])
    assert len(out) == len(wanted)
    # Equal values may differ by rounding and swap: each pick must be as good as the naive one.
    assert list(value_of.values()) == pytest.approx([value for _, value in wanted], abs=1e-6)
    if trade == 1.0:
        assert ids_of(out) == [f"d{at}" for at, _ in wanted]


def test_a_near_duplicate_gives_way() -> None:
    ctx, rows = scored([[1, 0], [1, 0.01], [0, 1]], [0.9, 0.89, 0.5])
    assert ids_of(mmr(ctx, rows, **{"lambda": 0.5})) == ["d0", "d2", "d1"]
    assert ids_of(mmr(ctx, rows, **{"lambda": 1})) == ["d0", "d1", "d2"]


def test_only_the_score_field_is_written_and_rows_stay_as_they_were() -> None:
    ctx, rows = scored([[1, 0], [0, 1]], [0.9, 0.8])
    rows = [row.with_fields({"scores": {"rerank": 1}}) for row in rows]
    out = mmr(ctx, rows, top_n=1)
    assert [dict(row.fields) for row in out] == [
        {**rows[0].fields, "scores": {"rerank": 1, "mmr": pytest.approx(0.63)}}
    ]
    assert rows[0].fields["scores"] == {"rerank": 1}
    assert mmr(ctx, rows, mmr_score_field="m")[0].fields["m"] == pytest.approx(0.63)


def test_binary_vectors_are_compared_by_their_bits() -> None:
    bits = [[0x00] * 32, [0x00] * 31 + [0x01], [0xFF] * 32]
    ctx, rows = scored(bits, [0.9, 0.89, 0.5], metrics={"v": "hamming"})
    out = mmr(ctx, rows, **{"lambda": 0.5})
    assert ids_of(out) == ["d0", "d2", "d1"]
    assert out[1].fields["scores"]["mmr"] == pytest.approx(0.25 + 0.5)


def test_several_features_are_weighed() -> None:
    docs = [
        Doc("a", {"score": 1.0}, {"v": [1, 0], "w": [1, 0]}),
        Doc("b", {"score": 0.5}, {"v": [1, 0], "w": [0, 1]}),
        Doc("c", {"score": 0.5}, {"v": [0, 1], "w": [1, 0]}),
    ]
    ctx = FakeContext({"c": docs}, is_first=False)

    def second(v: float, w: float) -> str:
        features = [{"feature_uri": "v", "weight": v}, {"feature_uri": "w", "weight": w}]
        return ids_of(mmr(ctx, ctx.all_rows(), diversity_features=features, top_k=2))[1]

    assert second(1.0, 0.1) == "c"
    assert second(0.1, 1.0) == "b"


def test_equal_fields_make_rows_alike() -> None:
    brands = ["x", "x", "y", None, None, 1, True]
    rows = [{"score": 1 - n / 100, "m": {"brand": b}} for n, b in enumerate(brands)]
    out, _ = run_stage("mmr", {"diversity_fields": ["m.brand"], "lambda": 0.5}, rows)
    # Nothing resembles a null, 1 is not true, and the second x comes last.
    assert ids_of(out) == ["d0", "d2", "d3", "d4", "d5", "d6", "d1"]


def test_field_weights() -> None:
    rows = [
        {"score": 1.0, "a": 1, "b": 1},
        {"score": 0.5, "a": 1, "b": 2},
        {"score": 0.5, "a": 2, "b": 1},
    ]
    for weights, second in (({"a": 3}, "d2"), ({"b": 3}, "d1")):
        given_ = {"diversity_fields": ["a", "b"], "diversity_field_weights": weights}
        assert ids_of(run_stage("mmr", given_, rows)[0])[1] == second


def test_modes_stand_in_order() -> None:
    ctx, rows = scored([[1, 0], [1, 0], [0, 1]], [0.9, 0.8, 0.7])
    rows = [row.with_fields({"f": n % 2}) for n, row in enumerate(rows)]
    every = {
        "diversity_feature_uri": "v",
        "diversity_features": [{"feature_uri": "w"}],
        "diversity_fields": ["f"],
        "lambda": 0.5,
    }
    assert ids_of(mmr(ctx, rows, **every)) == ["d0", "d2", "d1"]
    del every["diversity_feature_uri"], every["diversity_features"]
    assert ids_of(mmr(ctx, rows, **every)) == ["d0", "d1", "d2"]


def test_without_vectors_the_order_is_by_relevance() -> None:
    ctx, rows = scored([None, None, None], [0.1, 0.9, None])
    out, report = run_stage("mmr", {}, rows, context=ctx)
    assert ids_of(out) == ["d1", "d0", "d2"]
    assert report.warnings[-1] == "no row has a vector to compare by: the order is by relevance"


def test_edges() -> None:
    ctx, rows = scored([[1, 0]], [0.1])
    assert mmr(ctx, []) == []
    assert ids_of(mmr(ctx, rows, top_k=500)) == ["d0"]
    made = [{"document_id": "x", "score": "high"}, {"document_id": "y"}]
    assert ids_of(run_stage("mmr", {}, made)[0]) == ["x", "y"]


def test_many_rows_in_a_thread_give_the_prefix_of_more() -> None:
    generator = np.random.default_rng(5)
    vectors = generator.standard_normal((700, 32)).tolist()
    ctx, rows = scored(vectors, generator.random(700).tolist())
    out = mmr(ctx, rows, top_k=200)
    assert len(set(ids_of(out))) == 200
    ctx.hints = {"top_k": 7}
    assert ids_of(mmr(ctx, rows, top_k=200)) == ids_of(out)[:7]


@pytest.mark.parametrize(
    "parameters",
    [
        {"lambda": 1.1},
        {"lambda": -0.1},
        {"top_k": 0},
        {"top_k": 501},
        {"similarity_metric": "manhattan"},
        {"diversity_features": [{"feature_uri": "v", "weight": 2}]},
        {"diversity_features": [{"feature_uri": "v", "weight": 0}]},
        {"diversity_fields": ["a"], "diversity_field_weights": {"b": 1}},
        {"diversity_fields": ["a"], "diversity_field_weights": {"a": -1}},
        {"diversity_fields": ["a"], "diversity_field_weights": {"a": 0}},
    ],
)
def test_parameters_out_of_bounds(parameters: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        find_stage("mmr").params.model_validate(parameters)


def test_spellings() -> None:
    read = find_stage("mmr").params.model_validate
    assert read({"lambda": 0.2}) == read({"lambda_": 0.2})
    assert read({"embedding_field": "v"}) == read({"diversity_feature_uri": "v"})
    assert read(StageParamsMmr().to_dict()) == read({"top_k": None}) == read({})
