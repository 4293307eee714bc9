"""Every stage's declared facts hold: the optimizer moves and removes stages on the word of these.

A stage's example parameters stand in `EXAMPLES`; rows are random. What a trait promises is
checked only where it is declared, so a stage that declares nothing passes here and gains nothing.
"""

import asyncio
import copy
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.filtering.paths import MISSING, resolve
from core.registry import find_stage, stage_names
from core.rows.row import Row, Rows
from core.stage import AnyStage
from core.traits import ALL, FieldSet
from tests.core.stages.context import FakeContext

# Several sets of parameters each, so that every branch that a trait speaks of is taken.
EXAMPLES: Mapping[str, list[dict[str, Any]]] = {
    "aggregate": [
        {"aggregations": [{"function": "count", "alias": "c"}]},
        {
            "aggregations": [
                {"function": "avg", "field": "x", "alias": "mean"},
                {"function": "first", "field": "n", "alias": "top"},
                {"function": "frequency", "field": "meta.k", "alias": "common"},
            ],
            "group_by": [{"field": "tag"}, {"field": "meta.rank"}],
            "sort_by": "mean",
            "limit": 2,
        },
        {
            "aggregations": [
                {"function": "correlation", "field": "x", "field_b": "y", "alias": "r"}
            ],
            "group_by": "tag",
            "include_documents": True,
        },
    ],
    "attribute_filter": [
        {"field": "x", "operator": "gte", "value": 2},
        {
            "conditions": {
                "OR": [{"field": "tag", "value": "a"}, {"NOT": {"field": "meta.rank", "value": 1}}]
            }
        },
        {"AND": []},
    ],
    "deduplicate": [
        {"fields": ["tag"]},
        {"fields": ["n", "meta.k"], "keep": "last", "case_sensitive": False},
        {"strategy": "content", "content_field": "text", "similarity_threshold": 0.6},
        {"strategy": "content", "content_field": "text", "keep": "last"},
    ],
    "group_by": [
        {"group_by_field": "tag"},
        {"field": "meta.k", "output_mode": "first", "sort_groups_by": "count"},
        {"field": "n", "output_mode": "flatten", "max_per_group": 2, "max_groups": 2},
        {"field": "tag", "output_mode": "flatten", "sort_docs_by": "x", "exclude_null": True},
        {"field": "tag", "output_mode": "first", "sort_docs_by": "_random"},
    ],
    "json_transform": [
        {"template": '{"id": {{ DOC.document_id | tojson }}, "k": {{ doc.meta.k | tojson }}}'},
        {"template": "{{ DOC }}"},
        {"template": "{% for t in DOC['tags'] %}{% endfor %}{\"x\": {{ DOC.x }}}"},
    ],
    "limit": [{"limit": 2}, {"limit": 3, "offset": 1}],
    "mmr": [
        {"diversity_fields": ["tag", "meta.k"]},
        {"diversity_fields": ["x"], "top_k": 3, "lambda": 0.2, "score_field": "y"},
    ],
    "moment_group": [
        {"parent_field": "tag", "time_field": "clip.start", "merge_tolerance_ms": 0},
        {"parent_field": "meta.k", "time_field": "spans", "score_strategy": "sum"},
        {"time_field": "clip.start", "output_mode": "moments_only", "parent_field": "tag"},
        {"time_field": "spans", "min_score": 0.5, "output_mode": "moments_only"},
    ],
    "sample": [
        {"count": 3},
        {"count": 3, "seed": 7, "preserve_top_k": 2},
        {"count": 4, "strategy": "stratified", "stratify_by": "tag"},
        {"strategy": "stratified", "stratify_by": "meta.rank", "samples_per_group": 1},
        {"count": 2, "strategy": "systematic"},
    ],
    "score_normalize": [
        {"method": "min_max"},
        {"method": "z_score", "output_field": "out.z"},
        {"method": "softmax", "score_field": "n"},
        {"method": "l2", "score_field": "meta.rank"},
        {"min_value": 0.0, "max_value": 1.0},
    ],
    "score_threshold": [
        {"min_score": 0.5},
        {"min_score": 1, "comparison": "gt", "score_field": "n", "missing_score": "keep"},
    ],
    "sort_attribute": [
        {"field": "n", "direction": "asc"},
        {"field": "meta.rank"},
        {"field": "when", "nulls_last": False, "direction": "asc"},
        {"field": "tag", "null_handling": "first"},
    ],
    "unwind": [
        {"field": "tags"},
        {"field": "tags", "preserve_null_and_empty": True, "include_array_index": "meta.i"},
        {"field": "tags", "output_field": "out.tag"},
    ],
    "sort_relevance": [
        {},
        {"direction": "asc", "missing_score": "top"},
        {"missing_score": "preserve", "score_field": "n"},
        {"normalize": True},
    ],
}
CASES = [(name, params) for name, several in EXAMPLES.items() for params in several]
SORTS = [n for n in EXAMPLES if find_stage(n).traits.sorts or find_stage(n).traits.hints]

