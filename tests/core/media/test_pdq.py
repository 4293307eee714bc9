"""PDQ against Meta's implementation: recorded hashes everywhere, the library where it is."""

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.arrays import Float32
from core.media.pdq import dihedral_hashes, fingerprint
from handlers.photographs import cached_photographs
from tests.core.media.pictures import distance, landscape

RECORDED = json.loads((Path(__file__).parent / "pdq_recorded.json").read_text())
TURNS = {
    "rotate_90": Image.Transpose.ROTATE_90,
    "rotate_180": Image.Transpose.ROTATE_180,
    "rotate_270": Image.Transpose.ROTATE_270,
    "flip_vertical": Image.Transpose.FLIP_TOP_BOTTOM,
    "flip_horizontal": Image.Transpose.FLIP_LEFT_RIGHT,
    "transpose": Image.Transpose.TRANSPOSE,
    "transverse": Image.Transpose.TRANSVERSE,
}


def luminance(image: Image.Image) -> Float32:
    return np.asarray(image, np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)


@pytest.mark.parametrize("record", RECORDED["images"], ids=lambda r: f"seed {r['seed']}")
def test_agrees_with_recorded_hashes(record: dict[str, Any]) -> None:
    image = landscape(record["seed"], record["width"], record["height"])
    found = fingerprint(luminance(image))
    assert abs(found.quality - record["quality"]) <= 5
    expected = [np.frombuffer(bytes.fromhex(each), np.uint8) for each in record["hashes"]]
    assert distance(found.hash, expected[0]) <= 2
    # Meta derives the other seven by changing signs: near to ours, which are exact.
    views = dihedral_hashes(luminance(image))
    assert tuple(views) == tuple(RECORDED["order"])
    distances = [distance(a, b) for a, b in zip(views.values(), expected, strict=True)]
    assert max(distances) <= 40


def test_agrees_with_meta_on_photographs() -> None:
    pdqhash = pytest.importorskip("pdqhash", reason="published as source only")
    photographs = cached_photographs()
    if not photographs:
        pytest.skip("no photographs fetched: python -m handlers.photographs")
    distances = []
    for photograph in photographs:
        image = Image.open(photograph.path).convert("RGB")
        image.thumbnail((512, 512))
        bits, quality = pdqhash.compute(np.asarray(image))
        found = fingerprint(luminance(image))
        distances.append(distance(found.hash, np.packbits(bits.astype(bool))))
        assert abs(found.quality - quality) <= 5, photograph.name
    assert statistics.median(distances) <= 2
    assert max(distances) <= 8


@pytest.mark.parametrize("view", TURNS)
@pytest.mark.parametrize("size", [(512, 512), (320, 240), (97, 301)])
def test_a_turned_picture_has_the_hash_of_that_view(view: str, size: tuple[int, int]) -> None:
    image = landscape(11, *size)
    expected = fingerprint(luminance(image.transpose(TURNS[view]))).hash
    assert distance(dihedral_hashes(luminance(image))[view], expected) <= 2


def test_views_of_one_picture_are_far_apart() -> None:
    views = list(dihedral_hashes(luminance(landscape(12))).values())
    assert min(distance(a, b) for i, a in enumerate(views) for b in views[:i]) > 60


def test_different_pictures_are_far_apart() -> None:
    hashes = [fingerprint(luminance(landscape(seed))).hash for seed in range(20, 32)]
    assert min(distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]) > 60


@pytest.mark.parametrize("shape", [(4, 500), (500, 4), (1, 1)])
def test_tiny_pictures_have_no_quality(shape: tuple[int, int]) -> None:
    assert fingerprint(np.full(shape, 7, np.uint8)).quality == 0


@pytest.mark.parametrize("shape", [(5, 5), (5, 700), (129, 5), (63, 65), (128, 129)])
def test_odd_sizes_have_a_hash(shape: tuple[int, int]) -> None:
    luma = (np.arange(shape[0])[:, None] * 31 + np.arange(shape[1]) * 17) % 256
    found = fingerprint(luma.astype(np.uint8))
    assert 0 <= found.quality <= 100
    # Half of the frequencies lie above their median, unless many are equal.
    assert 64 <= int(np.unpackbits(found.hash).sum()) <= 128


def test_a_flat_picture_has_no_quality() -> None:
    assert fingerprint(np.full((100, 100), 200, np.uint8)).quality == 0
