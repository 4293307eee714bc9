"""The preview port: untrusted media in, small pictures and loudness out, for people to see."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from core.deadline import Deadline


@dataclass(frozen=True, slots=True)
class Picture:
    """A small picture: 8-bit red, green, blue for each pixel, row by row; `at_ms` of a film."""

    width: int
    height: int
    rgb: bytes = field(repr=False)
    at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What can be shown of a file.

    `loudness` holds the peak of each equal part of the whole sound, 0–255; it is empty where there
    is no sound, or where not all of it could be read.
    """

    pictures: tuple[Picture, ...] = ()
    loudness: tuple[int, ...] = ()
    duration_ms: int | None = None


class Previewer(Protocol):
    """Makes previews, apart from the process that shows them. Thread-safe."""

    def preview(self, data: bytes, *, deadline: Deadline, times_ms: Sequence[int] = ()) -> Preview:
        """Return what can be shown of a file; of a film the pictures at `times_ms`, if any.

        Blocks. Raises `MediaError` for the file's faults, `DeadlineError`, `MissingExtraError` if
        its library is not installed, and `UnavailableError` if no process can be had.
        """
        ...

    def close(self) -> None:
        """End whatever runs; later calls raise `UnavailableError`."""
        ...
