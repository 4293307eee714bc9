"""Where files to load come from: folders, patterns, single files, prefixes of a bucket."""

import glob
import hashlib
import mimetypes
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from core.media.file_types import RECORDINGS, sniff_type
from core.types import JsonObject
from handlers.load_report import Problem

REMOTE: Final = ("s3://", "https://")
# What the first bytes of any type that is known fit in.
_HEAD_BYTES: Final = 1024
_SOUND_ALONE: Final = frozenset(
    {"audio/mpeg", "audio/wav", "audio/flac", "audio/aac", "audio/aiff"}
)
_CALLED: Final = {"image": "a picture", "audio": "a recording", "video": "a film"}


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to load; `name` is its path below what was named, with slashes.

    `document_id` and `fields` are what a manifest says of it; None as a field's value removes it.
    `origin` is the manifest's line. `chosen` ones were named themselves, not found in a folder.
    """

    name: str
    path: Path
    raw_name: bytes = field(repr=False)
    document_id: str | None = None
    fields: JsonObject = field(default_factory=dict)
    origin: str = ""
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file that the service itself reads: `uri` is `s3://` or `https://`. `version` changes
    with its content, where that is known, and `size` is 0 where it is not."""

    name: str
    uri: str
    version: str = ""
    size: int = 0
    document_id: str | None = None
    fields: JsonObject = field(default_factory=dict)
    origin: str = ""

    @property
    def own_id(self) -> str:
        """The id that it has unless one was given."""
        digest = hashlib.sha256(f"{self.uri}\0{self.version}".encode()).hexdigest()
        return f"file_{digest[:32]}"


AnyFile = LocalFile | RemoteFile


@dataclass(slots=True)
class Found:
    """The files that were found, and what could not be looked at."""

    files: list[AnyFile] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def find_files(
    folder: Path,
    patterns: Sequence[str] = (),
    *,
    fail: Callable[[OSError], None] = lambda _error: None,
    leave_out: Callable[[Path], None] = lambda _path: None,
) -> list[LocalFile]:
    """Return the files below a folder by path, hidden ones left out; `patterns` choose by name.

    Links to files count as files; links to folders are not followed, as they may lead in circles.
    `fail` is told of folders that cannot be read, `leave_out` of hidden files and folders.
    """
    found = []
    for place, folders, names in os.walk(folder, onerror=fail):
        for name in (*folders, *names):
            if name.startswith("."):
                leave_out(Path(place) / name)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(place) / name
            if name.startswith(".") or not is_wanted(name, patterns):
                continue
            found.append(local_file(path, path.relative_to(folder)))
    return sorted(found, key=lambda file: file.raw_name)


def find_below(folder: Path, patterns: Sequence[str]) -> Found:
    """Return the files below a folder, and the folders there that cannot be read."""
    found = Found()

    def fail(error: OSError) -> None:
        name = os.fsencode(os.path.relpath(error.filename or folder, folder))
        reason = f"the folder cannot be read: {error.strerror or error}"
        found.problems.append(Problem(name.decode("utf-8", "replace"), reason))

    found.files += find_files(folder, patterns, fail=fail)
    return found


def find_matching(pattern: str, patterns: Sequence[str]) -> Found:
    """Return the files that a pattern such as `photos/**/*.jpg` matches, by path, but hidden ones.

    Links to folders are not followed. `ValueError` for what is no pattern.
    """
    parts = Path(pattern).parts
    plain = next((n for n, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    root = Path(*parts[:plain])
    found = Found()
    for path in root.glob(str(Path(*parts[plain:]))):
        name = path.relative_to(root)
        hidden = any(part.startswith(".") for part in name.parts)
        if not hidden and is_wanted(path.name, patterns) and not path.is_dir():
            found.files.append(local_file(path, name))
    found.files.sort(key=lambda file: os.fsencode(file.name))
    return found


def local_file(path: Path, name: Path, *, chosen: bool = False) -> LocalFile:
    """Return a file under a relative name."""
    raw = os.fsencode(name.as_posix())
    return LocalFile(raw.decode("utf-8", "replace"), path, raw, chosen=chosen)


def objects_below(
    bucket: str, prefix: str, objects: Iterable[tuple[str, int, str]], patterns: Sequence[str]
) -> Found:
    """Return a prefix's objects, given as (key, bytes, etag), except folders' own marks."""
    found = Found()
    root = prefix.rpartition("/")[0]
    for key, size, etag in objects:
        name = key[len(root) :].lstrip("/") if root else key
        last = key.rpartition("/")[2]
        if last and not last.startswith(".") and is_wanted(last, patterns):
            found.files.append(RemoteFile(name, f"s3://{bucket}/{key}", etag, size))
    return found


def is_wanted(name: str, patterns: Sequence[str]) -> bool:
    """Say whether a file's name is one of the patterns', or there are none."""
    return not patterns or any(fnmatch(name.lower(), pattern.lower()) for pattern in patterns)


def read_head(path: Path) -> bytes:
    """Return a regular file's first bytes."""
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def refuse_kind(file: AnyFile, modalities: Sequence[str], head: bytes | None) -> str | None:
    """Return why a file is not of a kind that an extractor reads, None if it may be.

    Its first bytes decide; `head` is None where only the name is known. What neither tells is
    left to the service if the file was named itself, for that is no mistake of a folder's.
    """
    guessed = mimetypes.guess_type(file.name.rpartition("/")[2])[0]
    shown = None if head is None else sniff_type(head)
    if shown is None and isinstance(file, RemoteFile):
        shown = guessed
        if shown is None:
            return None
    if shown is not None:
        return None if _kinds_of(shown) & set(modalities) else _not_a(modalities, shown)
    named = guessed is not None and bool(_kinds_of(guessed) & set(modalities))
    if named or (isinstance(file, LocalFile) and (file.chosen or file.origin)):
        return None
    return _not_a(modalities, guessed or "of no known type")


def _kinds_of(mime: str) -> set[str]:
    major = mime.partition("/")[0]
    # Containers of either may hold both; which of them is not for a name to say.
    if mime in _SOUND_ALONE or major not in ("audio", "video"):
        return {major}
    return {"audio", "video"} if mime in RECORDINGS or major == "video" else {major}


def _not_a(modalities: Sequence[str], shown: str) -> str:
    wanted = " or ".join(_CALLED.get(one, one) for one in modalities)
    return f"not {wanted} ({shown})"
