"""What the rules are for: work that is not done any more, counted where it would be done."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.storage.segments import Segment
from core.types import JsonObject
from tests.core.optimizer.worlds import World, make_world
from tests.core.service import running_app, search_stage, stage

SEARCH = search_stage(final_top_k=50)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running_app(tmp_path_factory.mktemp("data")) as app:
        yield make_world(app, "plain")


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect the documents that are read from storage."""
    rows: list[int] = []
    read = Segment.payload

    def counted(segment: Segment, row: int) -> JsonObject:
        rows.append(row)
        return read(segment, row)

    monkeypatch.setattr(Segment, "payload", counted)
    return rows


def run(world: World, *stages: JsonObject, **more: Any) -> JsonObject:
    return world.run(list(stages), optimize=True, query=1, collection_identifiers=["main"], **more)


def test_a_search_reads_the_documents_of_the_page_alone(world: World, parsed: list[int]) -> None:
    answer = run(world, SEARCH, limit=4)
    assert answer["total"] == 50
    assert len(answer["documents"]) == len(parsed) == 4
    assert all({"tags", "meta", "text"} <= d.keys() for d in answer["documents"])


def test_sorting_by_a_nested_field_shows_whole_objects(world: World, parsed: list[int]) -> None:
    answer = run(world, SEARCH, stage("sort_attribute", field="meta.group"), limit=5)
    assert len(parsed) == 5
    assert all(d["meta"].keys() == {"group", "k", "list"} for d in answer["documents"])
    groups = [d["meta"]["group"] for d in answer["documents"]]
    assert groups == sorted(groups, reverse=True)


def test_writing_into_an_object_keeps_the_rest_of_it(world: World, parsed: list[int]) -> None:
    scale = stage("score_normalize", method="min_max", output_field="meta.norm")
    answer = run(world, SEARCH, scale, limit=3)
    assert len(parsed) == 3
    assert all(d["meta"].keys() == {"group", "k", "list", "norm"} for d in answer["documents"])


@pytest.mark.parametrize("mode", ["first", "flatten", "all"])
def test_documents_that_no_group_keeps_are_never_read(
    world: World, parsed: list[int], mode: str
) -> None:
    grouping = {"group_by_field": "brand", "output_mode": mode, "max_per_group": 2}
    answer = run(world, SEARCH, stage("group_by", **grouping), limit=100)
    shown = sum(len(d.get("documents", [d])) for d in answer["documents"])
    assert 0 < shown < 10
    assert len(parsed) == shown


def test_nor_if_a_later_stage_wants_whole_documents(world: World, parsed: list[int]) -> None:
    group = stage("group_by", group_by_field="brand", output_mode="first")
    answer = run(world, SEARCH, group, stage("json_transform", template="{{DOC}}"), limit=100)
    assert len(parsed) == len(answer["documents"]) == 4


def test_what_a_filter_drops_is_never_read(world: World, parsed: list[int]) -> None:
    late = stage("attribute_filter", field="price", operator="lt", value=1)
    answer = run(world, SEARCH, stage("limit", limit=40, offset=1), late, limit=100)
    assert 0 < len(answer["documents"]) < 20
    assert len(parsed) == len(answer["documents"])


def test_a_limit_behind_a_join_spares_its_lookups(world: World, parsed: list[int]) -> None:
    join = stage(
        "document_enrich",
        target_collection_id="others",
        source_field="brand",
        target_field="name",
        output_field="joined",
    )
    answer = run(world, SEARCH, join, stage("limit", limit=1), limit=100)
    assert answer["total"] == 1
    assert len(parsed) == 2  # the document and the one joined to it


def test_a_path_may_be_the_name_of_a_field(tmp_path: Path) -> None:
    with running_app(tmp_path) as app:
        dotted = make_world(app, "dotted", dotted=True)
        by_path = [SEARCH, stage("sort_attribute", field="a.b")]
        more: JsonObject = {"query": 1, "collection_identifiers": ["main"]}
        fast, slow = (dotted.run(by_path, optimize=on, **more) for on in (True, False))
    assert any("a.b" in d for d in slow["documents"])
    assert fast == slow


def test_a_scan_of_several_collections_stops_at_one_limit(world: World, parsed: list[int]) -> None:
    scan = stage("attribute_filter", field="brand", operator="exists", value=True)
    stages = [scan, stage("limit", limit=3)]
    more: JsonObject = {"query": 1, "collection_identifiers": ["main", "others"]}
    answer = world.run(stages, optimize=True, **more)
    assert len(parsed) == 3
    assert answer == world.run(stages, optimize=False, **more)


JOIN = {"target_collection_id": "others", "source_field": "brand", "target_field": "name"}


@pytest.mark.parametrize(
    "late",
    [
        # What stays of a replaced document is its identity, `_internal` with it.
        stage("document_enrich", **JOIN, strategy="replace"),
        stage("document_enrich", **JOIN, strategy="replace", fields_to_merge=["n"]),
        # An error names the fields that there are.
        stage("json_transform", template='{"x": {{DOC.nowhere}}}'),
        # A template may ask whether a field is there.
        stage("json_transform", template='{"x": "{{DOC.text is defined}}{{DOC.no is defined}}"}'),
    ],
    ids=["replace", "replace with some", "failing template", "asking template"],
)
def test_what_was_not_loaded_is_not_missed(world: World, late: JsonObject) -> None:
    more: JsonObject = {"query": 1, "collection_identifiers": ["main"], "limit": 500}
    stages = [SEARCH, late]
    assert world.run(stages, optimize=True, **more) == world.run(stages, optimize=False, **more)


def test_stored_features_stay_beside_those_of_a_later_search(tmp_path: Path) -> None:
    scan = stage("attribute_filter", field="brand", operator="exists", value=True)
    stages = [scan, stage("limit", limit=50, offset=1), SEARCH]
    more: JsonObject = {"query": 1, "collection_identifiers": ["main"], "limit": 500}
    with running_app(tmp_path) as app:
        mixed = make_world(app, "mixed", mixed=True)
        fast, slow = (mixed.run(stages, optimize=on, **more) for on in (True, False))
    assert any(d["features"].keys() == {"own", "emb"} for d in slow["documents"])
    assert fast == slow
