"""What was given up on: shown, sent back to be tried again, or thrown away."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from core.clock import to_iso
from core.errors import BadRequestError, TrawlError
from core.ports.queues import Message, Queue
from core.types import JsonObject
from handlers.s3_events import read_keys

# While a message is looked at nobody else gets it; the same if this process dies meanwhile.
_HOLD_S: Final = 120


@dataclass(frozen=True, slots=True)
class Failure:
    """One message that was given up on; `keys` are the objects that it names, if it can be read."""

    message: Message
    keys: tuple[str, ...]

    @property
    def code(self) -> str:
        """The error's code; messages that the queue itself gave up on come without one."""
        return self.message.attributes.get("code", "attempts_used_up")

    @property
    def reason(self) -> str:
        """Why it was given up on."""
        return self.message.attributes.get(
            "reason", "it failed again and again; the ingest function's log says why"
        )

    @property
    def first_seen(self) -> str:
        """When the event came in."""
        sent = to_iso(datetime.fromtimestamp(self.message.sent_at, UTC))
        return self.message.attributes.get("first_seen", sent)

    def matches(self, key_prefix: str) -> bool:
        """Say whether it names an object whose key begins so; every message does with ""."""
        return not key_prefix or any(key.startswith(key_prefix) for key in self.keys)

    def to_json(self) -> JsonObject:
        """Return it as commands print it."""
        return {
            "keys": list(self.keys),
            "code": self.code,
            "reason": self.reason,
            "first_seen": self.first_seen,
            "message_id": self.message.message_id,
        }


@dataclass(frozen=True, slots=True)
class Moved:
    """How many messages left the dead letters, and how many stayed: those of other keys, and of
    these `again`, which were sent back and had failed again by the time all were looked through."""

    moved: int
    left: int
    again: int = 0


def list_failures(dead: Queue, *, most: int) -> list[Failure]:
    """Return up to `most` of what was given up on, the oldest first; nothing is taken away."""
    held: list[Failure] = []
    try:
        for batch in _receive_all(dead):
            held += batch
            if len(held) >= most:
                break
    finally:
        _give_back(dead, held)
    return sorted(held[:most], key=lambda failure: (failure.first_seen, failure.keys))


def redrive(dead: Queue, work: Queue, *, key_prefix: str = "") -> Moved:
    """Send messages back to be tried again, those of keys that begin so.

    One by one, not by SQS's own task: that takes no choice, and says in the end only about how
    many. Who is killed in between has sent one message twice, which does no harm.
    """
    sent: set[str] = set()

    def send(failure: Failure) -> bool:
        # It was sent a moment ago and has failed again: else this might never come to an end.
        if failure.message.body in sent:
            return False
        work.send(failure.message.body)
        sent.add(failure.message.body)
        return True

    return _move(dead, send, key_prefix)


def discard(dead: Queue, *, key_prefix: str) -> Moved:
    """Throw messages away, those of keys that begin so."""
    return _move(dead, lambda _failure: True, key_prefix)


def _move(dead: Queue, take: Callable[[Failure], bool], key_prefix: str) -> Moved:
    """Remove the messages of such keys that `take` says yes to."""
    moved = again = 0
    held: list[Failure] = []
    try:
        for batch in _receive_all(dead):
            held += batch
            for failure in batch:
                if not failure.matches(key_prefix):
                    continue
                if not take(failure):
                    again += 1
                    continue
                dead.delete(failure.message.receipt)
                held.remove(failure)
                moved += 1
    finally:
        _give_back(dead, held)
    return Moved(moved, len(held), again)


def _receive_all(dead: Queue) -> Iterator[list[Failure]]:
    """Yield every message once, a batch at a time, each held."""
    seen: set[str] = set()
    while messages := dead.receive(hold_s=_HOLD_S):
        new = [message for message in messages if message.message_id not in seen]
        if not new:
            return  # all of them have come round again
        seen.update(message.message_id for message in new)
        yield [Failure(message, _keys_of(message)) for message in new]


def _keys_of(message: Message) -> tuple[str, ...]:
    try:
        return read_keys(message.body)
    except BadRequestError:
        return ()


def _give_back(dead: Queue, held: list[Failure]) -> None:
    for failure in held:
        try:
            dead.release(failure.message.receipt)
        except TrawlError:
            # It comes back by itself, two minutes later.
            return
