"""The planner's version follows from its sources: nothing has to be raised by hand."""

from pathlib import Path

import pytest

from core.plan import version


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a few sources that the version is taken of."""
    for name in ("plan", "optimizer", "stages", "filtering"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "one.py").write_text(f"# {name}\n")
    for name in ("stage.py", "traits.py"):
        (tmp_path / name).write_text("")
    monkeypatch.setattr(version, "_CORE", tmp_path)
    return tmp_path


def read_version() -> str:
    version.planner_version.cache_clear()
    try:
        return version.planner_version()
    finally:
        version.planner_version.cache_clear()


@pytest.mark.parametrize(
    "changed", ["plan/one.py", "optimizer/two.py", "stages/one.py", "filtering/one.py", "traits.py"]
)
def test_any_source_that_makes_plans_makes_another_version(sources: Path, changed: str) -> None:
    before = read_version()
    assert read_version() == before
    (sources / changed).write_text("# changed\n")
    assert read_version() != before


def test_other_sources_do_not(sources: Path) -> None:
    before = read_version()
    (sources / "engine.py").write_text("# changed\n")
    assert read_version() == before
