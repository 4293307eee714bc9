"""Threads that share one list of row blocks, and the rule that keeps libraries from adding more."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from core.errors import DeadlineError

Task = TypeVar("Task")
Result = TypeVar("Result")

_LIBRARY_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def limit_library_threads() -> None:
    """Give numpy's BLAS one thread per caller; a value that the user has set stays.

    Entry points call it before anything imports numpy, which reads the environment once. The
    crew already spreads row blocks over every core: BLAS threads on top would only fight it
    (measured: 20 queries took 16 times longer).
    """
    for name in _LIBRARY_THREADS:
        os.environ.setdefault(name, "1")


class Crew:
    """Runs one task after the other on `threads` threads, the caller's own included.

    Several callers may use one crew at once; a caller is never stuck behind another, because it
    works through its own list itself when no helper is free.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = max(1, threads or os.cpu_count() or 1)
        self._helpers = (
            ThreadPoolExecutor(self.threads - 1, thread_name_prefix="search")
            if self.threads > 1
            else None
        )

    def run(
        self,
        tasks: Sequence[Task],
        work: Callable[[Task], Result],
        stop: Callable[[], bool],
    ) -> list[Result]:
        """Return the results in no fixed order.

        `stop` is asked before every task; true raises `DeadlineError`. On any error the rest
        is dropped, and the call returns only when no thread works on it any more.
        """
        shared = iter(list(tasks))
        results: list[Result] = []
        futures: list[Future[None]] = []
        if self._helpers is not None:
            extra = min(self.threads, len(tasks)) - 1
            futures = [
                self._helpers.submit(_work_through, shared, work, stop, results)
                for _ in range(extra)
            ]
        try:
            _work_through(shared, work, stop, results)
        finally:
            started = [future for future in futures if not future.cancel()]
            errors = [future.exception() for future in started]
        for error in errors:
            if error is not None:
                raise error
        return results

    def close(self) -> None:
        """Let the helpers end; the crew must not be used afterwards."""
        if self._helpers is not None:
            self._helpers.shutdown(wait=True)


@dataclass(frozen=True, slots=True)
class Effort:
    """A crew for one search, and when that search must end."""

    crew: Crew
    stop: Callable[[], bool]

    def run(self, tasks: Sequence[Task], work: Callable[[Task], Result]) -> list[Result]:
        """See `Crew.run`."""
        return self.crew.run(tasks, work, self.stop)


def _work_through(
    shared: Iterator[Task],
    work: Callable[[Task], Result],
    stop: Callable[[], bool],
    results: list[Result],
) -> None:
    # A list's iterator hands each item to one thread only: next() on it is atomic.
    try:
        for task in shared:
            if stop():
                raise DeadlineError("time ran out during a vector search")
            results.append(work(task))
    except BaseException:
        for _ in shared:  # leave nothing for the others
            pass
        raise
