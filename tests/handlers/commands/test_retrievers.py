"""Retrievers made, listed and explained from the command line."""

from pathlib import Path
from typing import Any, cast

import pytest

from handlers.client import Client
from handlers.client_errors import ClientError
from handlers.commands.explain import describe_plan
from handlers.commands.retrievers import create_search
from tests.handlers.commands.command_line import (
    INTO_PHOTOS,
    Trawl,
    load_folder,
    make_retriever,
    write_pictures,
)


def test_the_plan_is_shown(trawl: Trawl, folder: Path) -> None:
    load_folder(trawl, folder)
    make_retriever(trawl)
    shown = trawl.run("explain", "copies").stdout
    assert "as written" in shown
    assert "nearest (feature_search)" in shown
    plan = trawl.json("explain", "copies")
    assert plan["plan_before"][0]["stage_id"] == "feature_search"


def test_what_was_written_is_shown_as_it_was_written() -> None:
    search = {"stage_id": "feature_search", "parameters": {"final_top_k": 5}}
    kept = {"stage_id": "attribute_filter", "parameters": {"field": "brand", "value": "a"}}
    written = [{"stage_name": "near", "config": search}, {"stage_name": "brand", "config": kept}]
    runs = {"stage_name": "near", **search, "filters": ["…"], "filters_moved_from": ["brand"]}
    plan = {
        "retriever_id": "ret_1",
        "retriever_name": "r",
        "plan_before": [runs],
        "plan_after": [runs],
        "optimization_details": {"decisions": []},
    }
    lines = describe_plan(plan, written)
    first, _, rest = "\n".join(lines).partition("as it runs")
    assert "1. near (feature_search)\n       final_top_k: 5\n  2. brand (attribute_filter)" in first
    assert "constrained to" not in first
    assert "brand (attribute_filter)" not in rest
    assert "'near' takes that of 'brand'" in rest
    assert "runs as it is written" not in rest


def test_retrievers_are_listed(trawl: Trawl, folder: Path) -> None:
    assert trawl.json("load", str(folder), *INTO_PHOTOS)
    make_retriever(trawl)
    assert [one["retriever_name"] for one in trawl.json("retrievers", "list")] == ["copies"]
    assert "copies" in trawl.run("retrievers", "list").stdout
    shown = trawl.run("retrievers", "create", "copies", *INTO_PHOTOS, status=1)
    assert "already exists" in shown.stderr
    shown = trawl.run(
        "retrievers", "create", "x", "--collection", "no", "--extractor", "image.pdq", status=1
    )
    assert "no" in shown.stderr


@pytest.mark.parametrize("words", [["batch", "nope", "x.png"], ["explain", "nope"]])
def test_what_is_not_there_is_named(trawl: Trawl, folder: Path, words: list[str]) -> None:
    load_folder(trawl, folder)
    assert "retriever not found: nope" in trawl.run(*words, status=1).stderr


def test_a_canary_is_named_by_its_id_or_its_files_path(trawl: Trawl, folder: Path) -> None:
    load_folder(trawl, folder)
    found = trawl.json("documents", "list", "photos")
    ids = {one["path"]: one["document_id"] for one in found}
    create = ("retrievers", "create")
    for name, given in (("one", "sub/3.png"), ("two", ids["sub/3.png"])):
        made = trawl.json(*create, name, *INTO_PHOTOS, "--canary", given)
        assert made["verdict"]["canary"] == ids["sub/3.png"]
    shown = trawl.run(*create, "no", *INTO_PHOTOS, "--canary", "baboon.jpg", status=1).stderr
    assert "no document baboon.jpg in collection photos; known: " in shown
    assert "0.png" in shown
    assert {one["retriever_name"] for one in trawl.json("retrievers", "list")} == {"one", "two"}
    write_pictures(folder / "other", 1, first=8)
    (folder / "0.png").write_bytes((folder / "other" / "8.png").read_bytes())
    load_folder(trawl, folder)
    shown = trawl.run(*create, "no", *INTO_PHOTOS, "--canary", "0.png", status=1).stderr
    assert "several documents in photos are of a file 0.png" in shown
    assert ids["0.png"] in shown


class Service:
    """Knows two versions of an extractor, and one collection that has the older."""

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Answer with the extractors, or with the retriever as it was asked for."""
        if method == "POST":
            return body
        known = {"feature_extractor_name": "image.pdq", "modalities": ["image"]}
        return [
            {**known, "version": version, "feature_uri": f"mixpeek://image.pdq@{version}/hash"}
            for version in ("v2", "v1")
        ]

    def find(self, path: str) -> Any:
        """Return the collection; None for any other."""
        own = {"feature_extractor_name": "image.pdq", "version": "v1"}
        return {"feature_extractor": own} if path.endswith("/old") else None


@pytest.mark.parametrize(
    ("extractor", "collection", "version"),
    [
        ("image.pdq", "old", "v1"),
        ("image.pdq", "new", "v2"),
        ("image.pdq@v1", "new", "v1"),
        ("image.pdq@v2", "old", "v2"),
    ],
)
def test_a_name_alone_means_the_collections_version(
    extractor: str, collection: str, version: str
) -> None:
    made = create_search(cast(Client, Service()), "r", (collection,), extractor)
    [search] = made["stages"][0]["config"]["parameters"]["searches"]
    assert search["feature_uri"] == f"mixpeek://image.pdq@{version}/hash"


def test_a_version_that_is_not_there_is_refused() -> None:
    with pytest.raises(ClientError, match="known: image.pdq@v2, image.pdq@v1"):
        create_search(cast(Client, Service()), "r", ("old",), "image.pdq@v3")


def test_a_rule_of_its_own_is_given_whole(trawl: Trawl, folder: Path) -> None:
    load_folder(trawl, folder)
    create = ("retrievers", "create", "strict", *INTO_PHOTOS, "--block-at", "0.99")
    assert "give both" in trawl.run(*create, status=2).stderr
    made = trawl.json(*create, "--review-at", "0.9")
    assert (made["verdict"]["block_at"], made["verdict"]["review_at"]) == (0.99, 0.9)
