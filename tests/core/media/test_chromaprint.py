"""Chromaprint in numpy against the original: what fpcalc printed once, and what it prints here."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.media.audio import extract_audio
from core.media.chromaprint import FRAME, HOP, SAMPLE_RATE, Fingerprinter, place_ms
from tests.core.media.recordings import encode_sound, tune

RECORDED = json.loads((Path(__file__).parent / "chromaprint_recorded.json").read_text())
FPCALC = shutil.which("fpcalc")


def fingerprint_of(data: bytes) -> NDArray[np.uint32]:
    """Put the sub-fingerprints together again from a query's chunks: the first of each, and the
    rest of the last."""
    chunks = extract_audio(data, as_query=True, declared_type=None, max_chunks=None).chunks
    rows = [np.asarray(chunk.vector).view(">u4") for chunk in chunks]
    return np.concatenate([[row[0] for row in rows], rows[-1][1:]]).astype(np.uint32)


def bit_error(left: NDArray[Any], right: NDArray[Any]) -> float:
    differing = np.bitwise_count(left.astype(np.uint32) ^ right.astype(np.uint32))
    return float(differing.mean()) / 32


def samples(seed: int, seconds: float) -> NDArray[np.int16]:
    """Return a tune at the fingerprint's own rate: every second sample."""
    return (tune(seed, seconds)[::2] * 32_000).astype(np.int16)


@pytest.mark.parametrize("seed", [int(seed) for seed in RECORDED["fingerprints"]])
def test_it_prints_what_fpcalc_printed(seed: int) -> None:
    recorded = [int(value, 16) for value in RECORDED["fingerprints"][str(seed)]]
    found = fingerprint_of(encode_sound(tune(seed, RECORDED["seconds"])))
    assert len(found) == len(recorded)
    assert bit_error(found, np.array(recorded)) <= 0.001


@pytest.mark.skipif(FPCALC is None, reason="fpcalc is not installed: make programs installs it")
@pytest.mark.parametrize("codec", [("wav", "pcm_s16le"), ("mp3", "libmp3lame")])
def test_it_prints_what_fpcalc_prints(codec: tuple[str, str], tmp_path: Path) -> None:
    data = encode_sound(tune(11, 30), *codec)
    path = tmp_path / "sound"
    path.write_bytes(data)
    run = subprocess.run(  # noqa: S603 - the program that this is compared with
        [str(FPCALC), "-raw", "-length", "0", str(path)],
        capture_output=True,
        text=True,
        check=False,  # version 1.5 takes the end of the file for an error, after it has printed
    )
    printed = run.stdout.partition("FINGERPRINT=")[2].split(",")
    theirs = np.array([int(value) for value in printed], np.uint32)
    ours = fingerprint_of(data)
    assert abs(len(ours) - len(theirs)) <= 1  # decoders differ in an mp3's last frame
    both = min(len(ours), len(theirs))
    assert bit_error(ours[:both], theirs[:both]) <= 0.001


def test_how_samples_arrive_changes_nothing() -> None:
    sound = samples(3, 40)
    whole = Fingerprinter()
    whole.feed(sound)
    pieces = Fingerprinter()
    at = 0
    for length in np.random.default_rng(0).integers(1, 9000, 1000):
        pieces.feed(sound[at : at + length])
        at += int(length)
    assert at >= len(sound)
    ours, theirs = pieces.finish(), whole.finish()
    assert (ours.values == theirs.values).all()
    assert (ours.loud == theirs.loud).all()


def test_a_fingerprint_takes_two_point_seven_seconds() -> None:
    for count, expected in ((FRAME + 19 * HOP - 1, 0), (FRAME + 19 * HOP, 1), (0, 0), (10, 0)):
        fingerprinter = Fingerprinter()
        fingerprinter.feed(samples(5, 4)[:count])
        found = fingerprinter.finish()
        assert len(found.values) == len(found.loud) == expected
        assert len(found.windows()) == len(found.window_loudness()) == 0
    needed = (FRAME + 19 * HOP) / SAMPLE_RATE
    assert needed == pytest.approx(2.72, abs=0.01)


def test_silence_is_known_and_alike() -> None:
    fingerprinter = Fingerprinter()
    fingerprinter.feed(np.zeros(10 * SAMPLE_RATE, np.int16))
    found = fingerprinter.finish()
    assert len(set(found.values.tolist())) == 1
    assert not found.window_loudness().any()


def test_places_are_seconds_of_the_audio() -> None:
    assert place_ms(0) == (0, 3591)
    assert place_ms(8)[0] == pytest.approx(8 * 1000 * HOP / SAMPLE_RATE, abs=1)
