"""Files against several retrievers: a file takes its worst verdict; none is clear by chance."""

from pathlib import Path

import pytest

from tests.core.media.pictures import encode, landscape
from tests.handlers.commands.command_line import Trawl, load_folder, make_retriever


@pytest.fixture
def two(trawl: Trawl, folder: Path) -> Trawl:
    """Retrievers of copies and of others, the latter over a collection without any of them."""
    load_folder(trawl, folder)
    make_retriever(trawl)
    (folder / "other").mkdir()
    (folder / "other" / "z.png").write_bytes(encode(landscape(50), "PNG"))
    names = ("--collection", "others", "--extractor", "image.pdq")
    trawl.run("load", str(folder / "other"), *names)
    trawl.run("retrievers", "create", "strangers", *names)
    return trawl


RETRIEVERS = ("--retriever", "copies", "--retriever", "strangers")


def test_each_file_takes_the_worst_of_its_verdicts(
    two: Trawl, folder: Path, tmp_path: Path
) -> None:
    stranger = tmp_path / "new.png"
    stranger.write_bytes(encode(landscape(99), "PNG"))
    files = [str(folder / "0.png"), str(stranger)]
    shown = two.json("scan", *files, *RETRIEVERS)
    assert [file["verdict"] for file in shown["files"]] == ["block", "clear"]
    assert [file["file"] for file in shown["files"]] == files
    assert len(shown["scans"]) == 1
    words = {name: cell["verdict"] for name, cell in shown["files"][0]["retrievers"].items()}
    assert words == {"copies": "block", "strangers": "clear"}
    lines = two.run("scan", *files, *RETRIEVERS).stdout.splitlines()
    titles = ["file", "verdict", "best", "match", "distance", "where", "copies", "strangers"]
    assert lines[0].split() == titles
    assert lines[1].split()[1:3] == ["block", "0.png"]
    assert lines[1].split()[-3:] == ["whole", "block", "clear"]
    assert lines[-1] == "2 files: 1 block, 1 clear"


def test_what_cannot_be_judged_is_unknown_and_fails(
    two: Trawl, folder: Path, tmp_path: Path
) -> None:
    whole = (folder / "0.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    files = [str(tmp_path / "cut.png"), str(tmp_path / "no.png"), str(folder / "0.png")]
    shown = two.json("scan", *files, *RETRIEVERS, status=1)
    assert [file["verdict"] for file in shown["files"]] == ["unknown", "unknown", "block"]
    text = two.run("scan", *files, *RETRIEVERS, status=1).stdout
    assert "No such file" in text
    assert "(copies, strangers)" in text
    assert "1 clear" not in text


@pytest.mark.parametrize(("option", "status"), [("block", 1), ("review", 1), ("unknown", 0)])
def test_a_block_fails_where_it_is_asked_to(
    two: Trawl, folder: Path, option: str, status: int
) -> None:
    two.run("scan", str(folder / "0.png"), *RETRIEVERS, "--fail-on", option, status=status)


def test_more_files_than_a_call_takes_keep_their_order(two: Trawl, folder: Path) -> None:
    names = [str(folder / f"{n % 3}.png") for n in range(53)]
    shown = two.json("scan", *names, "--retriever", "copies")
    assert len(shown["scans"]) == 2
    found = [file["retrievers"]["copies"]["best_match"]["name"] for file in shown["files"]]
    assert found == [f"{n % 3}.png" for n in range(53)]


def test_a_retriever_that_is_not_there_is_named(two: Trawl, folder: Path) -> None:
    error = two.run("scan", str(folder / "0.png"), "--retriever", "missing", status=1).stderr
    assert "retriever not found: missing" in error
