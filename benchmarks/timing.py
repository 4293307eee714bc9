"""Timing by turns: what is compared runs alternately, so that a slow moment is everybody's."""

import statistics
import time
from collections.abc import Callable, Mapping


def interleave(runs: Mapping[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """Return the median milliseconds of each, run in turns after one that does not count."""
    samples: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(turns + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            if turn:
                samples[name].append(1000 * (time.perf_counter() - started))
    return {name: statistics.median(values) for name, values in samples.items()}
