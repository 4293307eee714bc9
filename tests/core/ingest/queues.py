"""A queue in memory, with a clock that tests set, and ways to make it fail."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from core.errors import UnavailableError
from core.ports.queues import MAX_RECEIVED, Depth, IngestQueues, Message


class MemoryQueue:
    """A `Queue`. `refuses` names the operations that do not answer."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.refuses: set[str] = set()
        self.released: list[tuple[str, int]] = []
        self._messages: dict[str, tuple[Message, float]] = {}
        self._count = 0

    @property
    def messages(self) -> list[Message]:
        """All that is in it, held or not."""
        return [message for message, _ in self._messages.values()]

    def depth(self) -> Depth:
        """Count."""
        self._check("depth")
        waiting = sum(until <= self.now for _, until in self._messages.values())
        return Depth(waiting, len(self._messages) - waiting)

    def send(self, body: str, attributes: Mapping[str, str] | None = None) -> None:
        """Add."""
        self._check("send")
        self._count += 1
        name = f"m{self._count}"
        message = Message(name, body, name, dict(attributes or {}), self.now, 0)
        self._messages[name] = (message, 0.0)

    def receive(self, *, hold_s: int) -> Sequence[Message]:
        """Give and hold."""
        self._check("receive")
        free = [name for name, (_, until) in self._messages.items() if until <= self.now]
        for name in free[:MAX_RECEIVED]:
            message, _ = self._messages[name]
            given = replace(message, receives=message.receives + 1)
            self._messages[name] = (given, self.now + hold_s)
        return [self._messages[name][0] for name in free[:MAX_RECEIVED]]

    def delete(self, receipt: str) -> None:
        """Remove."""
        self._check("delete")
        self._messages.pop(receipt, None)

    def release(self, receipt: str, *, after_s: int = 0) -> None:
        """Give back."""
        self._check("release")
        self.released.append((receipt, after_s))
        if receipt in self._messages:
            self._messages[receipt] = (self._messages[receipt][0], self.now + after_s)

    def _check(self, operation: str) -> None:
        if operation in self.refuses:
            raise UnavailableError(f"no answer to {operation}")


class Queues:
    """Both queues of a deployment."""

    def __init__(self) -> None:
        self.work = MemoryQueue()
        self.dead = MemoryQueue()
        self.both = IngestQueues(self.work, self.dead)
