"""The command as a whole: its help, where it works, and how its failures read."""

import pytest
from click.testing import CliRunner

from core.errors import InvalidRequestError, Problem
from handlers import cli
from handlers.cli import main
from tests.handlers.commands.command_line import Trawl
from tests.servers import Server


def test_the_namespace_is_asked_for_where_it_is_not_clear(server: Server) -> None:
    admin = Trawl(["--api", server.base_url, "--key", server.running.admin_key])
    shown = admin.run("explain", "x", status=1)
    assert "--namespace" in shown.stderr


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--api", "http://127.0.0.1:9"], 2, "--key"),
        (["--api", "http://127.0.0.1:9", "--key", "k", "--data", "x"], 2, "exclude"),
        (["--api", "http://127.0.0.1:9", "--key", "k"], 1, "cannot reach http://127.0.0.1:9"),
        (["--api", "nonsense://x", "--key", "k"], 1, "no address"),
    ],
)
def test_where_to_must_be_clear(options: list[str], status: int, said: str) -> None:
    assert said in Trawl(options).run("explain", "x", status=status).stderr


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
