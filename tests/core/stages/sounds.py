"""Made-up sound as an audio extractor would see it: bits by the hop, chunks of eight hops."""

from typing import Any

import numpy as np

from core.arrays import Float64, UInt8
from core.media.extractor_info import ExtractorInfo
from core.media.extractors import HOP_MS
from core.ports.media import AlignmentRule, VoteRule

WINDOW = 8
Bits = np.ndarray[Any, np.dtype[np.uint8]]


def vote_rule(info: ExtractorInfo) -> VoteRule:
    """Return how an extractor's chunks vote."""
    if info.votes is None:
        raise ValueError(f"{info.name} is of no recordings")
    return info.votes


def alignment_rule(info: ExtractorInfo) -> AlignmentRule:
    """Return how an extractor's recordings are laid over references."""
    rule = vote_rule(info).alignment
    if rule is None:
        raise ValueError(f"{info.name} aligns nothing")
    return rule


def sound(seed: int, hops: int) -> Bits:
    """Return what each hop of a recording sounds like: 32 bits, (hops, 32)."""
    return np.random.default_rng(seed).integers(0, 2, (hops, 32), np.uint8)


def noisy(bits: Bits, share: float, seed: int = 9) -> Bits:
    """Return the same with a share of the bits turned."""
    flips = np.random.default_rng(seed).random(bits.shape) < share
    return np.asarray(bits ^ flips, np.uint8)


def windows(bits: Bits, step: int) -> tuple[Float64, UInt8]:
    """Return the starts in ms and the vectors of a recording's chunks, `step` hops apart."""
    at = np.arange(0, len(bits) - WINDOW + 1, step)
    vectors = np.stack([np.packbits(bits[n : n + WINDOW].reshape(-1)) for n in at])
    return np.round(at * HOP_MS), vectors
