"""What filters mean: on stored fields they constrain the search before them, at any place where
only stages stand between that keep rows and those fields."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.filtering.conditions import parse_filter
from core.filtering.operators import matches
from core.models.base import parse_model
from core.models.retriever import Retriever, StageSpec
from core.plan.build import build_plan
from core.plan.nodes import Plan, plan_from_json, plan_to_json
from core.types import JsonObject
from tests.core.optimizer.retrievers import Stages, retrievers
from tests.core.optimizer.worlds import World, make_world
from tests.core.service import running_app, search_stage, stage

quick = settings(derandomize=True, deadline=None, max_examples=60)
ACME = stage("attribute_filter", field="brand", value="acme")

# Between a search and a filter: over these the filter goes back to the search.
PASSED: dict[str, list[JsonObject]] = {
    "nothing": [],
    "a sort": [stage("sort_attribute", field="price")],
    "a scale": [stage("score_normalize", method="min_max")],
    "a threshold": [stage("score_threshold", min_score=0.0)],
    "a join that keeps all rows": [
        stage(
            "document_enrich",
            target_collection_id="others",
            source_field="brand",
            target_field="name",
            output_field="joined",
        )
    ],
    "several": [stage("sort_relevance", direction="asc"), stage("score_normalize", method="l2")],
}
# And these it does not pass: which rows come changes what they do, or they write the field.
KEPT_BEHIND: dict[str, list[JsonObject]] = {
    "a limit": [stage("limit", limit=3)],
    "a sample": [stage("sample", count=3)],
    "a grouping": [stage("group_by", group_by_field="brand", output_mode="first")],
    "an unwinding": [stage("unwind", field="tags")],
    "a transformation": [stage("json_transform", template='{"brand": "acme"}')],
    "a join that drops rows": [
        stage(
            "document_enrich",
            target_collection_id="others",
            source_field="brand",
            output_field="joined",
            allow_missing=False,
        )
    ],
    "a join that writes the field": [
        stage(
            "document_enrich",
            target_collection_id="others",
            source_field="brand",
            fields_to_merge=["brand"],
        )
    ],
    "an alias": [{**stage("sort_attribute", field="price"), "output_alias": "sorted"}],
    "post_filters": [
        {
            "stage_name": "sort",
            "config": {
                "stage_id": "sort_attribute",
                "parameters": {"field": "price"},
                "post_filters": {"brand": "acme"},
            },
        }
    ],
}


def plan_of(*stages: JsonObject) -> Plan:
    specs = tuple(parse_model(StageSpec, spec) for spec in stages)
    return build_plan(
        Retriever(retriever_id="r", namespace_id="n", retriever_name="r", stages=specs)
    )


@pytest.mark.parametrize("between", PASSED.values(), ids=PASSED)
def test_a_filter_goes_back_to_the_search(between: list[JsonObject]) -> None:
    plan = plan_of(search_stage(), *between, ACME)
    assert [s.stage_id for s in plan.stages] == [
        "feature_search",
        *(s["config"]["stage_id"] for s in between),
    ]
    assert plan.stages[0].filters == ({"field": "brand", "operator": "eq", "value": "acme"},)
    assert plan.stages[0].moved == ("attribute_filter",)
    assert plan.stages[0].written == (0, 1 + len(between))


@pytest.mark.parametrize("between", KEPT_BEHIND.values(), ids=KEPT_BEHIND)
def test_a_filter_stays_behind(between: list[JsonObject]) -> None:
    plan = plan_of(search_stage(), *between, ACME)
    assert plan.stages[-1].stage_id == "attribute_filter"
    assert plan.stages[0].filters == ()


@pytest.mark.parametrize(
    "filter_",
    [
        stage("attribute_filter", field="score", operator="gte", value=0.5),
        stage("attribute_filter", field="features.emb.score", operator="gte", value=0.5),
        stage("attribute_filter", field="{{INPUT.path}}", value="acme"),
        stage("attribute_filter", field="brand", value="{{STAGE.feature_search.count}}"),
        {**ACME, "on_error": "skip"},
        {**ACME, "output_alias": "acme"},
    ],
)
def test_a_filter_of_what_is_computed_or_not_its_own_stays(filter_: JsonObject) -> None:
    plan = plan_of(search_stage(), filter_)
    assert len(plan.stages) == 2
    assert plan.stages[0].filters == ()


def test_a_filter_before_a_search_constrains_it() -> None:
    plan = plan_of(ACME, search_stage())
    assert [s.stage_id for s in plan.stages] == ["feature_search"]
    assert plan.stages[0].moved == ("attribute_filter",)


def test_pre_filters_of_any_stage_stand_before_it() -> None:
    sort = stage("sort_attribute", field="price")
    sort["config"]["pre_filters"] = {"brand": "acme"}
    plan = plan_of(search_stage(), sort)
    assert [s.stage_id for s in plan.stages] == ["feature_search", "sort_attribute"]
    assert len(plan.stages[0].filters) == 1


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with running_app(tmp_path_factory.mktemp("data")) as app:
        yield [make_world(app, "plain"), make_world(app, "mixed", mixed=True)]


conditions = st.one_of(
    st.builds(
        lambda op, value: {"field": "brand", "operator": op, "value": value},
        st.sampled_from(["eq", "ne", "contains"]),
        st.sampled_from(["acme", "zeta", "o"]),
    ),
    st.builds(
        lambda op, value: {"field": "price", "operator": op, "value": value},
        st.sampled_from(["gt", "lte", "eq"]),
        st.integers(0, 3),
    ),
    st.just({"field": "meta.group", "operator": "exists", "value": True}),
    st.just({"NOT": {"field": "tags", "value": "red"}}),
)


def test_the_k_best_that_pass_are_the_k_best_of_those_that_pass(worlds: list[World]) -> None:
    @given(
        raw=conditions,
        k=st.integers(1, 30),
        number=st.integers(0, 1),
        query=st.integers(0, 3),
        optimize=st.booleans(),
    )
    @quick
    def check(raw: JsonObject, k: int, number: int, query: int, optimize: bool) -> None:
        world = worlds[number]
        more = {"collection_identifiers": ["main"], "limit": 500}
        everything = world.run([search_stage(final_top_k=200)], optimize=False, query=query, **more)
        tree = parse_filter(raw)
        assert tree is not None
        expected = [d for d in everything["documents"] if matches(tree, d)][:k]
        stages = [search_stage(final_top_k=k), stage("attribute_filter", conditions=raw)]
        assert world.run(stages, optimize=optimize, query=query, **more)["documents"] == expected

    check()


@given(stages=retrievers())
@quick
def test_no_filter_is_lost_and_plans_survive_the_cache(stages: Stages) -> None:
    plan = plan_of(*stages)
    assert plan_from_json(plan_to_json(plan)) == plan
    written = sorted(index for node in plan.stages for index in {*node.written})
    assert sorted(set(written)) == list(range(len(stages)))
    kinds = [s["config"]["stage_id"] for s in stages]
    left = [node.stage_id for node in plan.stages if not node.stage_name.endswith("pre_filters")]
    gone = [name for node in plan.stages for name in node.moved]
    own = [name for name in gone if not name.endswith(".pre_filters")]
    assert len(left) + len(own) == len(kinds)
    assert all(s["stage_name"] in gone or s["config"]["stage_id"] in left for s in stages)


def test_pre_filters_on_the_score_keep_their_filter_behind_the_search() -> None:
    late = stage("attribute_filter", field="brand", value="acme")
    late["config"]["pre_filters"] = {"field": "score", "operator": "gte", "value": 0.5}
    plan = plan_of(search_stage(), late)
    assert len(plan.stages) == 2
    assert plan.stages[0].filters == ()
