"""What goes into a function's zip; building one needs a package index and is not done here."""

from pathlib import Path

import pytest

from infra import bundling


def test_the_runtimes_own_libraries_stay_out() -> None:
    names = " ".join(bundling.requirements())
    assert "numpy" in names
    assert "boto" not in names


def test_an_extra_is_added() -> None:
    added = set(bundling.requirements(["media"])) - set(bundling.requirements())
    assert [name for name in added if name.startswith("Pillow")]


def test_the_media_functions_zip_decodes_and_nothing_else() -> None:
    wanted = bundling.requirements(["media"], only=["numpy", "Pillow"])
    assert [line.partition(">")[0] for line in wanted] == ["numpy", "Pillow"]
    with pytest.raises(KeyError):
        bundling.requirements(only=["Pillow"])


def test_nothing_of_a_laptop_is_bundled() -> None:
    names = " ".join(bundling.requirements())
    assert not [name for name in ("click", "rich", "starlette", "uvicorn") if name in names]


def test_sources_are_where_the_bundle_looks() -> None:
    for name in bundling.SOURCES:
        assert (Path(bundling.ROOT) / name / "__init__.py").exists()
