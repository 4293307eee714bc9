"""The files that references were made from, found on this machine or where the service keeps them.

A document may claim any path and any hash, for whoever may write documents wrote it. So a file is
looked for only below folders that were named, where `trawl load` noted on this machine that it
read one, and behind an address that the service signed; and only one with the reference's hash is
used.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handlers.client_errors import ClientError
from handlers.loaded_places import PlacesError
from handlers.loading import MAX_FILE_BYTES
from handlers.report.match import Match

# What says which files of this content were loaded into a collection here.
FindLoaded = Callable[[str, str], Sequence[Path]]
# What fetches an address that the service signed, None for one that it cannot have signed.
Fetch = Callable[[str], bytes | None]

_NOT_AT_HAND: Final = "the reference’s file is not at hand"
_HOW: Final = "name the folder that it was loaded from: --references FOLDER"


class NotShownError(Exception):
    """A file cannot be shown; the text says why."""


@dataclass(frozen=True, slots=True)
class References:
    """Where to look for references: in `folders`, where they were loaded from, and at the service;
    the first that has it."""

    folders: Sequence[Path] = ()
    loaded: FindLoaded = lambda _collection, _sha256: ()
    fetch: Fetch = lambda _url: None

    def read(self, match: Match) -> bytes:
        """Return the bytes of the file that a reference was made from; `NotShownError`."""
        if match.sha256 is None:
            raise NotShownError(f"{_NOT_AT_HAND}: it is not known which file it was made from")
        try:
            known = list(self.loaded(match.collection_id, match.sha256))
        except PlacesError as error:
            known, why = [], f"the list of loaded files cannot be read ({error}); {_HOW}"
        else:
            why = _HOW
        named = [_below(folder, match.path) for folder in self.folders] if match.path else []
        for path in filter(None, [*named, *known]):
            try:
                return read_proven(path, match.sha256, "since it was loaded")
            except NotShownError as error:
                why = str(error)
        if match.presigned_url is not None:
            data = self._fetched(match.presigned_url)
            if data is not None and hashlib.sha256(data).hexdigest() == match.sha256:
                return data
        raise NotShownError(f"{_NOT_AT_HAND}: {why}")

    def _fetched(self, url: str) -> bytes | None:
        try:
            return self.fetch(url)
        except ClientError as error:
            raise NotShownError(f"{_NOT_AT_HAND}: {error}") from None


def read_proven(path: Path, sha256: str, since: str) -> bytes:
    """Return a file's bytes if they are those of the hash; `NotShownError`."""
    try:
        if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
            raise NotShownError("its file is gone or too large")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise NotShownError(f"its file cannot be read ({reason})") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise NotShownError(f"its file has changed {since} (another SHA-256)")
    return data


def _below(folder: Path, name: str) -> Path | None:
    """Return the file of that name in a folder; names in documents are foreign and may lead out."""
    try:
        path = folder / name
        inside = path.resolve().is_relative_to(folder.resolve())
        return path if inside and path.is_file() else None
    except (OSError, ValueError):  # no name that a file can have
        return None
