"""Runs the `trawl` command in this process, on a data folder or against a server."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from handlers.cli import main
from tests.core.media.pictures import encode, landscape

# Commands of commands: the options stand after the inner one.
_GROUPS = ("documents", "jobs", "keys", "namespaces", "retrievers")
INTO_PHOTOS = ("--collection", "photos", "--extractor", "image.pdq")


@dataclass(frozen=True, slots=True)
class Trawl:
    """The command with the options that say where it works; `account` ones name no namespace."""

    account: Sequence[str]
    place: Sequence[str] = ()

    def run(self, *words: str, status: int = 0, account: bool = False) -> Result:
        """Run a command; it must end with this status."""
        group = 2 if words[0] in _GROUPS else 1
        options = [*self.account, *(() if account else self.place)]
        result = CliRunner().invoke(main, [*words[:group], *options, *words[group:]])
        assert result.exit_code == status, (result.output, result.exception)
        return result

    def json(self, *words: str, status: int = 0, account: bool = False) -> Any:
        """Run a command that prints JSON; return what it printed."""
        return json.loads(self.run(*words, "--json", status=status, account=account).stdout)


def write_pictures(folder: Path, count: int, *, first: int = 0) -> list[Path]:
    """Write pictures `0.png`, `1.png` … , each of its own seed."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{n}.png" for n in range(first, first + count)]
    for n, path in enumerate(paths, first):
        path.write_bytes(encode(landscape(n + 1), "PNG"))
    return paths


def load_folder(trawl: Trawl, folder: Path, *more: str, status: int = 0) -> Any:
    """Load a folder into the collection `photos`; return the report."""
    options = [*INTO_PHOTOS, *more]
    return trawl.json("load", str(folder), *options, status=status)


def make_retriever(trawl: Trawl) -> None:
    """Make the retriever `copies` over the collection `photos`."""
    trawl.run("retrievers", "create", "copies", *INTO_PHOTOS)
