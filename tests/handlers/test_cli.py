"""The command as a whole: its help, where it works, and how its failures read."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner
from moto import mock_aws

from core.adapters.records_dynamodb import DynamoRecords
from core.auth.keys import Keys
from core.errors import InvalidRequestError, Problem
from handlers import cli
from handlers.cli import main
from tests.handlers.commands.command_line import Trawl
from tests.servers import Server


def test_the_namespace_is_asked_for_where_it_is_not_clear(server: Server) -> None:
    admin = Trawl(["--api", server.base_url, "--key", server.running.admin_key])
    shown = admin.run("explain", "x", status=1)
    assert "--namespace" in shown.stderr
    assert shown.stderr.count("say which namespace") == 1


def test_a_data_folder_without_anything_says_how_to_begin(tmp_path: Path) -> None:
    empty = ["--data", str(tmp_path)]
    assert "`trawl load` makes it" in Trawl(empty).run("explain", "x", status=1).stderr
    named = Trawl(empty, ["--namespace", "mine"]).run("explain", "x", status=1)
    assert named.stderr == "error: namespace not found: mine\n"


def test_commands_run_with_one_blas_thread_per_search_thread() -> None:
    code = (
        "import os, sys\n"
        "from handlers.cli import main\n"
        "assert 'numpy' not in sys.modules\n"
        "main(['serve', '--help'], standalone_mode=False)\n"
        "assert os.environ['OPENBLAS_NUM_THREADS'] == '1'\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    command = [sys.executable, "-c", code]
    subprocess.run(command, env=environment, check=True)  # noqa: S603 - our own, fixed code


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--api", "http://127.0.0.1:9"], 2, "--key"),
        (["--key", "sk_x"], 2, "--api"),
        (["--api", "http://127.0.0.1:9", "--key", "k", "--data", "x"], 2, "exclude"),
        (["--api", "http://127.0.0.1:9", "--key", "k"], 1, "cannot reach http://127.0.0.1:9"),
        (["--api", "nonsense://x", "--key", "k"], 1, "no address"),
    ],
)
def test_where_to_must_be_clear(options: list[str], status: int, said: str) -> None:
    assert said in Trawl(options).run("explain", "x", status=status).stderr


def test_what_is_typed_wins_over_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server
) -> None:
    monkeypatch.setenv("TRAWL_API_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("TRAWL_API_KEY", "sk_x")
    assert "cannot reach" in Trawl([]).run("explain", "x", status=1).stderr
    here = Trawl(["--data", str(tmp_path)])
    assert "namespace not found: default" in here.run("explain", "x", status=1).stderr
    monkeypatch.delenv("TRAWL_API_URL")
    monkeypatch.setenv("TRAWL_DATA_DIR", str(tmp_path))
    there = Trawl(["--api", server.base_url])
    assert "not an API key" in there.run("explain", "x", status=1).stderr


def test_the_first_key_of_a_deployment_is_made_against_its_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TRAWL_DATA_DIR", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("TRAWL_TABLE", "deployed")
    refused = Trawl([]).run("keys", "list", status=1, account=True)
    assert "TRAWL_ASSETS_BUCKET" in refused.stderr
    for name in ("ASSETS", "INDEX", "RESULTS"):
        monkeypatch.setenv(f"TRAWL_{name}_BUCKET", name.lower())
    with mock_aws():
        make_table(boto3.client("dynamodb"), "deployed")
        text = Trawl([]).run("keys", "create", "first", "--admin", account=True).stdout.strip()
        principal = Keys(DynamoRecords("deployed")).authenticate(text)
    assert (principal.permission, principal.namespaces) == ("admin", ("*",))


def make_table(client: Any, name: str) -> None:
    """Make the table as the stack does."""
    keys = [("pk", "HASH"), ("sk", "RANGE")]
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key, _ in keys],
        BillingMode="PAY_PER_REQUEST",
    )


def test_a_wrong_key_is_a_sentence(server: Server) -> None:
    shown = Trawl(["--api", server.base_url, "--key", "sk_x"]).run("explain", "x", status=1)
    assert shown.stderr.startswith("error: not an API key")
    assert "Traceback" not in shown.stderr


def test_every_fault_of_a_request_is_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    problems = [Problem("a.b", "too large"), Problem("c", "unknown", accepted=("d", "e"))]
    cli._show(InvalidRequestError("two things are wrong", problems))
    said = capsys.readouterr().err
    assert said == "error: two things are wrong\n  a.b: too large\n  c: unknown (known: d, e)\n"


def test_help_tells_every_command() -> None:
    runner = CliRunner()
    shown = runner.invoke(main, ["--help"])
    assert shown.exit_code == 0
    for name in cli._COMMANDS:
        assert f"  {name} " in shown.stdout
        assert runner.invoke(main, [name, "--help"]).exit_code == 0
    assert runner.invoke(main, ["nope"]).exit_code == 2
