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
from collections.abc import Collection, Iterable, Sequence
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


class BundleError(Exception):
    """pip could not collect the wheels; the message ends with what it said."""


def build_bundle(python: str, wanted: Sequence[str]) -> Path:
    """Return a folder with our sources and their libraries for x86_64 Lambda, built if new.

    `python` is the runtime's version ("3.13"); `wanted` are requirements. Needs a package index
    only when there is no folder of this content yet; what was not used for a week goes then.
    Raises `BundleError`.
    """
    target = BUILD / _digest(python, wanted)
    if kept_folders.take(target):
        return target
    # Built aside and renamed, so that a killed build is never taken for a whole one.
    with tempfile.TemporaryDirectory(dir=BUILD) as scratch:
        folder = Path(scratch) / "bundle"
        _install(wanted, python, folder)
        _remove_dead_weight(folder)
        _copy_sources(folder)
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
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"),
        *("--target", str(folder), "--python-version", python, "--implementation", "cp"),
        *("--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_28_x86_64"),
        *("--only-binary=:all:", "--constraint", str(ROOT / "constraints.txt")),
        *wanted,
    ]
    done = subprocess.run(  # noqa: S603 - versions from pyproject.toml, paths of this checkout
        command, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BundleError(f"pip install for Lambda's Python {python} failed:\n{done.stderr}")


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


def _digest(python: str, wanted: Sequence[str]) -> str:
    """Name the content: the runtime, the pinned versions, this file, and our sources."""
    digest = hashlib.sha256(repr((python, tuple(wanted))).encode())
    files = [ROOT / "constraints.txt", Path(__file__)]
    for name in SOURCES:
        inside = (ROOT / name).rglob("*")
        files += sorted(p for p in inside if p.is_file() and "__pycache__" not in p.parts)
    for path in files:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]
