"""Files against several retrievers: a file takes its worst verdict; none is clear by chance."""

import re
from pathlib import Path
from typing import Any

import pytest

from handlers.client import Client
from handlers.client_errors import UnreachableError
from handlers.scanning import Reference
from handlers.scans import ScanReport, _named
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
    assert lines[-2] == "2 files: 1 block, 1 clear"
    assert re.fullmatch(r"kept as scan_[0-9a-f]{24}", lines[-1])


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


def test_a_folder_stands_for_the_files_below_it(two: Trawl, folder: Path) -> None:
    shown = two.json("scan", str(folder), *RETRIEVERS)
    names = ["0.png", "1.png", "2.png", "other/z.png", "sub/3.png"]
    assert [file["file"] for file in shown["files"]] == [str(folder / name) for name in names]
    (folder / "empty").mkdir()
    said = two.run("scan", str(folder / "empty"), *RETRIEVERS, status=1).stderr
    assert "no files in the folder" in said


@pytest.mark.parametrize("command", [("scan", *RETRIEVERS), ("batch", "copies")])
def test_hidden_files_of_a_folder_are_not_passed_over_in_silence(
    two: Trawl, folder: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "in" / ".kept").mkdir(parents=True)
    (tmp_path / "in" / "new.png").write_bytes(encode(landscape(99), "PNG"))
    (tmp_path / "in" / ".copy.png").write_bytes((folder / "0.png").read_bytes())
    said = two.run(*command, str(tmp_path / "in")).stderr
    assert said.startswith("hidden, and therefore not looked at unless named: ")
    assert ".kept" in said
    assert ".copy.png" in said
    named = [str(tmp_path / "in" / name) for name in ("new.png", ".copy.png")]
    assert two.run(*command, *named).stderr == ""


def test_an_earlier_scan_is_shown_again(two: Trawl, folder: Path, tmp_path: Path) -> None:
    names = [str(folder / "0.png"), str(tmp_path / "no.png"), str(tmp_path / "cut.png")]
    (tmp_path / "cut.png").write_bytes((folder / "0.png").read_bytes()[:300])
    first = two.json("scan", *names, *RETRIEVERS, status=1)
    again = two.json("scan", "--scan", *first["scans"], status=1)
    # What never reached the service is no part of what it kept.
    assert [file["file"] for file in again["files"]] == [names[0], names[2]]
    assert [file["verdict"] for file in again["files"]] == ["block", "unknown"]
    assert again["retrievers"] == first["retrievers"]
    said = two.run("scan", "--scan", *first["scans"], status=1).stdout
    assert said.splitlines()[1].split()[1:3] == ["block", "0.png"]
    assert "2 files: 1 block, 1 unknown" in said


def test_scans_of_other_retrievers_are_no_one_table(two: Trawl, folder: Path) -> None:
    picture = str(folder / "0.png")
    ids = [two.json("scan", picture, *RETRIEVERS[:n])["scans"][0] for n in (2, 4)]
    said = two.run("scan", "--scan", ids[0], "--scan", ids[1], status=1).stderr
    assert "different retrievers" in said
    assert "not found" in two.run("scan", "--scan", "scan_" + "0" * 24, status=1).stderr


@pytest.mark.parametrize(
    "words", [("--scan", "scan_1", "--retriever", "r"), ("x.png",), ("--retriever", "r")]
)
def test_what_would_mean_two_things_or_none_is_refused(
    trawl: Trawl, words: tuple[str, ...]
) -> None:
    trawl.run("scan", *words, status=2)


def test_names_are_sent_without_what_may_be_secret() -> None:
    long = "a" * 300 + ".png"
    assert _named(Reference(long), "")["id"] == "…" + long[-199:]
    assert _named(Reference("https://h/a.png?X-Amz-Signature=1"), "")["id"] == "https://h/a.png"
    assert "id" not in _named(Reference("data:image/png;base64,AA"), "")
    assert _named(Reference("\udce9.png"), "")["id"] == "?.png"


@pytest.mark.parametrize("failed", [0, 1])
def test_a_canary_that_one_of_several_scans_missed_was_not_found(failed: int) -> None:
    report = ScanReport()
    for n in range(3):
        found = n != failed
        reason = None if found else {"code": "canary_missing", "message": "it was not found"}
        canary = {"document_id": "d", "found": found, "reason": reason}
        one = {"retriever_id": "r", "retriever_name": "r", "version": 1, "canary": canary}
        other = {"retriever_id": "s", "retriever_name": "s", "version": 1, "canary": None}
        ordered = [one, other] if n else [other, one]
        report.add({"scan_id": f"scan_{n}", "retrievers": ordered, "files": []})
    canaries = {one["retriever_id"]: one["canary"] for one in report.retrievers}
    assert canaries["s"] is None
    assert canaries["r"]["found"] is False
    said = canaries["r"]["reason"]["message"]
    assert said == ("in scan_1: " if failed else "") + "it was not found"


def test_what_was_answered_before_a_call_failed_is_not_lost(
    two: Trawl, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 51 files the last goes in a call of its own."""
    real, calls = Client.call, []

    def failing(self: Client, method: str, path: str, *rest: Any, **more: Any) -> Any:
        calls.append(path)
        if path == "/v1/scans" and calls.count(path) == 2:
            raise UnreachableError("the service does not answer")
        return real(self, method, path, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Client, "call", failing)
        names = [str(folder / "0.png")] * 51
        said = two.run("scan", *names, "--retriever", "copies", status=1).stderr
    assert "the service does not answer; what was answered before is kept" in said
    again = two.run(*said.partition(": trawl ")[2].split()).stdout
    assert "50 files: 50 block" in again
