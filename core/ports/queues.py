"""The queues port: messages that come again until somebody has dealt with them (SQS)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

MAX_RECEIVED = 10  # messages that one call can give


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it was received. `receipt` deletes it or gives it back, for as long as it is
    held; `sent_at` is the Unix second at which it was first sent, `receives` counts this one."""

    message_id: str
    body: str
    receipt: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    sent_at: float = 0.0
    receives: int = 1


@dataclass(frozen=True, slots=True)
class Depth:
    """How many messages there are, about: to be had now, and held by somebody or delayed."""

    waiting: int
    held: int


class Queue(Protocol):
    """One queue: each message is given at least once, in any order.

    Raises `UnavailableError` if it does not answer.
    """

    def depth(self) -> Depth:
        """Return how many messages there are."""
        ...

    def send(self, body: str, attributes: Mapping[str, str] | None = None) -> None:
        """Add a message. Attribute values are texts of at most a few kilobytes."""
        ...

    def receive(self, *, hold_s: int) -> Sequence[Message]:
        """Return up to `MAX_RECEIVED` messages, none if there are none.

        Nobody else is given them for `hold_s` seconds; then they come again unless deleted.
        """
        ...

    def delete(self, receipt: str) -> None:
        """Remove a message that was dealt with."""
        ...

    def release(self, receipt: str, *, after_s: int = 0) -> None:
        """Give a message back, to come again that many seconds from now."""
        ...


@dataclass(frozen=True, slots=True)
class IngestQueues:
    """Where events of new files wait, and where those end up that were given up on."""

    work: Queue
    dead_letters: Queue
