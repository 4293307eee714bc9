"""When work must end, as a point on the monotonic clock that threads and tasks can both ask."""

import time
from dataclasses import dataclass

from core.errors import DeadlineError


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment in `time.monotonic()` seconds; `NEVER` is infinitely far away."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Return the deadline that many seconds from now."""
        return cls(time.monotonic() + seconds)

    def remaining(self) -> float:
        """Return the seconds left, never negative."""
        return max(0.0, self.at - time.monotonic())

    def passed(self) -> bool:
        """Say whether the moment is over."""
        return time.monotonic() >= self.at

    def check(self, what: str) -> None:
        """Raise `DeadlineError` naming `what` if the moment is over."""
        if self.passed():
            raise DeadlineError(f"time ran out during {what}")

    def earlier(self, seconds: float | None) -> "Deadline":
        """Return this deadline or the one `seconds` from now, whichever comes first."""
        if seconds is None:
            return self
        return Deadline(min(self.at, time.monotonic() + seconds))


NEVER = Deadline(float("inf"))
