"""What became of one object, and whether it is worth looking at again."""

from dataclasses import dataclass
from typing import Final, Literal

from core.errors import TrawlError

# ingested: its document is as the object is now. removed: the object is gone, and its document
# too. unchanged: nothing was to do. ignored: no reference. failed: it will never work as it is.
# later: it did not work now.
Status = Literal["ingested", "removed", "unchanged", "ignored", "failed", "later"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended; `error` says why for `failed` and `later`."""

    status: Status
    error: TrawlError | None = None
    # What was stored is less than the file: a reason that searches may miss it.
    warnings: tuple[str, ...] = ()


IGNORED: Final = Outcome("ignored")
UNCHANGED: Final = Outcome("unchanged")
REMOVED: Final = Outcome("removed")


def outcome_of(error: TrawlError) -> Outcome:
    """Return what an error means: only the file's or the key's own fault is final.

    A fault of the service (no permission, a library that is missing) is mended by its owner, and
    the file must then come in without being sent again.
    """
    final = error.blame in ("caller", "media") and not error.retryable
    return Outcome("failed" if final else "later", error)
