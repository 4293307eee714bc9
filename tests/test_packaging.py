"""What is installed: every dependency pinned within its range, and no address of a registry."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
WANTED = [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]


def pins() -> dict[str, str]:
    """Name -> version of every line of constraints.txt."""
    found: dict[str, str] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        text = line.partition("#")[0].strip()
        if text:
            name, _, version = text.partition("==")
            found[canonicalize_name(name)] = version
    return found


@pytest.mark.parametrize("wanted", WANTED)
def test_every_dependency_is_pinned_within_its_range(wanted: str) -> None:
    requirement = Requirement(wanted)
    version = pins().get(canonicalize_name(requirement.name))
    assert version, f"{requirement.name} is not pinned: make lock"
    assert version in requirement.specifier, "pinned out of its range: make lock"


def test_every_pin_is_exact() -> None:
    assert not [name for name, version in pins().items() if not re.fullmatch(r"[\w.]+", version)]


def test_the_cdk_command_line_is_pinned_and_locked() -> None:
    wanted = json.loads((ROOT / "package.json").read_text())["devDependencies"]
    locked = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    assert {f"node_modules/{name}" for name in wanted} == locked.keys() - {""}
    for name, version in wanted.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
        assert locked[f"node_modules/{name}"]["version"] == version
        assert locked[f"node_modules/{name}"]["integrity"].startswith("sha512-")


def test_the_emulator_is_pinned() -> None:
    lines = (ROOT / "tests" / "e2e" / "aws" / "ministack.txt").read_text().splitlines()
    pinned = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in pinned)
    assert any(line.startswith("ministack==") for line in pinned)


@pytest.mark.parametrize(
    "name",
    [
        "constraints.txt",
        "pyproject.toml",
        "package.json",
        "package-lock.json",
        "tests/e2e/aws/ministack.txt",
    ],
)
def test_no_address_of_a_registry_is_written_down(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not re.search(r"index-url|find-links|://", text)


def test_the_command_is_installed_by_its_name() -> None:
    assert PROJECT["name"] == "trawl-retriever"
    assert PROJECT["scripts"] == {"trawl": "handlers.cli:main"}
