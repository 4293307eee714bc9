"""Which of a file's chunks a query searches with when it may not search with all of them."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def sample_runs(items: Sequence[T], most: int, run: int = 1) -> list[T]:
    """Return at most `most` items, in runs of `run` neighbours that are spread evenly.

    Neighbours stay together where only one in `run` can meet a stored chunk. Without room for two
    runs it is one, from the middle, shortened to `most`.
    """
    if len(items) <= most:
        return list(items)
    run = min(run, most)
    count = max(1, most // run)
    if count == 1:
        first = (len(items) - run) // 2
        return list(items[first : first + run])
    last = len(items) - run
    starts = [round(n * last / (count - 1)) for n in range(count)]
    chosen = sorted({start + n for start in starts for n in range(run)})
    return [items[at] for at in chosen]
