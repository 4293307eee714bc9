"""Samples that are the same for the same seed and ids, on every machine and Python version."""

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b


def seed_of(ids: Iterable[str]) -> str:
    """Return a seed that follows from a set of ids, whatever their order."""
    return blake2b("\0".join(sorted(ids)).encode(), digest_size=8).hexdigest()


def draw(ids: Sequence[str], count: int, seed: str) -> list[int]:
    """Return `count` positions drawn uniformly without replacement, ascending.

    Each id gets a keyed hash and the smallest hashes win. In one pass and `count` memory, this is
    reservoir sampling by random keys (Efraimidis and Spirakis, 2006), with the hash as the key.
    The n-th repetition of an id counts as an id of its own.
    """
    seen: Counter[str] = Counter()
    keys = []
    for position, name in enumerate(ids):
        keys.append((_key(seed, name, seen[name]), position))
        seen[name] += 1
    return sorted(position for _, position in heapq.nsmallest(count, keys))


def shuffled(ids: Sequence[str], seed: str) -> list[int]:
    """Return all positions in an order that looks random and follows from the seed."""
    order = sorted((_key(seed, name, 0), position) for position, name in enumerate(ids))
    return [position for _, position in order]


def _key(seed: str, name: str, repetition: int) -> bytes:
    return blake2b(f"{seed}\0{repetition}\0{name}".encode(), digest_size=16).digest()


def every_nth(total: int, count: int) -> list[int]:
    """Return `count` positions spread evenly over `total`, starting with the first."""
    if count >= total:
        return list(range(total))
    return [number * total // count for number in range(count)]


def share_out(sizes: Sequence[int], count: int, minimum: int) -> list[int]:
    """Return how many of each stratum to take, `count` in all at most.

    Every stratum first gets `minimum` (or all it has); where `count` does not go that far, one
    at a time, the largest first. The rest goes, one at a time, to the stratum that is furthest
    below its proportional share `count * size / total`; ties to the earlier one.
    """
    taken = [0] * len(sizes)
    left = min(count, sum(sizes))
    largest_first = sorted(range(len(sizes)), key=lambda i: -sizes[i])
    for level in range(min(minimum, max(sizes, default=0))):
        for i in largest_first:
            if left and sizes[i] > level:
                taken[i] += 1
                left -= 1
    total = sum(sizes)
    # Deficits in integers, scaled by `total`: no rounding, so no machine differs.
    heap = [
        (taken[i] * total - count * sizes[i], i) for i in range(len(sizes)) if taken[i] < sizes[i]
    ]
    heapq.heapify(heap)
    while left and heap:
        _, i = heapq.heappop(heap)
        taken[i] += 1
        left -= 1
        if taken[i] < sizes[i]:
            heapq.heappush(heap, (taken[i] * total - count * sizes[i], i))
    return taken
