"""Films laid over references: the second where all frames fit, or the range where they do."""

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.media.extractors import VIDEO_VPDQ
from core.stages._frame_alignment import FrameAlignment, Frames, align_frames, nearest_frames
from tests.core.stages.sounds import alignment_rule

RULE = alignment_rule(VIDEO_VPDQ)
Hashes = np.ndarray[Any, np.dtype[np.uint8]]


def pictures(seed: int, seconds: int, moving: float = 1.0) -> Hashes:
    """Return a film's hash each second, (seconds, 32); `moving` of 256 bits change in one."""
    rng = np.random.default_rng(seed)
    bits = [rng.integers(0, 2, 256, np.uint8)]
    for _ in range(seconds - 1):
        bits.append(np.where(rng.random(256) < moving / 2, 1 - bits[-1], bits[-1]))
    return np.packbits(np.array(bits, np.uint8), axis=1)


def frames(hashes: Hashes, start: float = 0.0, noise: float = 0.0) -> Frames:
    flips = np.random.default_rng(5).random((len(hashes), 256)) < noise
    starts = start + 1000 * np.arange(len(hashes), dtype=np.float64)
    return Frames(starts, starts + 1000, hashes ^ np.packbits(flips, axis=1))


def compare(query: Frames, reference: Frames, low: float, high: float) -> FrameAlignment:
    found = align_frames(RULE, query, reference, (low, high))
    assert found is not None
    return found


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(0, 48), st.sampled_from([1.0, 0.2, 0.08]), st.integers(-9, 9))
def test_a_clip_is_found_at_its_second_though_little_moves(
    start: int, moving: float, off: int
) -> None:
    film = pictures(1, 60, moving)
    clip = frames(film[start : start + 12], noise=0.05)
    votes = 1000.0 * (start + off)
    found = compare(clip, frames(film), votes - 10_000, votes + 10_000)
    assert found.low_ms == found.high_ms
    # A frame of the clip lies up to half a second before or after one of the film.
    assert abs(found.low_ms - 1000 * start) <= 500
    assert [(int(o), int(r)) for o, r, _ in nearest_frames(found)] == [
        (n, start + n) for n in range(12)
    ]


def test_where_nothing_moves_the_answer_is_all_that_stands_still() -> None:
    still = np.repeat(pictures(2, 1), 20, axis=0)
    film = np.concatenate([pictures(3, 15), still, pictures(4, 15)])
    found = compare(frames(still[:6]), frames(film), 5_000, 40_000)
    assert found.low_ms == pytest.approx(15_000, abs=500)
    assert found.high_ms == pytest.approx(29_000, abs=500)
    # Its neighbours were dropped: one frame stands for all of it.
    starts = np.array([*range(16), *range(35, 50)], np.float64) * 1000
    ends = np.append(starts[1:], 50_000)
    joined = Frames(starts, ends, film[(starts / 1000).astype(int)])
    clip = Frames(np.zeros(1), np.full(1, 6000.0), still[:1])
    again = compare(clip, joined, 5_000, 40_000)
    assert (again.low_ms, again.high_ms) == pytest.approx((15_000, 29_000), abs=500)


def test_one_moving_frame_tells_the_second_of_a_still_scene() -> None:
    still = np.repeat(pictures(2, 1), 20, axis=0)
    film = np.concatenate([pictures(3, 15), still, pictures(4, 15)])
    found = compare(frames(film[30:36]), frames(film), 5_000, 40_000)
    assert found.low_ms == found.high_ms == pytest.approx(30_000, abs=500)


def test_the_best_view_of_a_frame_counts() -> None:
    film = pictures(6, 30)
    right, wrong = film[10:16], pictures(7, 6)
    starts = np.repeat(1000 * np.arange(6, dtype=np.float64), 2)
    both = Frames(starts, starts + 1000, np.stack([wrong, right], axis=1).reshape(12, 32))
    found = compare(both, frames(film), 0, 20_000)
    assert abs(found.low_ms - 10_000) <= 500
    assert [score for _, _, score in nearest_frames(found)] == [1.0] * 6


def test_strangers_have_nothing_that_agrees() -> None:
    query, reference = frames(pictures(8, 12)), frames(pictures(9, 60))
    found = align_frames(RULE, query, reference, (0, 48_000))
    assert found is None
    assert align_frames(replace(RULE, apart=0.6), query, reference, (0, 48_000)) is not None


def test_long_films_are_compared_without_all_pairs_at_once() -> None:
    query, reference = frames(pictures(5, 200)), frames(pictures(6, 4000))
    tracemalloc.start()
    try:
        align_frames(RULE, query, reference, (-1000.0, 1000.0))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30e6  # the bits in which all pairs differ would be 25.6 MB, and three such
