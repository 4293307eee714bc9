"""Another try for a model that is busy or stumbles, while there is time."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from core.deadline import Deadline
from core.errors import DeadlineError, TrawlError, UnavailableError

T = TypeVar("T")

ATTEMPTS: Final = 6
# The pause before the n-th new try is drawn from 0 to `FIRST_S` · 2^n, at most `LONGEST_S` ("full
# jitter"): those that were throttled together do not come back together.
FIRST_S: Final = 0.25
LONGEST_S: Final = 8.0


@dataclass(frozen=True, slots=True)
class Retries:
    """How to try again. `draw(high)` returns a pause of 0 to `high` seconds."""

    attempts: int = ATTEMPTS
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    # Not a secret: it only spreads tries over time.
    draw: Callable[[float], float] = field(
        default=lambda high: random.uniform(0, high),  # noqa: S311 - spreads load, hides nothing
        repr=False,
    )

    def run(self, call: Callable[[], T], deadline: Deadline, what: str) -> T:
        """Return what `call` returns; again after `UnavailableError`, while there is time.

        The pause is no shorter than the error's `retry_after_seconds`. Raises the last error, and
        `DeadlineError` if there is no time for a first try.
        """
        for attempt in range(self.attempts):
            deadline.check(what)
            try:
                return call()
            except UnavailableError as error:
                high = min(LONGEST_S, FIRST_S * 2**attempt)
                pause = max(self.draw(high), error.retry_after_seconds or 0.0)
                if attempt == self.attempts - 1:
                    raise
                if deadline.remaining() <= pause:
                    raise _out_of_time(error, what) from error
                self.sleep(pause)
        raise DeadlineError(f"time ran out during {what}")


def _out_of_time(error: TrawlError, what: str) -> TrawlError:
    return UnavailableError(
        f"{error.message}; no time was left to try {what} again",
        retry_after_seconds=error.retry_after_seconds,
    )
