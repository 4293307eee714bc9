"""Recordings laid over references: the offset, the seconds that agree, and how much that proves."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.media.extractors import AUDIO_CHROMAPRINT, HOP_MS, REFERENCE_HOPS
from core.ports.media import VoteRule
from core.stages._alignment import Alignment, Strip, align, best_run, nearest_run
from tests.core.stages.sounds import WINDOW, Bits, alignment_rule, noisy, sound, vote_rule, windows

VOTES, RULE = vote_rule(AUDIO_CHROMAPRINT), alignment_rule(AUDIO_CHROMAPRINT)


def strip(bits: Bits, step: int = 1) -> Strip:
    return Strip(*windows(bits, step))


def compare(query: Bits, reference: Bits, hops: float, rule: VoteRule = VOTES) -> Alignment | None:
    return align(rule, strip(query), strip(reference, REFERENCE_HOPS), hops * HOP_MS)


def differing(query: Bits, reference: Bits, hops: float) -> float:
    found = compare(query, reference, hops)
    return 256.0 if found is None else 256 * (1 - found.similarity)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(0, 300), st.integers(-3, 3), st.sampled_from([0.0, 0.1, 0.2]))
def test_an_excerpt_is_found_at_its_second(start: int, voted_off: int, noise: float) -> None:
    whole = sound(1, 400)
    excerpt = noisy(whole[start : start + 81], noise)
    found = compare(excerpt, whole, start + voted_off)
    assert found is not None
    assert abs(found.offset_ms - start * HOP_MS) <= 1
    assert 256 * (1 - found.similarity) <= 256 * noise + 20
    # All of it agrees: one of four windows meets a stored chunk.
    assert len(found.query) >= 18
    assert 256 * (1 - found.similarity) < AUDIO_CHROMAPRINT.thresholds.review


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(20, 300), st.sampled_from([-1, 1]), st.sampled_from([0.0, 0.2]))
def test_one_chunk_beside_its_second_it_is_not_found(start: int, side: int, noise: float) -> None:
    # Nearer than a chunk, offsets are tried; a whole one away nothing agrees.
    whole = sound(2, 420)
    excerpt = noisy(whole[start : start + 81], noise)
    exact = replace(VOTES, tolerance_ms=0)
    beside = compare(excerpt, whole, start + side * REFERENCE_HOPS, exact)
    assert beside is None or 256 * (1 - beside.similarity) > AUDIO_CHROMAPRINT.thresholds.review
    right = compare(excerpt, whole, start, exact)
    assert right is not None
    assert 256 * (1 - right.similarity) < AUDIO_CHROMAPRINT.thresholds.review


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(0, 300))
def test_strangers_never_mean_anything(seed: int, hops: int) -> None:
    query, reference = sound(seed, 89), sound(seed + 1, 400)
    assert differing(query, reference, hops) > AUDIO_CHROMAPRINT.thresholds.review


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(0, 300), st.integers(1, 200))
def test_a_few_seconds_in_a_long_recording_are_all_that_counts(at: int, start: int) -> None:
    whole, shown = sound(3, 400), sound(4, 480)
    shown[at : at + 81] = whole[start : start + 81]
    found = compare(shown, whole, start - at)
    assert found is not None
    assert 256 * (1 - found.similarity) < 8
    first, last = found.query[0], found.query[-1]
    # Windows half of which lie outside may still be near.
    assert at - WINDOW <= first <= at + 4
    assert at + 81 - WINDOW - 4 <= last <= at + 81


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(0, 31), st.integers(12, 80), st.integers(1, 40))
def test_more_that_differs_is_never_nearer(bit: int, hop: int, more: int) -> None:
    whole = sound(5, 300)
    excerpt = noisy(whole[100:189], 0.1)
    worse = excerpt.copy()
    rows = slice(hop, hop + more)
    worse[rows, bit] = 1 - whole[100:189][rows, bit]
    better = compare(excerpt, whole, 100)
    after = compare(worse, whole, 100)
    assert better is not None
    assert after is not None
    changed = (worse != whole[100:189]).sum() - (excerpt != whole[100:189]).sum()
    assert changed >= 0
    assert after.similarity <= better.similarity + 1e-9


def test_a_greater_length_proves_more_and_a_steady_sound_less() -> None:
    none = np.zeros(0)
    at = [nearest_run(RULE, np.full(n, 0.2), np.zeros(n), np.zeros(n))[1] for n in (1, 3, 12, 60)]
    assert at[0] > at[1] > at[2]
    assert at[2] == pytest.approx(0.2)
    assert at[3] == pytest.approx(0.2)
    usual, steady = (
        nearest_run(RULE, np.full(12, 0.1), np.full(12, 6 * each), np.full(12, 6.0))[1]
        for each in (0.5, 0.2)
    )
    assert usual == pytest.approx(0.1)
    assert steady == pytest.approx(0.1 * (0.5 / 0.2) ** 0.5)
    assert best_run(none) == slice(0, 0)


def test_a_sound_that_stays_the_same_is_no_second() -> None:
    tone = np.repeat(sound(6, 1), 200, axis=0)
    other = noisy(tone, 0.12, seed=3)[:89]
    changing = sound(7, 300)
    excerpt = noisy(changing[50:139], 0.12, seed=3)
    assert differing(other, tone, 40) > differing(excerpt, changing, 50) + 20


runs = st.lists(st.floats(-1, 1, width=16), max_size=12)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(runs)
def test_the_best_run_is_the_best_of_all(values: list[float]) -> None:
    chosen = sum(values[best_run(values)])
    every = [sum(values[a:b]) for a in range(len(values)) for b in range(a + 1, len(values) + 1)]
    assert chosen == pytest.approx(max([0.0, *every]))


def test_of_equal_runs_it_is_the_first_however_they_are_rounded() -> None:
    assert best_run([0.3, -1.0, 0.1 + 0.2]) == slice(0, 1)
    assert best_run([0.0, 0.5, 0.0]) == slice(1, 2)
    assert best_run([]) == best_run([-0.5, 0.0]) == slice(0, 0)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.lists(st.sampled_from([0.0, 0.1, 0.3, 0.45, 0.6]), min_size=1, max_size=12))
def test_the_nearest_run_is_the_nearest_of_all(values: list[float]) -> None:
    differences = np.array(values)
    run, least = nearest_run(RULE, differences, 4 * differences, np.full(len(values), 8.0))

    def plainly(first: int, last: int) -> float:
        part = differences[first:last]
        usual = min(0.5, max(1 / 1024, float((4 * part).sum() / (8 * len(part)))))
        missing = max(0.0, 12**0.5 - len(part) ** 0.5)
        return float(part.mean() * (0.5 / usual) ** 0.5 + RULE.short * missing)

    count = len(values)
    every = [plainly(a, b) for a in range(count) for b in range(a + 1, count + 1)]
    assert least == pytest.approx(min(every))
    assert plainly(run.start, run.stop) == pytest.approx(least)
