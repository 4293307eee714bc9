"""Random retrievers over every stage of the registry, with what makes rules hesitate in them."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from core.types import JsonObject

Stages = list[JsonObject]

PATHS = ("brand", "price", "score", "meta.group", "meta.k", "tags", "text", "when", "a.b", "norm")
BRANDS = ("acme", "zeta", "noma", "ACME")
INPUT_SCHEMA: JsonObject = {
    "v": {"type": "array"},
    "brand": {"type": "string", "default": "acme"},
    "price": {"type": "number", "default": 3},
    "count": {"type": "integer", "default": 4},
    "path": {"type": "string", "default": "price"},
}

paths = st.sampled_from(PATHS)
few = st.integers(1, 12)
rarely = st.sampled_from([False] * 9 + [True])


def _one_of(**parameters: Any) -> st.SearchStrategy[JsonObject]:
    """Return parameters, each given by a strategy or as it is, all of them always there."""
    fixed = {
        k: v if isinstance(v, st.SearchStrategy) else st.just(v) for k, v in parameters.items()
    }
    return st.fixed_dictionaries(fixed)


def _some_of(
    needed: Mapping[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]
) -> st.SearchStrategy[JsonObject]:
    return st.fixed_dictionaries(dict(needed), optional=optional)


_score_condition = st.builds(
    lambda op, x: {"field": "score", "operator": op, "value": x},
    st.sampled_from(["gte", "lt", "ne"]),
    st.sampled_from([-0.5, 0.0, 0.2, 0.4]),
)
_conditions = st.one_of(
    _score_condition,
    st.builds(
        lambda op, value: {"field": "brand", "operator": op, "value": value},
        st.sampled_from(["eq", "ne", "contains", "regex"]),
        st.sampled_from([*BRANDS, "{{INPUT.brand}}", "a"]),
    ),
    st.builds(
        lambda path, op, x: {"field": path, "operator": op, "value": x},
        st.sampled_from(["price", "meta.group", "norm", "a.b", "features.emb.score", "joined.n"]),
        st.sampled_from(["gt", "lte", "eq"]),
        st.sampled_from([0, 1, 2, 3, "{{INPUT.price}}"]),
    ),
    st.builds(
        lambda path, there: {"field": path, "operator": "exists", "value": there},
        st.one_of(paths, st.just("{{INPUT.path}}")),
        st.booleans(),
    ),
    st.builds(lambda word: {"field": "text", "operator": "words", "value": word}, st.just("fine")),
)
# Empty ones are refused within others: nobody can say what they mean there.
filters = st.recursive(
    _conditions,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"AND": parts}, st.lists(inner, max_size=3)),
        st.builds(lambda parts: {"OR": parts}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda part: {"NOT": part}, inner),
    ),
    max_leaves=3,
).filter(lambda made: made == {"AND": []} or "{'AND': []}" not in str(made))

_query = st.sampled_from(
    [
        {"input_mode": "vector", "value": "{{INPUT.v}}"},
        {"input_mode": "vector", "value": [1.0, 0.0, -1.0, 0.5]},
    ]
)
_entry = _some_of(
    {"feature_uri": st.just("emb"), "query": _query},
    top_k=st.sampled_from([5, 20, 100]),
    min_score=st.sampled_from([0.0, 0.3]),
    filters=st.sampled_from([{"brand": "acme"}, {"field": "price", "operator": "lt", "value": 4}]),
)
_search = _some_of(
    {"searches": st.lists(_entry, min_size=1, max_size=2)},
    final_top_k=st.sampled_from([3, 10, 25, 200]),
    fusion=st.sampled_from(["rrf", "max", "dbsf"]),
    facets=st.just([{"key": "brand"}]),
    group_by=_some_of(
        {"field": st.sampled_from(["brand", "meta.group"])},
        max_per_group=st.integers(1, 3),
        limit=st.integers(1, 4),
        output_mode=st.sampled_from(["first", "all", "flatten"]),
    ),
)
# Most searches are plain: the others are groups already, and rules leave them alone.
searches = st.one_of(
    _some_of(
        {"searches": st.lists(_entry, min_size=1, max_size=1)},
        final_top_k=st.sampled_from([3, 10, 25, 200]),
    ),
    _search,
)

STAGES: Mapping[str, st.SearchStrategy[JsonObject]] = {
    "attribute_filter": st.one_of(
        st.builds(lambda tree: {"conditions": tree}, filters),
        st.just({"AND": []}),
    ),
    "score_threshold": _some_of(
        {"min_score": st.sampled_from([-1.0, 0.0, 0.3, "{{INPUT.price}}"])},
        comparison=st.sampled_from(["gte", "gt"]),
        missing_score=st.sampled_from(["drop", "keep"]),
        score_field=st.sampled_from(["score", "price", "norm"]),
    ),
    "limit": _some_of(
        {"limit": st.one_of(few, st.sampled_from([50, 10_000, "{{INPUT.count}}"]))},
        offset=st.sampled_from([0, 0, 1, 3, 10_000]),
    ),
    "sample": st.one_of(
        _some_of({"count": few}, preserve_top_k=st.integers(0, 3), seed=st.integers(0, 2)),
        _one_of(count=few, strategy="stratified", stratify_by=st.sampled_from(["brand", "a.b"])),
        _one_of(count=few, strategy="systematic"),
    ),
    "deduplicate": st.one_of(
        _some_of(
            {"fields": st.lists(paths, min_size=1, max_size=2)},
            keep=st.sampled_from(["first", "last"]),
        ),
        _one_of(strategy="content", content_field="text", similarity_threshold=0.7),
    ),
    "sort_relevance": _some_of(
        {},
        score_field=st.sampled_from(["score", "score", "price", "norm"]),
        direction=st.sampled_from(["desc", "asc"]),
        missing_score=st.sampled_from(["bottom", "top", "preserve"]),
        normalize=rarely,
    ),
    "sort_attribute": _some_of(
        {"field": st.one_of(st.sampled_from(["score", "price"]), paths, st.just("{{INPUT.path}}"))},
        direction=st.sampled_from(["desc", "asc"]),
        nulls_last=st.booleans(),
    ),
    "score_normalize": st.one_of(
        _some_of(
            {"method": st.sampled_from(["min_max", "z_score", "softmax", "l2"])},
            output_field=st.sampled_from(["norm", "meta.norm"]),
            score_field=st.sampled_from(["score", "price"]),
        ),
        _some_of(
            {"min_value": st.just(0.0), "max_value": st.just(1.0)},
            output_field=st.sampled_from(["norm", "meta.norm"]),
        ),
    ),
    "group_by": _some_of(
        {"group_by_field": st.sampled_from(["brand", "meta.group", "a.b", "{{INPUT.path}}"])},
        output_mode=st.sampled_from(["first", "all", "flatten"]),
        max_per_group=st.integers(1, 3),
        max_groups=st.integers(1, 3),
        exclude_null=st.booleans(),
        sort_groups_by=st.sampled_from(["count", "score", "field"]),
        sort_docs_by=st.sampled_from(["score", "score", "price", "_random"]),
    ),
    "aggregate": st.one_of(
        st.just(
            {
                "aggregations": [{"function": "count", "alias": "n"}],
                "group_by": [{"field": "brand"}],
                "include_documents": False,
            }
        ),
        st.just(
            {
                "aggregations": [{"function": "frequency", "field": "a.b", "alias": "common"}],
                "include_documents": True,
            }
        ),
    ),
    "unwind": _some_of(
        {"field": st.sampled_from(["tags", "meta.list"])},
        preserve_null_and_empty=st.booleans(),
        include_array_index=st.sampled_from(["at", "meta.at"]),
        output_field=st.sampled_from(["tag", "meta.tag"]),
    ),
    "json_transform": st.sampled_from(
        [
            {"template": '{"document_id": "{{DOC.document_id}}", "price": {{DOC.price|tojson}}}'},
            {"template": "{{DOC}}"},
            {"template": '{"s": {{DOC.score}}, "g": {{DOC.meta.group}}}', "fail_on_error": True},
        ]
    ),
    "document_enrich": _some_of(
        {
            "target_collection_id": st.just("others"),
            "source_field": st.sampled_from(["brand", "meta.group", "price"]),
            "target_field": st.sampled_from(["name", "n"]),
        },
        output_field=st.sampled_from(["joined", "meta.joined", "price"]),
        fields_to_merge=st.sampled_from([["n"], ["name", "info.x"], ["score"]]),
        strategy=st.sampled_from(["enrich", "replace"]),
        allow_missing=st.booleans(),
        when=_score_condition,
    ),
    "mmr": _some_of(
        {"top_k": few},
        diversity_fields=st.just(["brand"]),
        mmr_score_field=st.sampled_from(["scores.mmr", "norm"]),
    ),
    "moment_group": _some_of(
        {
            "parent_field": st.sampled_from(["brand", "meta.group", "source_object_id"]),
            "time_field": st.sampled_from(["clip.start", "clip.start", "query_chunks"]),
        },
        merge_tolerance_ms=st.sampled_from([0, 300]),
        max_moments_per_parent=st.integers(1, 3),
        score_strategy=st.sampled_from(["max", "avg"]),
        min_score=st.sampled_from([0.1, 0.4]),
        output_mode=st.sampled_from(["annotated", "moments_only"]),
    ),
    "feature_search": searches,
}

# Stages that rules look for side by side; None is any stage.
_RUNS: tuple[tuple[str | None, ...], ...] = (
    (None,),
    (None,),
    (None, None),
    ("json_transform",),
    ("score_normalize",),
    ("deduplicate",),
    ("attribute_filter", "attribute_filter"),
    ("attribute_filter", "score_threshold"),
    ("document_enrich", "score_threshold"),
    ("sort_relevance", "attribute_filter"),
    ("sort_relevance", "limit"),
    ("sort_attribute", "limit"),
    ("mmr", "limit"),
    ("limit", "document_enrich", "limit"),
    ("score_normalize", "limit", "limit"),
    ("group_by", "limit"),
    ("moment_group", "attribute_filter"),
    ("sort_attribute", "moment_group", "limit"),
    ("limit", "sample"),
    ("sort_attribute", "score_threshold", "sort_attribute"),
    ("sort_relevance", "unwind", "sort_relevance"),
    ("unwind", "feature_search", "limit"),
)

# Templates that look at the rows between stages; `first` and `STAGE` need a stage that is there.
_WATCHING = (
    {"field": "brand", "operator": "ne", "value": "{{STAGE.source.documents[0].brand}}"},
    {"field": "price", "operator": "gte", "value": "{{CONTEXT.rows|length}}"},
)


@st.composite
def retrievers(draw: st.DrawFn) -> Stages:
    """Return the stages of a retriever; it may fail when it runs, always for the same reason."""
    first = draw(st.sampled_from(["feature_search"] * 3 + ["attribute_filter"]))
    stages = [_stage(first, draw(STAGES[first]), "source")]
    if draw(rarely):
        stages[0]["config"]["pre_filters"] = draw(filters)
    if draw(rarely):
        stages.append(_stage("group_by", draw(STAGES["group_by"]), "grouped"))
    names = st.sampled_from(sorted(STAGES))
    # A drawn count: lists of their own accord would be empty almost half of the time.
    runs = [draw(st.sampled_from(_RUNS)) for _ in range(draw(st.integers(1, 3)))]
    for number, wanted in enumerate(stage_id for run in runs for stage_id in run):
        stage_id = wanted or draw(names)
        stage = _stage(stage_id, draw(STAGES[stage_id]), f"s{number}")
        if draw(rarely):
            stage["config"]["pre_filters"] = draw(filters)
        stages.append(stage)
    for stage in stages:
        if draw(rarely) and draw(st.booleans()):
            stage.update(draw(st.sampled_from([{"on_error": "skip"}, {"output_alias": "rows"}])))
        if draw(rarely) and draw(st.booleans()):
            stage["config"]["post_filters"] = draw(filters)
    if draw(rarely) and draw(st.booleans()):
        stages[0]["output_alias"] = "rows"
        stages.append(_stage("attribute_filter", dict(draw(st.sampled_from(_WATCHING))), "watcher"))
    return stages


def _stage(stage_id: str, parameters: JsonObject, name: str) -> JsonObject:
    return {"stage_name": name, "config": {"stage_id": stage_id, "parameters": parameters}}
