"""How much of the media functions a process has used: a job adds it to what it cost."""

import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MediaUse:
    """Calls of media functions, and the time of these times their memory, as Lambda bills it."""

    calls: int = 0
    gb_seconds: float = 0.0

    def since(self, before: "MediaUse") -> "MediaUse":
        """Return what was used after `before` was read."""
        return MediaUse(self.calls - before.calls, self.gb_seconds - before.gb_seconds)


class MediaMeter:
    """Counts calls of functions with `memory_mb` each; what is decoded elsewhere costs nothing.

    The time is the caller's, from asking to the answer: a little more than Lambda bills.
    """

    def __init__(self, memory_mb: int = 0) -> None:
        self._memory_gb = memory_mb / 1024
        self._lock = threading.Lock()
        self._use = MediaUse()

    def add(self, seconds: float) -> None:
        """Count a call that took so long."""
        with self._lock:
            used = self._use.gb_seconds + seconds * self._memory_gb
            self._use = MediaUse(self._use.calls + 1, used)

    def read(self) -> MediaUse:
        """Return what was used so far."""
        with self._lock:
            return self._use
