"""PDQ against Meta's implementation: recorded hashes everywhere, the library where it is."""

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.corpus import cached_photographs
from core.media.pdq import fingerprint
from core.types import Float32
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
    assert tuple(found.dihedral_hashes()) == tuple(RECORDED["order"])
    for vector, expected in zip(found.dihedral_hashes().values(), record["hashes"], strict=True):
        assert distance(vector, np.frombuffer(bytes.fromhex(expected), np.uint8)) <= 2


def test_agrees_with_meta_on_photographs() -> None:
    pdqhash = pytest.importorskip("pdqhash", reason="published as source only")
    photographs = cached_photographs()
    if not photographs:
        pytest.skip("no photographs fetched: python -m benchmarks.corpus")
    distances = []
    for photograph in photographs:
        image = Image.open(photograph.path).convert("RGB")
        image.thumbnail((512, 512))
        bits, quality = pdqhash.compute(np.asarray(image))
        found = fingerprint(luminance(image))
        distances.append(distance(found.hash(), np.packbits(bits.astype(bool))))
        assert abs(found.quality - quality) <= 5, photograph.name
    assert statistics.median(distances) <= 2
    assert max(distances) <= 8


@pytest.mark.parametrize("view", TURNS)
def test_a_turned_picture_has_the_hash_of_that_view(view: str) -> None:
    image = landscape(11, 512, 512)
    expected = fingerprint(luminance(image.transpose(TURNS[view]))).hash()
    # Sampling 64 of 512 places is not symmetric: turned pictures are sampled half a step off.
    assert distance(fingerprint(luminance(image)).dihedral_hashes()[view], expected) <= 24


def test_views_of_one_picture_are_far_apart() -> None:
    views = list(fingerprint(luminance(landscape(12))).dihedral_hashes().values())
    assert min(distance(a, b) for i, a in enumerate(views) for b in views[:i]) > 60


def test_different_pictures_are_far_apart() -> None:
    hashes = [fingerprint(luminance(landscape(seed))).hash() for seed in range(20, 32)]
    assert min(distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]) > 60


@pytest.mark.parametrize("shape", [(4, 500), (500, 4), (1, 1)])
def test_tiny_pictures_have_no_quality(shape: tuple[int, int]) -> None:
    assert fingerprint(np.full(shape, 7, np.uint8)).quality == 0


@pytest.mark.parametrize("shape", [(5, 5), (5, 700), (129, 1), (63, 65), (128, 129)])
def test_odd_sizes_keep_the_hash_finite(shape: tuple[int, int]) -> None:
    luma = (np.arange(shape[0])[:, None] * 31 + np.arange(shape[1]) * 17) % 256
    found = fingerprint(luma.astype(np.uint8))
    assert np.isfinite(found.frequencies).all()
    assert 0 <= found.quality <= 100


def test_a_flat_picture_has_no_quality() -> None:
    assert fingerprint(np.full((100, 100), 200, np.uint8)).quality == 0
