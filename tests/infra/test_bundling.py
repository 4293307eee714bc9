"""What goes into a function's zip, and that it is the same wherever it is built.

Building a real one needs a package index and is not done here.
"""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from infra import bundling
from infra.bundling import BundleError, Contents, PackageData, build_bundle, make_reproducible


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


def tree_of(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Return what a zip of the folder would hold: path -> mode, time, digest."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mode,
            int(path.stat().st_mtime),
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in sorted(folder.rglob("*"))
    }


def install_as_pip(folder: Path, machine: str, mode: int, order: int) -> None:
    """Write what pip leaves: the interpreter's path, this machine's modes, an order of its own."""
    info = folder / "lib-1.0.dist-info"
    (folder / "lib" / "tests").mkdir(parents=True)
    (folder / "bin").mkdir()
    info.mkdir()
    files = {"lib/__init__.py": "x = 1\n", "lib/fast.so": "ELF", "lib/tests/test_x.py": ""}
    files["bin/tool"] = f"#!{machine}/bin/python\n"
    for name, text in files.items():
        (folder / name).write_text(text)
        (folder / name).chmod(mode)
    lines = [
        f"{name},sha256={hashlib.sha256(t.encode()).hexdigest()},1" for name, t in files.items()
    ]
    lines = [line.replace("bin/tool", "../../bin/tool") for line in lines]
    lines += ["lib-1.0.dist-info/RECORD,,", '"lib/with,comma.py",,']
    (info / "RECORD").write_text("\n".join(lines[::order]) + "\n")
    (info / "direct_url.json").write_text(f'{{"url": "file://{machine}"}}')


def test_the_same_is_built_on_any_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = iter([("/home/a", 0o600, 1), ("/srv/b", 0o755, -1)])

    def install(_wanted: Any, _python: str, folder: Path) -> None:
        install_as_pip(folder, *next(machines))

    monkeypatch.setattr(bundling, "_install", install)
    trees = []
    for name in ("one", "two"):
        monkeypatch.setattr(bundling, "BUILD", tmp_path / name)
        trees.append(tree_of(build_bundle("3.13", Contents(("lib",)))))
    one, two = trees
    assert one == two
    assert {"lib/__init__.py", "lib/fast.so", "core/app.py", "handlers/api.py"} <= set(one)
    assert not [name for name in one if name.startswith("bin") or "__pycache__" in name]


def test_a_record_lists_what_is_there(tmp_path: Path) -> None:
    install_as_pip(tmp_path, "/home/a", 0o600, 1)
    (tmp_path / "lib/with,comma.py").write_text("")
    make_reproducible(tmp_path)
    record = (tmp_path / "lib-1.0.dist-info/RECORD").read_text()
    assert "../../bin/tool" not in record
    assert '"lib/with,comma.py"' in record
    assert not (tmp_path / "lib-1.0.dist-info/direct_url.json").exists()


def test_two_deploys_may_build_the_same_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(_wanted: Any, _python: str, folder: Path) -> None:
        install_as_pip(folder, "/home/a", 0o600, 1)
        if not (tmp_path / "build").joinpath("other").exists():
            (tmp_path / "build" / "other").mkdir()
            build_bundle("3.13", Contents(("lib",)))

    monkeypatch.setattr(bundling, "_install", install)
    monkeypatch.setattr(bundling, "BUILD", tmp_path / "build")
    built = build_bundle("3.13", Contents(("lib",)))
    assert (built / "core/app.py").exists()
    assert {path.name for path in (tmp_path / "build").iterdir()} == {"other", built.name}


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """A pip that installs the same for everything; returns what it was asked for."""
    asked: list[tuple[str, ...]] = []

    def install(folder: Path, *arguments: str) -> None:
        asked.append(arguments)
        (folder / "models").mkdir(parents=True)
        for name in ("small.dat", "large.dat", "__init__.py"):
            (folder / "models" / name).write_text(f"{name} of {arguments[-1]}")

    monkeypatch.setattr(bundling, "_pip", install)
    monkeypatch.setattr(bundling, "BUILD", tmp_path / "build")
    return asked


def test_of_a_source_package_only_the_named_files_are_taken(
    pip: list[tuple[str, ...]], tmp_path: Path
) -> None:
    data = PackageData("models>=1", ("models/small.dat",))
    built = build_bundle("3.13", Contents(("lib",), data=(data,)))
    wheels, source = pip
    assert "--only-binary=:all:" in wheels
    assert source == ("--no-deps", "models>=1")
    assert (built / "models/small.dat").read_text() == "small.dat of models>=1"
    assert (built / "models/large.dat").read_text() == "large.dat of lib"
    assert not list(built.glob("data*"))
    with pytest.raises(BundleError, match="no models/other"):
        build_bundle("3.13", Contents((), data=(PackageData("models", ("models/other",)),)))
    assert {path.name for path in (tmp_path / "build").iterdir()} == {built.name}


def test_a_model_file_is_bundled_by_its_content(pip: list[tuple[str, ...]], tmp_path: Path) -> None:
    model = tmp_path / "own.onnx"
    contents = Contents(("lib",), files=(("models/own.onnx", model),))
    model.write_bytes(b"one")
    one = build_bundle("3.13", contents)
    model.write_bytes(b"two")
    two = build_bundle("3.13", contents)
    assert one != two
    assert (one / "models/own.onnx").read_bytes() == b"one"
    assert (two / "models/own.onnx").read_bytes() == b"two"
    assert build_bundle("3.13", contents) == two
    assert len(pip) == 2


def test_what_lambda_would_refuse_is_refused_here(
    pip: list[tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bundling.MOST_BYTES == 262_144_000
    monkeypatch.setattr(bundling, "MOST_BYTES", 8 << 20)
    model = tmp_path / "own.onnx"
    contents = Contents(("lib",), files=(("weights/own.onnx", model),))
    with model.open("wb") as file:
        file.truncate(9 << 20)
    with pytest.raises(BundleError, match=r"unpack to 1\d MB.* takes 8 MB: weights 9 MB"):
        build_bundle("3.13", contents)
    # Nothing that anybody could take for whole.
    assert list((tmp_path / "build").iterdir()) == []
    assert pip
