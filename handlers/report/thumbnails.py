"""Pictures for a report: made in the media process of files that their hash has proven, small.

Scanned files are never fetched: one that is not on this machine has a reason in place of a picture.
"""

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from core.deadline import Deadline
from core.errors import TrawlError
from core.ports.previews import Picture, Preview, Previewer
from core.types import JsonObject
from handlers.report.match import Match
from handlers.report.references import NotShownError, References, read_proven

MAX_BYTES: Final = 20_000  # of one picture
_ALL_BYTES: Final = 4_000_000  # of all; as base64 they are a third larger
_MIN_BYTES: Final = 2_500
_QUALITIES: Final = (82, 70, 55, 40)
_ONE_SECONDS: Final = 15.0
_ALL_SECONDS: Final = 180.0


@dataclass(frozen=True, slots=True)
class Shown:
    """What can be shown of a file: a picture as a data URI, loudness, length; or why nothing."""

    source: str | None = field(default=None, repr=False)
    width: int = 0
    height: int = 0
    loudness: tuple[int, ...] = ()
    duration_ms: int | None = None
    why: str | None = None


class ShowsFiles(Protocol):
    """What a page asks for pictures; of a film the one at `at_ms`."""

    def of_file(self, file: JsonObject, at_ms: int | None = None) -> Shown:
        """Return what can be shown of a scanned file."""
        ...

    def of_reference(self, match: Match, at_ms: int | None = None) -> Shown:
        """Return what can be shown of a reference."""
        ...


class Gallery:
    """Makes a report's pictures, `expected` of them at most. `scanned` says by SHA-256 where the
    scanned files lie, `references` finds those that they are like."""

    def __init__(
        self,
        previewer: Previewer,
        scanned: Mapping[str, Path],
        references: References,
        *,
        expected: int = 100,
    ) -> None:
        self._previewer = previewer
        self._scanned = scanned
        self._references = references
        self._bytes = max(_MIN_BYTES, min(MAX_BYTES, _ALL_BYTES // max(expected, 1)))
        self._until = Deadline.after(_ALL_SECONDS)
        self._made: dict[tuple[str, str, str, int | None], Shown] = {}

    def of_file(self, file: JsonObject, at_ms: int | None = None) -> Shown:
        """Return what can be shown of a scanned file, of a film at that time."""
        sha256 = file.get("sha256")
        if sha256 is None:
            return Shown(why="not shown: it could not be read")
        path = self._scanned.get(sha256)
        if path is None:
            return Shown(why="not shown: it is not a file on the machine that made this report")
        return self._shown(
            ("scanned", "", sha256, at_ms), lambda: read_proven(path, sha256, "since the scan")
        )

    def of_reference(self, match: Match, at_ms: int | None = None) -> Shown:
        """Return what can be shown of a reference, of a film at that time."""
        key = (match.collection_id, match.path or "", match.sha256 or "", at_ms)
        return self._shown(key, lambda: self._references.read(match))

    def _shown(self, key: tuple[str, str, str, int | None], read: Callable[[], bytes]) -> Shown:
        if key not in self._made:
            self._made[key] = self._make(key[-1], read)
        return self._made[key]

    def _make(self, at_ms: int | None, read: Callable[[], bytes]) -> Shown:
        if self._until.passed():
            return Shown(why="not shown: the time for pictures was used up")
        times = () if at_ms is None else (at_ms,)
        try:
            data = read()
            deadline = self._until.earlier(_ONE_SECONDS)
            preview = self._previewer.preview(data, deadline=deadline, times_ms=times)
        except NotShownError as error:
            return Shown(why=f"not shown: {error}")
        except TrawlError as error:
            return Shown(why=f"not shown: {error.message}")
        return self._encoded(preview)

    def _encoded(self, preview: Preview) -> Shown:
        shown = Shown(loudness=preview.loudness, duration_ms=preview.duration_ms)
        if not preview.pictures:
            return shown
        try:
            jpeg, width, height = to_jpeg(preview.pictures[0], self._bytes)
        except ImportError:
            return Shown(why="not shown: pictures need Pillow, install trawl-retriever[media]")
        source = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
        return Shown(source, width, height, shown.loudness, shown.duration_ms)


def to_jpeg(picture: Picture, most: int) -> tuple[bytes, int, int]:
    """Return a picture as a JPEG file of at most `most` bytes, and its width and height."""
    from PIL import Image

    image = Image.frombytes("RGB", (picture.width, picture.height), picture.rgb)
    while True:
        for quality in _QUALITIES:
            out = io.BytesIO()
            image.save(out, "JPEG", quality=quality, optimize=True)
            if out.tell() <= most or max(image.size) <= 32:
                return out.getvalue(), image.width, image.height
        image = image.resize((max(1, image.width * 3 // 4), max(1, image.height * 3 // 4)))
