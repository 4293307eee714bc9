"""`trawl scan --report`: the page beside the table, with the files that are on this machine."""

from pathlib import Path

import pytest

from tests.core.media.pictures import encode, landscape
from tests.handlers.commands.command_line import (
    INTO_PHOTOS,
    Trawl,
    load_folder,
    make_retriever,
)
from tests.servers import Server

COPIES = ("--retriever", "copies")


@pytest.fixture
def ready(trawl: Trawl, folder: Path) -> Trawl:
    load_folder(trawl, folder)
    make_retriever(trawl)
    return trawl


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the picture in the inner folder, under a name that is markup."""
    path = tmp_path / "<b>copy.jpg"
    path.write_bytes(encode(landscape(4).resize((200, 150)), "JPEG"))
    return path


@pytest.mark.parametrize("named", [False, True])
def test_both_files_of_a_match_are_in_the_report(
    ready: Trawl, folder: Path, copy: Path, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = copy.with_name("report.html")
    options = ["--report", str(page)]
    if named:
        monkeypatch.setenv("XDG_STATE_HOME", str(copy.with_name("of another machine")))
        options += ["--references", str(folder)]
    said = ready.run("scan", str(copy), *COPIES, *options).stdout
    assert said.splitlines()[-1] == f"report: {page}"
    written = page.read_text("utf-8")
    assert written.count("data:image/jpeg;base64,") == 2
    assert "sub/3.png" in written
    assert "&lt;b&gt;copy.jpg" in written
    assert "<b>copy" not in written
    assert "photos, snapshot version" in written


def test_a_report_is_made_of_what_is_unknown_too(ready: Trawl, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    options = ("--report", str(page), "--json")
    shown = ready.run("scan", str(tmp_path / "no.png"), *COPIES, *options, status=1)
    assert f"report: {page}" in shown.stderr
    assert "No such file" in page.read_text("utf-8")


def test_a_report_that_is_there_stops_the_scan_before_it_begins(
    ready: Trawl, folder: Path, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    page.write_text("evidence")
    again = ("scan", str(folder / "0.png"), *COPIES, "--report", str(page))
    refused = ready.run(*again, status=1)
    assert "--force" in refused.stderr
    assert "0.png" not in refused.stdout
    assert page.read_text() == "evidence"
    ready.run(*again, "--force")
    assert "Scan report" in page.read_text("utf-8")


def test_a_report_that_cannot_be_written_takes_no_answer_away(
    ready: Trawl, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("handlers.report.writing.os.fsync", fail)
    page = tmp_path / "report.html"
    said = ready.run("scan", str(folder / "0.png"), *COPIES, "--report", str(page), status=1)
    assert "1 file: 1 block" in said.stdout
    assert "No space left on device" in said.stderr
    assert not page.exists()
    assert not list(tmp_path.glob(".report-*"))


@pytest.mark.parametrize("option", [("--force",), ("--references", ".")])
def test_options_of_a_report_need_one(trawl: Trawl, option: tuple[str, ...]) -> None:
    assert "--report" in trawl.run("scan", "x.png", *COPIES, *option, status=2).stderr


def test_a_control_that_is_not_found_is_told_and_nothing_is_clear(
    ready: Trawl, tmp_path: Path
) -> None:
    place = ("--collection", "photos", "--extractor", "image.pdq")
    made = ready.json("retrievers", "create", "watched", *place, "--canary", "0.png")
    ready.run("documents", "delete", "photos", made["verdict"]["canary"])
    stranger, page = tmp_path / "new.png", tmp_path / "report.html"
    stranger.write_bytes(encode(landscape(99), "PNG"))
    options = ("--retriever", "watched", "--report", str(page))
    assert "1 unknown" in ready.run("scan", str(stranger), *options, status=1).stdout
    assert "NOT PASSED" in page.read_text("utf-8")


def test_without_the_references_folder_it_says_how_to_give_it(
    ready: Trawl, folder: Path, copy: Path, tmp_path: Path
) -> None:
    (folder / "sub" / "3.png").write_bytes(b"another")
    page = tmp_path / "report.html"
    ready.run("scan", str(copy), *COPIES, "--report", str(page))
    written = page.read_text("utf-8")
    assert written.count("data:image/jpeg;base64,") == 1
    assert "file is not at hand: its file has changed since it was loaded" in written


def test_an_earlier_scan_makes_a_report_too(ready: Trawl, copy: Path, tmp_path: Path) -> None:
    (scan,) = ready.json("scan", str(copy), *COPIES)["scans"]
    page = tmp_path / "report.html"
    ready.run("scan", "--scan", scan, "--report", str(page))
    # The name that the service kept opens no file; the reference is where it was loaded from.
    written = page.read_text("utf-8")
    assert written.count("data:image/jpeg;base64,") == 1
    assert "not a file on the machine" in written
    ready.run("scan", str(tmp_path), "--scan", scan, "--report", str(page), "--force")
    assert page.read_text("utf-8").count("data:image/jpeg;base64,") == 2


def test_a_reference_in_a_bucket_is_shown_by_its_signed_address(
    trawl: Trawl, folder: Path, copy: Path, request: pytest.FixtureRequest
) -> None:
    """Here the bucket is the data folder's; a server's answers point at the server."""
    load_folder(trawl, folder, "--include", "0.png")
    spaces = trawl.json("namespaces", "list", account=True)
    name = trawl.place[1] if trawl.place else "default"
    (space,) = [one["namespace_id"] for one in spaces if one["namespace_name"] == name]
    picture = encode(landscape(4), "PNG")
    if trawl.place:
        server: Server = request.getfixturevalue("server")
        server.running.app.buckets.bucket("assets").put(f"{space}/original.png", picture)
    else:
        place = Path(trawl.account[1]) / "buckets" / "assets" / space
        place.mkdir(parents=True)
        (place / "original.png").write_bytes(picture)
    manifest = copy.with_name("references.csv")
    manifest.write_text(f"path\ns3://assets/{space}/original.png\n")
    trawl.run("load", str(manifest), *INTO_PHOTOS)
    make_retriever(trawl)
    page = copy.with_name("report.html")
    trawl.run("scan", str(copy), *COPIES, "--report", str(page))
    assert page.read_text("utf-8").count("data:image/jpeg;base64,") == 2
