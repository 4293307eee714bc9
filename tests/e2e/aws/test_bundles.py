"""What is uploaded to AWS: the zips for its own runtime, their size, and who they are built for."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from infra import bundling
from infra.api import EXTRAS
from infra.bundling import build_bundle, requirements
from infra.media import LIBRARIES
from infra.settings import InfraSettings
from tests.infra.test_bundling import tree_of

RUNTIME = InfraSettings().python
# Lambda refuses 250 MB unzipped; the rest is for what the next versions add.
MOST_BYTES = 200_000_000
BUNDLES = {
    "api": requirements(EXTRAS),
    "media": requirements(("media",), only=LIBRARIES),
}


@pytest.fixture(params=BUNDLES)
def bundle(request: pytest.FixtureRequest) -> Path:
    """One function's folder, built for the runtime that is deployed by default."""
    wanted: Sequence[str] = BUNDLES[request.param]
    return build_bundle(RUNTIME, wanted)


def test_a_bundle_fits_lambda(bundle: Path) -> None:
    size = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())
    assert 10_000_000 < size < MOST_BYTES


def test_every_library_is_built_for_the_runtime(bundle: Path) -> None:
    libraries = [path for path in bundle.rglob("*.so*") if path.is_file()]
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
