"""What the README and the pages in `docs/` name is there: commands, targets, files, settings."""

import re
from dataclasses import fields
from pathlib import Path

import click
import pytest

from handlers.cli import main
from infra.settings import InfraSettings
from tests.imports import ROOT

# `docs/stages.md` is made from the code, and compared with it by `make generated`.
PAGES = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "docs/aws.md", "docs/design.md", "docs/jobs.md")
}
README = PAGES["README.md"]
TEXT = "\n".join(PAGES.values())
COMMANDS = sorted(set(re.findall(r"^(?:\$ )?trawl ([a-z].*?)(?:  .*)?$", TEXT, re.MULTILINE)))
LINKS = sorted(
    {(page, link) for page, text in PAGES.items() for link in re.findall(r"\]\(([^):]+)\)", text)}
)
# Rows of the table of settings: names, defaults.
[_SETTINGS] = re.findall(r"^## Settings\n(.*?)^## ", PAGES["docs/aws.md"], re.DOTALL | re.MULTILINE)
SETTINGS = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| (.*?) \|", _SETTINGS, re.MULTILINE)


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that a line calls, and the words after its name."""
    context = click.Context(main)
    command: click.Command = main
    while isinstance(command, click.Group):
        inner = command.get_command(context, words[0])
        assert inner is not None, words
        command, words = inner, words[1:]
    return command, words


def anchors_of(path: Path) -> set[str]:
    """Return what a page's headings are called in links."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_commands_are_found_in_it() -> None:
    assert {line.split()[0] for line in COMMANDS} >= {
        "serve",
        "keys",
        "load",
        "retrievers",
        "batch",
        "scan",
        "jobs",
        "ingest",
    }


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_and_option_exists(line: str) -> None:
    command, words = command_of(line.split())
    known = {option for param in command.params for option in param.opts}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"(?:^(?:\$ )?|`)make (?:-s )?([a-z][a-z0-9_-]+)", TEXT, re.M)))
)
def test_every_target_exists(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    names = re.findall(r"^([a-z][a-z0-9_ -]*):", makefile, re.MULTILINE)
    assert target in {name for group in names for name in group.split()}


@pytest.mark.parametrize(("page", "link"), LINKS)
def test_every_link_leads_to_a_file_and_a_heading(page: str, link: str) -> None:
    name, _, anchor = link.partition("#")
    target = (ROOT / page).parent / name if name else ROOT / page
    assert target.is_file()
    assert not anchor or anchor in anchors_of(target)


def test_paths_in_it_exist() -> None:
    paths = re.findall(r"`((?:core|handlers|infra|tests|benchmarks|docs)/[\w./]*)`", TEXT)
    assert paths
    for path in paths:
        assert (ROOT / path).exists(), path


def test_every_setting_of_a_deployment_is_explained() -> None:
    named = [name for names, _ in SETTINGS for name in re.findall(r"`(\w+)`", names)]
    assert len(named) == len(set(named))
    assert {item.name for item in fields(InfraSettings)} == set(named)


def spell(default: object) -> str:
    """Return a setting's default as the table has it."""
    return str(default).lower() if isinstance(default, bool) else str(default) or "none"


@pytest.mark.parametrize(("names", "defaults"), SETTINGS)
def test_the_settings_defaults_are_those(names: str, defaults: str) -> None:
    known = {item.name: spell(item.default) for item in fields(InfraSettings)}
    wanted = [known[name] for name in re.findall(r"`(\w+)`", names)]
    assert defaults.replace("`", "") == ", ".join(dict.fromkeys(wanted))
