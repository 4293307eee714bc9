"""Folders that are built once per content and kept: taken while in use, forgotten after a week.

A folder's own time of change says when it was last used; its content's times mean nothing.
"""

import fcntl
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

KEPT_SECONDS: Final = 7 * 86_400


def take(folder: Path) -> bool:
    """Return whether the folder is there; if so it is kept for another week."""
    with _locked(folder.parent):
        try:
            os.utime(folder)
        except FileNotFoundError:
            return False
        return True


def keep(made: Path, folder: Path) -> None:
    """Rename `made` to `folder`, unless another process has done so with the same meanwhile."""
    os.utime(made)  # before anybody can find it: it has the content's time so far
    with _locked(folder.parent):
        if folder.exists():
            os.utime(folder)
        else:
            made.rename(folder)


def forget_unused(place: Path) -> None:
    """Remove the folders in `place` that nobody has used for a week, also what killed builds left.

    One that cannot be removed is told on stderr and stays: a deploy does not fail of it.
    """
    try:
        # Removed under another name, so that nobody takes one for whole that is half gone.
        with tempfile.TemporaryDirectory(dir=place) as aside:
            _move_unused(place, Path(aside))
    except OSError as error:
        _tell(error)


def _move_unused(place: Path, aside: Path) -> None:
    oldest = time.time() - KEPT_SECONDS
    # Under the lock whoever takes a folder finds it fresh or finds it gone, never goes on with one
    # that is about to go.
    with _locked(place):
        for folder in place.iterdir():
            if folder.is_dir() and folder.stat().st_mtime < oldest:
                try:
                    folder.rename(aside / folder.name)
                except OSError as error:
                    _tell(error)


def _tell(error: OSError) -> None:
    print(f"an unused build cannot be removed: {error}", file=sys.stderr)


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    """Hold the one lock of a place; it ends with the process, and is held for moments only."""
    place.mkdir(parents=True, exist_ok=True)
    with place.with_name(f"{place.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
