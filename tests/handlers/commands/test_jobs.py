"""Jobs from the command line: run, watched, fetched, continued, stopped."""

import codecs
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from handlers.cli import main
from handlers.client_errors import ClientError
from handlers.commands import jobs
from handlers.job_requests import check_size, split_words
from tests.handlers.commands.command_line import Trawl, load_folder, make_retriever


@pytest.fixture
def ready(trawl: Trawl, folder: Path) -> Trawl:
    """Four pictures loaded, and the retriever `copies`."""
    load_folder(trawl, folder)
    make_retriever(trawl)
    return trawl


def run(trawl: Trawl, *words: str, status: int = 0) -> Any:
    """Run `trawl jobs run` and return the result of the command."""
    options = [*trawl.account, *trawl.place]
    result = CliRunner().invoke(main, ["jobs", "run", *options, *words])
    assert result.exit_code == status, (result.output, result.exception)
    return result


def command(trawl: Trawl, name: str, *words: str) -> Any:
    """Run another command of `trawl jobs` and return what it printed as JSON."""
    options = [*trawl.account, *trawl.place, "--json"]
    result = CliRunner().invoke(main, ["jobs", name, *options, *words])
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


def rows(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_files_are_run_and_fetched(ready: Trawl, folder: Path, tmp_path: Path) -> None:
    files = [str(folder / "0.png"), str(folder / "1.png")]
    shown = run(ready, "copies", *files, "--output", str(tmp_path / "out"))
    assert "2 of 2 items done (100%): 2 succeeded, 0 failed" in shown.stdout
    found = rows(tmp_path / "out" / "results.jsonl")
    assert [row["id"] for row in found] == files
    names = [row["result"]["documents"][0]["path"] for row in found]
    assert names == ["0.png", "1.png"]
    assert rows(tmp_path / "out" / "errors.jsonl") == []
    listed = command(ready, "list")
    assert [one["status"] for one in listed] == ["completed"]
    job = command(ready, "status", listed[0]["job_id"])
    assert job["progress"]["succeeded"] == 2
    files_of = command(ready, "results", job["job_id"])
    assert [(one["kind"], one["items"]) for one in files_of] == [("results", 2)]
    assert command(ready, "stop", job["job_id"])["status"] == "completed"
    # What is finished is no answer for the same files later.
    run(ready, "copies", *files)
    assert len(command(ready, "list")) == 2


def test_a_file_that_cannot_be_read_costs_only_itself(
    ready: Trawl, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty.png").touch()
    bad = [str(tmp_path / "empty.png"), str(tmp_path / "none.png")]
    shown = run(ready, "copies", str(folder / "0.png"), *bad, status=1)
    assert "1 of 1 items done (100%): 1 succeeded, 0 failed" in shown.stdout
    told = [line for line in shown.stderr.splitlines() if line.startswith("not sent: ")]
    assert told == [
        f"not sent: {bad[0]}: the file is empty",
        f"not sent: {bad[1]}: No such file or directory",
    ]
    assert "none of the files can be read" in run(ready, "copies", *bad, status=1).stderr


def test_a_manifest_with_a_broken_file(ready: Trawl, folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    manifest = tmp_path / "m.jsonl"
    items = [{"id": "a", "file": "data:,x"}, {"id": "b", "inputs": {"nonsense": 1}}]
    manifest.write_text("\n".join(map(json.dumps, items)))
    out = tmp_path / "out"
    words = ["copies", "--manifest", str(manifest), "--output", str(out), "--json"]
    job = json.loads(run(ready, *words, status=1).stdout)
    assert (job["status"], job["progress"]["failed"]) == ("completed_with_errors", 2)
    assert sorted(row["id"] for row in rows(out / "errors.jsonl")) == ["a", "b"]
    # Nothing of it would be tried again: it is no answer for what is in the collection later.
    again = json.loads(run(ready, *words, status=1).stdout)
    assert again["job_id"] != job["job_id"]
    again = run(ready, *words, "--job-key", job["idempotency_key"], status=1)
    assert "did this before" in again.stderr
    assert json.loads(again.stdout)["job_id"] == job["job_id"]
    # Files of an earlier call stay until there are others to put in their place.
    options = [*ready.account, *ready.place, "--output", str(out)]
    result = CliRunner().invoke(main, ["jobs", "results", "job_none", *options])
    assert result.exit_code == 1
    assert "job not found" in result.stderr
    assert [path.name for path in sorted(out.iterdir())] == ["errors.jsonl", "results.jsonl"]
    assert len(rows(out / "errors.jsonl")) == 2


def test_a_manifest_from_windows(ready: Trawl, folder: Path, tmp_path: Path) -> None:
    image = "data:image/png;base64," + b64encode((folder / "0.png").read_bytes()).decode()
    line = json.dumps({"id": "a", "file": image}).encode()
    manifest = tmp_path / "m.jsonl"
    manifest.write_bytes(codecs.BOM_UTF8 + line + b"\r\n" + line + b"\r\n\r\n")
    assert "2 succeeded" in run(ready, "copies", "--manifest", str(manifest)).stdout


def test_what_is_asked_wrongly_is_said(ready: Trawl, folder: Path, tmp_path: Path) -> None:
    assert "name files" in run(ready, "copies", status=2).stderr
    shown = run(ready, "copies", str(folder / "none.png"), status=1)
    assert "No such file" in shown.stderr
    shown = run(ready, "nothing", str(folder / "0.png"), status=1)
    assert "retriever not found: nothing" in shown.stderr
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"file": "x"}\n{\n')
    assert "line 2" in run(ready, "copies", "--manifest", str(bad), status=1).stderr
    bad.write_text('{"wrong": 1}\n')
    assert "unknown key 'wrong'" in run(ready, "copies", "--manifest", str(bad), status=1).stderr
    shown = run(ready, "copies", "--manifest", "s3://assets/other/m.jsonl", status=1)
    assert "may not be read" in shown.stderr


def test_ctrl_c_while_waiting(ready: Trawl, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "_wait", interrupt)
    shown = run(ready, "copies", str(folder / "0.png"), status=130)
    monkeypatch.undo()
    here = "--data" in ready.account
    assert ("the same command continues it" in shown.stderr) == here
    assert ("goes on without this command" in shown.stderr) != here
    if here:
        [stopped] = command(ready, "list")
        told = CliRunner().invoke(
            main, ["jobs", "status", stopped["job_id"], *ready.account, *ready.place]
        )
        if stopped["status"] == "stopped":  # not done before it could be
            assert f"continues it (key {stopped['idempotency_key']})" in told.stdout
    again = run(ready, "copies", str(folder / "0.png"))
    assert "1 succeeded" in again.stdout
    [job] = command(ready, "list")[-1:]
    assert job["status"] == "completed"


def test_not_waiting_needs_a_server(ready: Trawl, folder: Path) -> None:
    words = ["copies", str(folder / "0.png"), "--no-wait"]
    if "--data" in ready.account:
        assert "needs a server" in run(ready, *words, status=2).stderr
    else:
        assert "job_" in run(ready, *words).stdout


def test_retrievers_come_before_files(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"")
    assert split_words(["a", "b", str(file), "c"]) == (["a", "b"], [str(file), "c"])
    assert split_words(["a", "https://x/y", "b"]) == (["a"], ["https://x/y", "b"])
    assert split_words([str(file)]) == ([str(file)], [])


def test_a_retriever_may_have_the_name_of_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logos").mkdir()
    (tmp_path / "a.jpg").write_bytes(b"")
    assert split_words(["copies", "logos", "a.jpg"]) == (["copies", "logos"], ["a.jpg"])


def test_too_large_a_body_says_what_to_do() -> None:
    with pytest.raises(ClientError, match="aws s3 cp"):
        check_size({"items": [{"file": "x" * 1000}]}, 500)
    check_size({"items": [{"file": "x"}]}, 500)
