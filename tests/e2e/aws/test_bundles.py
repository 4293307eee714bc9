"""What is uploaded to AWS: the zips for its own runtime, their size, and who they are built for."""

import base64
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import bundling
from infra.api import EXTRAS
from infra.bundling import MOST_BYTES, Contents, build_bundle, requirements
from infra.media import extra_contents, media_contents
from infra.settings import MEDIA_EXTRAS, InfraSettings
from tests.core.media.onnx_file import mean_colour_model
from tests.core.media.pictures import encode, landscape
from tests.e2e.aws.emulator import python_version
from tests.infra.test_bundling import tree_of

RUNTIME = InfraSettings().python
# Lambda refuses 262 MB unzipped; the rest is for what the next versions add.
ROOM = {"api": 0.75, "media": 0.75, "onnx": 0.65, "face": 0.6, "logo": 0.95}
BUNDLES = {
    "api": Contents(requirements(EXTRAS)),
    "media": media_contents(),
    **{extra: extra_contents(extra, InfraSettings()) for extra in MEDIA_EXTRAS},
}
# The newest version of glibc's symbols that Amazon Linux 2023 has.
GLIBC = 34


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where zips of extras are built that are not deployed: large, and gone afterwards."""
    folder = tmp_path_factory.mktemp("bundles")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module", params=BUNDLES)
def bundle(request: pytest.FixtureRequest, place: Path) -> Iterator[tuple[str, Path]]:
    """One function's name and folder, built for the runtime that is deployed by default."""
    name: str = request.param
    with pytest.MonkeyPatch.context() as patch:
        if name in MEDIA_EXTRAS:
            patch.setattr(bundling, "BUILD", place)
        yield name, build_bundle(RUNTIME, BUNDLES[name])


def test_a_bundle_fits_lambda(bundle: tuple[str, Path]) -> None:
    name, folder = bundle
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert 10_000_000 < size < ROOM[name] * MOST_BYTES


def test_every_library_is_one_that_the_runtimes_system_can_load(
    bundle: tuple[str, Path],
) -> None:
    libraries = [path for path in bundle[1].rglob("*.so*") if path.is_file()]
    for path in libraries:
        wanted = {int(found) for found in re.findall(rb"\0GLIBC_2\.(\d+)", path.read_bytes())}
        assert max(wanted, default=0) <= GLIBC, path


def test_every_library_is_built_for_the_runtime(bundle: tuple[str, Path]) -> None:
    libraries = [path for path in bundle[1].rglob("*.so*") if path.is_file()]
    assert libraries
    wanted = f"cpython-{RUNTIME.replace('.', '')}-x86_64-linux-gnu"
    for path in libraries:
        # ELF, 64 bit; x86-64 stands in bytes 18 and 19.
        head = path.read_bytes()[:20]
        assert head[:5] == b"\x7fELF\x02", path
        assert head[18:20] == b"\x3e\x00", path
        tag = re.search(r"\.(cpython-[^.]+|abi3)\.so$", path.name)
        if tag is not None:
            assert tag[1] in (wanted, "abi3"), path


def test_the_media_bundle_holds_decoders_and_nothing_that_speaks_to_aws() -> None:
    bundle = build_bundle(RUNTIME, BUNDLES["media"])
    names = {path.name for path in bundle.iterdir()}
    assert {"PIL", "av", "numpy", "core", "handlers"} <= names
    assert not names & {"boto3", "botocore", "urllib3", "pydantic", "aws_lambda_powertools"}


def test_a_bundle_that_is_built_again_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The smallest of them, whose wheels are the real ones; see also `tests/infra`."""
    first = build_bundle(RUNTIME, BUNDLES["media"])
    monkeypatch.setattr(bundling, "BUILD", tmp_path)
    again = build_bundle(RUNTIME, BUNDLES["media"])
    assert again != first
    assert tree_of(again) == tree_of(first)


# What Lambda does: the handler is imported from the zip, with nothing installed beside it.
READING = """
import json, sys
sys.path.insert(0, sys.argv[1])
from handlers.media import handler
answer = handler(json.load(sys.stdin), None)
json.dump(answer, sys.stdout)
"""
FILES = {"onnx": "image.onnx", "face": "face.dlib"}


@pytest.mark.parametrize("extra", FILES)
def test_a_zip_reads_a_file_with_nothing_beside_it(
    extra: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By this interpreter's wheels; the zip of `logo` reads files on the emulator."""
    model = tmp_path / "own.onnx"
    model.write_bytes(mean_colour_model())
    chosen = InfraSettings(onnx_models=f"own={model}" if extra == "onnx" else "")
    monkeypatch.setattr(bundling, "BUILD", place)
    folder = build_bundle(python_version(), extra_contents(extra, chosen))
    plain = {"mean": [0, 0, 0], "std": [1, 1, 1]}
    params = {"model": "own", "dimension": 3, "input_size": 32, **plain}
    event = {
        "extractor": FILES[extra],
        "data_base64": base64.b64encode(encode(landscape(1), "JPEG")).decode(),
        "params": params if extra == "onnx" else {},
    }
    done = subprocess.run(  # noqa: S603 - our own sources, by this interpreter
        [sys.executable, "-I", "-S", "-c", READING, str(folder)],
        input=json.dumps(event),
        env={"TRAWL_ONNX_MODELS": "own=models/own.onnx", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    found = answer["extraction"]
    notes = [warning["code"] for warning in found["warnings"]]
    # A landscape has one vector, and nobody's face.
    assert (len(found["chunks"]), notes) == ((1, []) if extra == "onnx" else (0, ["no_face"]))
