"""Pictures for a report: made of local files in the media process, proven by their hash, small.

Nothing is fetched: a file that is not on this machine has a reason in place of a picture.
"""

import base64
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from core.deadline import Deadline
from core.errors import TrawlError
from core.ports.previews import Picture, Preview, Previewer
from core.types import JsonObject
from handlers.loading import MAX_FILE_BYTES
from handlers.report.match import Match
from handlers.scanning import Reference

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
    """Makes a report's pictures, `expected` of them at most; `folders` hold the references."""

    def __init__(
        self, previewer: Previewer, folders: Sequence[Path] = (), *, expected: int = 100
    ) -> None:
        self._previewer = previewer
        self._folders = tuple(folders)
        self._bytes = max(_MIN_BYTES, min(MAX_BYTES, _ALL_BYTES // max(expected, 1)))
        self._until = Deadline.after(_ALL_SECONDS)
        self._made: dict[tuple[str, str, int | None, str], Shown] = {}

    def of_file(self, file: JsonObject, at_ms: int | None = None) -> Shown:
        """Return what can be shown of a scanned file, of a film at that time. It lies where its
        name says, or at `local_path`."""
        reference = Reference(file.get("local_path") or file["file"])
        if not reference.is_local:
            return Shown(why="not shown: it is not a file on the machine that made this report")
        if file.get("sha256") is None:
            return Shown(why="not shown: it could not be read")
        return self._shown(Path(reference.name), file["sha256"], at_ms, "since the scan")

    def of_reference(self, match: Match, at_ms: int | None = None) -> Shown:
        """Return what can be shown of a reference, of a film at that time."""
        if not self._folders:
            return Shown(why="not shown: no folder of references was named (--references)")
        if match.path is None or match.sha256 is None:
            return Shown(why="not shown: it is not known which file it was made from")
        for folder in self._folders:
            path = _below(folder, match.path)
            if path is not None:
                return self._shown(path, match.sha256, at_ms, "since it was loaded")
        return Shown(why="not shown: its file is in no folder of references that was named")

    def _shown(self, path: Path, sha256: str, at_ms: int | None, since: str) -> Shown:
        key = (str(path), sha256, at_ms, since)
        if key not in self._made:
            self._made[key] = self._make(path, sha256, at_ms, since)
        return self._made[key]

    def _make(self, path: Path, sha256: str, at_ms: int | None, since: str) -> Shown:
        if self._until.passed():
            return Shown(why="not shown: the time for pictures was used up")
        try:
            if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
                return Shown(why="not shown: its file is gone or too large")
            data = path.read_bytes()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            return Shown(why=f"not shown: its file cannot be read ({reason})")
        if hashlib.sha256(data).hexdigest() != sha256:
            return Shown(why=f"not shown: its file has changed {since} (another SHA-256)")
        times = () if at_ms is None else (at_ms,)
        try:
            deadline = self._until.earlier(_ONE_SECONDS)
            preview = self._previewer.preview(data, deadline=deadline, times_ms=times)
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


def _below(folder: Path, name: str) -> Path | None:
    """Return the file of that name in a folder; names in documents are foreign and may lead out."""
    try:
        path = folder / name
        inside = path.resolve().is_relative_to(folder.resolve())
        return path if inside and path.is_file() else None
    except (OSError, ValueError):  # no name that a file can have
        return None


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
