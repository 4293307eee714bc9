"""Names that nobody vouches for: what a terminal would obey, what is no text, what is a secret."""

import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest
from rich.console import Console

from handlers.client import Client
from handlers.commands.output import print_table
from handlers.scanning import Reference
from handlers.scans import ScanReport, find_scanned
from tests.core.media.pictures import encode, landscape
from tests.handlers.commands.command_line import Trawl, load_folder, make_retriever

SIGNED = "https://user:password@localhost/a.png?X-Amz-Signature=abcdef"


@pytest.fixture
def ready(trawl: Trawl, folder: Path) -> Trawl:
    load_folder(trawl, folder)
    make_retriever(trawl)
    return trawl


@pytest.mark.parametrize("command", [("scan", "--retriever", "copies"), ("batch", "copies")])
def test_a_name_that_is_no_text_is_answered_as_json(
    ready: Trawl, tmp_path: Path, command: tuple[str, ...]
) -> None:
    path = tmp_path / "bad\udce9.png"
    path.write_bytes(encode(landscape(1), "PNG"))
    shown = ready.json(*command, str(path))
    (file,) = shown if command[0] == "batch" else shown["files"]
    assert file["file"].endswith("bad?.png")
    if command[0] == "scan":
        (again,) = ready.json("scan", "--scan", *shown["scans"], str(tmp_path))["files"]
        assert again["file"].endswith("bad?.png")


def test_a_job_takes_a_file_whose_name_is_no_text(ready: Trawl, tmp_path: Path) -> None:
    path = tmp_path / "bad\udce9.png"
    path.write_bytes(encode(landscape(1), "PNG"))
    ready.run("jobs", "run", "copies", str(path), "--output", str(tmp_path / "out"))
    assert "bad?.png" in (tmp_path / "out" / "results.jsonl").read_text("utf-8")


def test_a_report_holds_no_signature_and_json_no_signed_address(
    ready: Trawl, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "report.html"
    options = ("--retriever", "copies", "--report", str(page), "--json")
    real = Client.call

    def signing(*args: Any, **more: Any) -> Any:
        answer = real(*args, **more)
        for file in answer.get("files", ()) if isinstance(answer, dict) else ():
            for cell in file["retrievers"].values():
                for document in cell["documents"]:
                    document["document_blobs"] = [{"url": "s3://a/b", "presigned_url": "SECRET"}]
                    document["page_presigned_url"] = "SECRET"
        return answer

    monkeypatch.setattr(Client, "call", signing)
    said = ready.run("scan", SIGNED, str(folder / "0.png"), *options, status=1).stdout
    assert "SECRET" not in said
    assert '"url": "s3://a/b"' in said
    written = page.read_text("utf-8")
    assert "https://localhost/a.png" in written
    assert "abcdef" not in written
    assert "password@" not in written


@pytest.mark.parametrize(
    ("name", "label"),
    [
        (SIGNED, "https://localhost/a.png"),
        ("s3://bucket/a@b/c.png", "s3://bucket/a@b/c.png"),
        ("HTTPS://h?x@y", "HTTPS://h"),
        ("what?.png", "what?.png"),
        ("data:image/png;base64,AAAA", "data:…"),
        ("\udce9.png", "?.png"),
    ],
)
def test_a_label_leaves_out_what_may_be_secret(name: str, label: str) -> None:
    assert Reference(name).label == label


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in (str(tmp_path / "pipe"), "/dev/zero"):
        with pytest.raises(ValueError, match="not a regular file"):
            Reference(name).read()


def test_a_folder_whose_name_a_terminal_would_obey_is_told_harmlessly(
    trawl: Trawl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x\x1b[31m").mkdir()

    def refuse(place: Any) -> NoReturn:
        raise PermissionError(13, "Permission denied", os.fspath(place))

    monkeypatch.setattr(os, "scandir", refuse)
    said = trawl.run("scan", str(tmp_path / "x\x1b[31m"), "--retriever", "copies", status=1).stderr
    assert "x\N{REPLACEMENT CHARACTER}[31m: the folder cannot be read" in said
    assert "\x1b" not in said


def test_a_retrievers_name_is_no_markup(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr("rich.console.Console", lambda: Console(width=80, file=sys.stdout))
    print_table(("file", "a[red]b\x1b"), [("x", "y")])
    shown = capsys.readouterr().out
    assert "a[red]b\N{REPLACEMENT CHARACTER}" in shown


def test_what_cannot_be_read_was_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"x")

    def refuse(*_: object) -> NoReturn:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    report = ScanReport(files=[{"file": "a", "sha256": "ab"}])
    find_scanned(report, [Reference(str(path))])
    assert report.paths == {}
