"""What is kept of built folders, and that none goes while somebody uses it."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra import bundling, kept_folders
from infra.bundling import Contents, build_bundle
from infra.kept_folders import KEPT_SECONDS, forget_unused, keep, take


def make(folder: Path, age_seconds: float = 0.0) -> Path:
    """Make a folder with a file, last used so long ago."""
    folder.mkdir(parents=True)
    (folder / "a.py").write_text("x = 1\n")
    used = time.time() - age_seconds
    os.utime(folder, (used, used))
    return folder


def names_in(place: Path) -> set[str]:
    return {path.name for path in place.iterdir()}


def test_what_nobody_used_for_a_week_goes_and_all_else_stays(tmp_path: Path) -> None:
    place = tmp_path / "lambda"
    make(place / "old", KEPT_SECONDS + 60)
    make(place / "tmpkilled", KEPT_SECONDS + 60)
    make(place / "young", KEPT_SECONDS - 60)
    (place / "a file").write_text("not ours")
    os.utime(place / "a file", (0, 0))
    forget_unused(place)
    assert names_in(place) == {"young", "a file"}
    assert (place / "young" / "a.py").exists()


def test_what_is_taken_is_kept_for_another_week(tmp_path: Path) -> None:
    folder = make(tmp_path / "lambda" / "old", KEPT_SECONDS + 60)
    assert take(folder)
    forget_unused(folder.parent)
    assert (folder / "a.py").exists()
    assert not take(folder.parent / "never made")


def test_what_was_built_is_fresh_whatever_its_contents_times(tmp_path: Path) -> None:
    place = tmp_path / "lambda"
    made, again = (make(place / "scratch" / name, 40 * 365 * 86_400) for name in ("one", "two"))
    keep(made, place / "x")
    forget_unused(place)
    assert names_in(place) == {"x", "scratch"}
    os.utime(place / "x", (0, 0))
    keep(again, place / "x")  # another process was faster: what is there is used from now on
    forget_unused(place)
    assert (place / "x" / "a.py").exists()


def test_a_folder_is_taken_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks for a folder in the moment between its being found old and its going waits."""
    folder = make(tmp_path / "lambda" / "old", KEPT_SECONDS + 60)
    answers: list[bool] = []
    asking = threading.Thread(target=lambda: answers.append(take(folder)))
    rename: Callable[..., Any] = Path.rename
    answered_early: list[bool] = []

    def ask_then_rename(path: Path, target: Path) -> Any:
        asking.start()
        asking.join(timeout=0.2)
        answered_early.extend(answers)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", ask_then_rename)
    forget_unused(folder.parent)
    asking.join()
    assert (answered_early, answers) == ([], [False])
    assert names_in(folder.parent) == set()


def test_what_cannot_be_removed_is_told_and_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "lambda"
    for name in ("one", "another's", "two"):
        make(place / name, KEPT_SECONDS + 60)
    rename: Callable[..., Any] = Path.rename

    def refuse(path: Path, target: Path) -> Any:
        if path.name == "another's":
            raise PermissionError(13, "Permission denied", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    forget_unused(place)
    assert "another's" in capsys.readouterr().err
    assert names_in(place) == {"another's"}


def test_a_build_makes_room_and_a_hit_marks_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "lambda"
    monkeypatch.setattr(bundling, "BUILD", place)
    monkeypatch.setattr(bundling, "_install", lambda _wanted, _python, folder: folder.mkdir())
    make(place / "old", KEPT_SECONDS + 60)
    first = build_bundle("3.13", Contents(("lib",)))
    assert names_in(place) == {first.name}
    os.utime(first, (0, 0))
    assert build_bundle("3.13", Contents(("lib",))) == first
    second = build_bundle("3.13", Contents(("other",)))
    assert names_in(place) == {first.name, second.name}
    assert kept_folders.take(first)
