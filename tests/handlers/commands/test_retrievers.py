"""Retrievers made, listed and explained from the command line."""

from pathlib import Path

import pytest

from tests.handlers.commands.command_line import INTO_PHOTOS, Trawl, load_folder, make_retriever


def test_the_plan_is_shown(trawl: Trawl, folder: Path) -> None:
    load_folder(trawl, folder)
    make_retriever(trawl)
    shown = trawl.run("explain", "copies").stdout
    assert "as written" in shown
    assert "nearest (feature_search)" in shown
    plan = trawl.json("explain", "copies")
    assert plan["plan_before"][0]["stage_id"] == "feature_search"


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
