"""The optimizer's promise: with and without it, every retriever gives the same answer."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.app import App
from core.errors import InvalidRequestError
from core.models.base import parse_model
from core.models.retriever import Retriever, StageSpec
from core.optimizer.optimizer import RULES, optimize
from core.plan.build import build_plan
from core.plan.nodes import Plan, plan_from_json, plan_to_json
from tests.core.optimizer.retrievers import Stages, filters, retrievers
from tests.core.optimizer.worlds import World, make_world
from tests.core.service import running_app

quick = settings(
    derandomize=True,
    deadline=None,
    max_examples=400,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with running_app(tmp_path_factory.mktemp("data")) as app:
        yield app


@pytest.fixture(scope="module")
def worlds(app: App) -> list[World]:
    return [
        make_world(app, "plain"),
        make_world(app, "mixed", mixed=True),
        make_world(app, "dotted", mixed=True, dotted=True),
        make_world(app, "cold", mixed=True, warm=False),
    ]


def plan_of(stages: Stages) -> Plan | None:
    """Return the plan as written, None for a retriever that is refused."""
    specs = tuple(parse_model(StageSpec, stage) for stage in stages)
    retriever = Retriever(
        retriever_id="ret_1", namespace_id="ns_1", retriever_name="r", stages=specs
    )
    try:
        return build_plan(retriever)
    except InvalidRequestError:
        return None


def test_every_answer_is_the_same(worlds: list[World]) -> None:
    fired: Counter[str] = Counter()

    @given(
        stages=retrievers(),
        number=st.integers(0, 3),
        query=st.integers(0, 3),
        both=st.booleans(),
        asked=st.one_of(st.none(), filters),
    )
    @quick
    def check(stages: Stages, number: int, query: int, both: bool, asked: object) -> None:
        world = worlds[number]
        more = {
            "collection_identifiers": ["main", "others"] if both else ["main"],
            "filters": asked,
            "limit": 500,
        }
        written = world.run(stages, optimize=False, query=query, **more)
        assert world.run(stages, optimize=True, query=query, **more) == written
        plan = plan_of(stages)
        if plan is not None and "raised" not in written:
            fired.update(d.rule for d in optimize(plan).decisions if d.applied)

    check()
    # A generator that no longer tries every rule would prove nothing.
    assert set(fired) == {rule.__name__ for rule in RULES}


@given(stages=retrievers())
@quick
def test_a_plan_is_optimized_at_once_and_survives_the_cache(stages: Stages) -> None:
    plan = plan_of(stages)
    if plan is None:
        return
    once = optimize(plan)
    assert optimize(replace(once, decisions=())).stages == once.stages
    assert plan_from_json(plan_to_json(once)) == once
    assert all(decision.reason for decision in once.decisions)
