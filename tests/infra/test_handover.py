"""What a deploy ends with: the address, and the first admin key, once."""

import json
import os
import sys
from pathlib import Path

import pytest

from core.settings import Settings
from infra import handover

OUTPUTS = {
    "ApiUrl": "https://x.example/v1",
    "TableName": "table",
    "AssetsBucketName": "assets",
    "IndexBucketName": "index",
    "ResultsBucketName": "results",
    "MediaFunctionName": "media",
    "IngestQueueUrl": "https://sqs.example/1/ingest",
    "IngestDeadLettersUrl": "https://sqs.example/1/dead",
    "JobStateMachineArn": "arn:aws:states:eu-west-1:123456789012:stateMachine:trawl-dev-jobs",
}


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    path = tmp_path / "outputs.json"
    path.write_text(json.dumps({"trawl-dev": OUTPUTS}))
    return path


def trawl_that_has(keys: str, folder: Path) -> str:
    """Return a `trawl` that lists these keys, and leaves the environment it was called in."""
    program = folder / "trawl"
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        f"print({keys!r} if sys.argv[2] == 'list' else 'sk_made')\n"
        f"json.dump(dict(os.environ), open({str(folder / 'seen.json')!r}, 'w'))\n"
    )
    program.chmod(0o700)
    return str(program)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["handover", *map(str, arguments)])
    return handover.main()


def test_the_first_deploy_makes_a_key(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(handover, "_TRAWL", trawl_that_has("[]", outputs.parent))
    monkeypatch.setenv("TRAWL_API_URL", "https://another.example")
    assert run(monkeypatch, outputs) == 0
    said = capsys.readouterr().out
    assert "https://x.example/v1" in said
    assert "sk_made" in said
    seen = json.loads((outputs.parent / "seen.json").read_text())
    # The key is made in this deployment's table, whatever else the shell names.
    assert "TRAWL_API_URL" not in seen
    assert seen["TRAWL_TABLE"] == "table"


def test_later_deploys_make_none(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(handover, "_TRAWL", trawl_that_has('[{"name": "x"}]', outputs.parent))
    assert run(monkeypatch, outputs) == 0
    assert "sk_made" not in capsys.readouterr().out


def test_a_command_that_fails_is_told(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = outputs.parent / "trawl"
    program.write_text("#!/bin/sh\necho 'no rights' >&2\nexit 1\n")
    program.chmod(0o700)
    monkeypatch.setattr(handover, "_TRAWL", str(program))
    assert run(monkeypatch, outputs) == 1
    assert "no rights" in capsys.readouterr().err


def test_exports_are_what_the_command_line_reads(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, outputs, "--exports") == 0
    lines = capsys.readouterr().out.splitlines()
    given = dict(line.removeprefix("export ").split("=", 1) for line in lines)
    settings = Settings.from_environment(given)
    assert (settings.table, settings.index_bucket) == ("table", "index")


def test_a_vector_bucket_is_handed_over_where_there_is_one(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, outputs, "--exports") == 0
    assert "TRAWL_VECTOR_BUCKET" not in capsys.readouterr().out
    outputs.write_text(json.dumps({"trawl-dev": {**OUTPUTS, "VectorBucketName": "vectors"}}))
    assert run(monkeypatch, outputs, "--exports") == 0
    assert "export TRAWL_VECTOR_BUCKET=vectors" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"a": {}, "b": {}}', '{"a": 1}'])
def test_what_is_no_deployment_is_told(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "outputs.json"
    path.write_text(text)
    assert run(monkeypatch, path) == 1
    assert "deploy first" in capsys.readouterr().err
    assert run(monkeypatch, path.with_name("none.json"), "--exports") == 1


def test_the_command_lies_beside_the_interpreter() -> None:
    assert os.access(handover._TRAWL, os.X_OK)
