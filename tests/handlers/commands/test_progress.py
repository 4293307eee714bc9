"""What is said during a long call: on a terminal alone, and one line at an end by Ctrl-C."""

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
import pytest
from click.testing import CliRunner

from handlers.cli import Commands
from handlers.commands.progress import progress_line
from handlers.scanning import Reference, Scanner
from handlers.scans import ScanCaller
from tests.handlers.commands.command_line import Trawl, load_folder, make_retriever


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_is_told_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    with progress_line() as say:
        say("reading a\x1b[31m.mp4")
    said = shown.getvalue()
    assert "0 s  reading a\N{REPLACEMENT CHARACTER}[31m.mp4" in said
    # The line goes, and the cursor comes back.
    assert said.endswith("\x1b[2K")
    assert "\x1b[?25h" in said


def test_a_pipe_is_told_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_line() as say:
        say("reading")
    assert capsys.readouterr() == ("", "")


class Service:
    """Answers every scan and batch with as many files as it was sent."""

    namespace = None

    def call(self, method: str, path: str, body: Any) -> Any:
        if path.endswith("/batch"):
            return {"results": [{"status": "completed"} for _ in body["queries"]]}
        files = [{"sha256": None} for _ in body["files"]]
        return {"scan_id": "scan_1", "retrievers": [], "files": files}


@pytest.mark.parametrize("kind", [Scanner, ScanCaller])
def test_files_are_named_as_they_are_read(tmp_path: Path, kind: Any) -> None:
    for n in range(51):
        (tmp_path / f"{n}.png").write_bytes(b"x" * 1000)
    files = [Reference(str(tmp_path / f"{n}.png")) for n in range(51)]
    said: list[str] = []
    client: Any = Service()
    caller = kind(client, "ret_1", "image") if kind is Scanner else kind(client, ("ret_1",))
    caller.scan(files, say=said.append)
    assert said[0] == f"0 of 51 files answered; reading {files[0].name}"
    assert said[50] == "0 of 51 files answered; waiting for 50, 0.1 MB as sent"
    assert said[-1] == "50 of 51 files answered; waiting for 1, 0.0 MB as sent"


def interrupt_in(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Let Ctrl-C come when that function is called, and the process end as one that tests see."""

    def interrupt(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    def leave(status: int) -> NoReturn:
        raise SystemExit(status)

    monkeypatch.setattr(place, interrupt)
    monkeypatch.setattr(os, "_exit", leave)


@pytest.mark.parametrize("command", [("scan", "--retriever", "copies"), ("batch", "copies")])
def test_ctrl_c_while_waiting_ends_with_one_line(
    trawl: Trawl, folder: Path, command: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load_folder(trawl, folder)
    make_retriever(trawl)

    interrupt_in(monkeypatch, "handlers.scanning.Reference.read")
    ended = trawl.run(*command, str(folder / "0.png"), status=130)
    assert (ended.stdout, ended.stderr) == ("", "stopped; nothing was judged\n")


def test_ctrl_c_while_the_report_is_made_takes_no_answer_away(
    trawl: Trawl, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_folder(trawl, folder)
    make_retriever(trawl)

    interrupt_in(monkeypatch, "handlers.report.making.make_report")
    words = ("scan", str(folder / "0.png"), "--retriever", "copies")
    ended = trawl.run(*words, "--report", str(tmp_path / "r.html"), status=130)
    assert "1 block" in ended.stdout
    assert ended.stderr == "stopped; the report was not written, the scan is kept\n"


def test_ctrl_c_before_that_is_no_error_either() -> None:

    class Slow(Commands):
        """Is interrupted while a command is imported."""

        def get_command(self, ctx: click.Context, cmd_name: str) -> NoReturn:
            raise KeyboardInterrupt

    ended = CliRunner().invoke(Slow("trawl"), ["scan"])
    assert (ended.exit_code, ended.stderr) == (130, "stopped\n")