quick = settings(derandomize=True, deadline=None, max_examples=20)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(-2, 2, width=16),
    st.sampled_from(["a", "B", "10", "9", "", "2024-05-01", "2024-05-01T00:30:00+02:00"]),
)
spans = st.builds(lambda start, score: {"start_ms": start, "score": score}, scalars, scalars)
payloads = st.fixed_dictionaries(
    {},
    optional={
        "clip": st.builds(lambda start, end: {"start": start, "end": end}, scalars, scalars),
        "spans": st.lists(spans, max_size=3),
        "score": st.one_of(st.none(), st.floats(-1, 1, width=16), st.just("high")),
        "n": scalars,
        "tag": st.sampled_from(["a", "b", None, 1, True]),
        "tags": st.one_of(st.none(), st.lists(scalars, max_size=3), st.just("solo")),
        "when": st.sampled_from(
            ["2024-05-01", "2023-01-01T10:00:00Z", "2024-05-01T00:30:00+02:00"]
        ),
        "meta": st.fixed_dictionaries({}, optional={"rank": st.integers(0, 3), "k": scalars}),
        "text": st.sampled_from(["one fine day", "one fine  day", "two fine days", ""]),
        "x": st.integers(0, 5),
        "y": st.floats(-2, 2, width=16),
    },
)


@st.composite
def random_rows(draw: st.DrawFn) -> list[Row]:
    several = draw(st.lists(payloads, max_size=9))
    return [
        Row(f"d{n}", {"document_id": f"d{n}", "collection_id": "col_a", **payload})
        for n, payload in enumerate(several)
    ]


def run(stage: AnyStage, raw: dict[str, Any], rows: Rows, **context: Any) -> list[Row]:
    ctx = FakeContext(is_first=False, **context)

    async def started() -> list[Row]:
        return list(await stage.run(stage.params.model_validate(raw), rows, ctx))

    return asyncio.run(started())


def is_under(path: str, names: FieldSet) -> bool:
    """Say whether a top-level field is one of those paths or holds one."""
    if not isinstance(names, frozenset):
        return True
    return any(name == path or name.startswith(path + ".") for name in names)


def only(row: Row, names: frozenset[str]) -> Row:
    """Return the row with the declared fields and the identity that every row carries."""
    kept = {"document_id", "collection_id", "score", *(name.split(".")[0] for name in names)}
    return Row(row.document_id, {k: v for k, v in row.fields.items() if k in kept}, row.source)


@pytest.mark.parametrize("name", stage_names())
def test_the_catalogue_can_show_every_stage(name: str) -> None:
    stage = find_stage(name)
    schema = stage.params.model_json_schema()
    assert schema["additionalProperties"] is False
    assert stage.description.endswith(".") and stage.icon
    assert stage.row_templates <= set(schema["properties"])


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_parameter_is_described(name: str) -> None:
    properties = find_stage(name).params.model_json_schema()["properties"]
    assert [key for key, field in properties.items() if "description" not in field] == []


