"""What the README names is there: commands, options, targets, files."""

import re
from pathlib import Path

import click
import pytest

from handlers.cli import main
from tests.imports import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"^(?:\$ )?trawl ([a-z].*?)(?:  .*)?$", README, re.MULTILINE)))


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that a line calls, and the words after its name."""
    context = click.Context(main)
    command: click.Command = main
    while isinstance(command, click.Group):
        inner = command.get_command(context, words[0])
        assert inner is not None, words
        command, words = inner, words[1:]
    return command, words


def test_commands_are_found_in_it() -> None:
    assert {line.split()[0] for line in COMMANDS} >= {
        "serve",
        "keys",
        "load",
        "retrievers",
        "batch",
    }


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_and_option_exists(line: str) -> None:
    command, words = command_of(line.split())
    known = {option for param in command.params for option in param.opts}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"(?:^|`)make ([a-z][a-z_-]+)", README, re.M)))
)
def test_every_target_exists(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    names = re.findall(r"^([a-z][a-z_ -]*):", makefile, re.MULTILINE)
    assert target in {name for group in names for name in group.split()}


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\]\(([^):#]+)\)", README))))
def test_every_link_leads_to_a_file(name: str) -> None:
    assert Path(ROOT / name).is_file()


def test_paths_in_it_exist() -> None:
    paths = re.findall(r"`((?:core|handlers|tests|benchmarks|docs)/[\w./]*)`", README)
    assert paths
    for path in paths:
        assert (ROOT / path).exists(), path