@pytest.mark.parametrize(("name", "raw"), CASES)
@given(rows=random_rows())
@quick
def test_declared_traits_hold(name: str, raw: dict[str, Any], rows: list[Row]) -> None:
    stage, traits = find_stage(name), find_stage(name).traits
    before = copy.deepcopy(rows)
    out = run(stage, raw, rows)
    assert rows == before, "rows are never mutated"
    assert run(stage, raw, rows) == out, "the same rows give the same answer"

    places = {row.document_id: n for n, row in enumerate(rows)}
    came, left = Counter(places), Counter(row.document_id for row in out)
    if traits.keeps_rows:
        assert sorted(places) == sorted(left.elements())
    if traits.keeps_order:
        positions = [places[row.document_id] for row in out]
        assert positions == sorted(positions)
    if traits.only_drops:
        assert all(row in rows for row in out)
        assert all(count == 1 for count in left.values()), f"{came} became {left}"
    if traits.row_local:
        assert out == [made for row in rows for made in run(stage, raw, [row])]
    bound = traits.bound(stage.params.model_validate(raw))
    if bound is not None:
        assert len(out) <= bound
    if traits.is_noop(stage.params.model_validate(raw)):
        assert out == rows


@pytest.mark.parametrize(("name", "raw"), CASES)
@given(rows=random_rows())
@quick
def test_undeclared_fields_are_not_read(name: str, raw: dict[str, Any], rows: list[Row]) -> None:
    stage = find_stage(name)
    params = stage.params.model_validate(raw)
    reads, writes = stage.traits.reads(params), stage.traits.writes(params)
    if reads is ALL or not isinstance(reads, frozenset):
        return
    written = writes if isinstance(writes, frozenset) else frozenset()
    full = run(stage, raw, rows)
    sparse = run(stage, raw, [only(row, reads) for row in rows])
    assert [r.document_id for r in full] == [r.document_id for r in sparse]
    for one, other in zip(full, sparse, strict=True):
        for path in written:
            assert resolve(one.fields, path) == resolve(other.fields, path)
        if writes is ALL:
            assert one == other


@pytest.mark.parametrize(("name", "raw"), CASES)
@given(rows=random_rows())
@quick
def test_undeclared_fields_are_not_written(name: str, raw: dict[str, Any], rows: list[Row]) -> None:
    stage = find_stage(name)
    writes = stage.traits.writes(stage.params.model_validate(raw))
    by_id = {row.document_id: row for row in rows}
    if writes is ALL or not isinstance(writes, frozenset):
        return
    for row in run(stage, raw, rows):
        old = by_id[row.document_id]
        for path in {*row.fields, *old.fields}:
            if not is_under(path, writes):
                assert row.fields.get(path, MISSING) == old.fields.get(path, MISSING)


@pytest.mark.parametrize(("name", "raw"), [case for case in CASES if case[0] in SORTS])
@given(rows=random_rows(), dropped=st.sets(st.integers(0, 8)), top_k=st.integers(1, 9))
@quick
def test_sorts_keep_their_word(
    name: str, raw: dict[str, Any], rows: list[Row], dropped: set[int], top_k: int
) -> None:
    stage, traits = find_stage(name), find_stage(name).traits
    out = run(stage, raw, rows)
    if "top_k" in traits.hints:
        assert run(stage, raw, rows, hints={"top_k": top_k}) == out[:top_k]
    if traits.sorts and traits.pairwise(stage.params.model_validate(raw)):
        gone = {f"d{n}" for n in dropped}
        fewer = run(stage, raw, [row for row in rows if row.document_id not in gone])
        assert fewer == [row for row in out if row.document_id not in gone]


@pytest.mark.parametrize("name", EXAMPLES)
def test_nothing_in_is_no_error(name: str) -> None:
    for raw in EXAMPLES[name]:
        out = run(find_stage(name), raw, [])
        assert out == [] or name == "aggregate"


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_unknown_parameter_is_refused(name: str) -> None:
    stage = find_stage(name)
    with pytest.raises(ValueError, match="surprise"):
        stage.params.model_validate({**EXAMPLES[name][0], "surprise": 1})
