"""Where files were loaded from on this machine: what lets a report show a reference's own file.

The list is the user's own, beside no data folder: no request can write it, so a document cannot
make a report open a file that `trawl load` never read here.
"""

import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Final

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS loaded (
    collection_id TEXT NOT NULL, sha256 BLOB NOT NULL, path BLOB NOT NULL,
    PRIMARY KEY (collection_id, sha256, path)
) WITHOUT ROWID
"""
_BUSY_S: Final = 10.0
_MAX_PATHS: Final = 10


class PlacesError(Exception):
    """The list cannot be read or written; loading and scanning go on without it."""


def default_path() -> Path:
    """Return where the list lies: `$XDG_STATE_HOME/trawl`, else `~/.local/state/trawl`.

    `PlacesError` for a user who has no home.
    """
    try:
        home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    except RuntimeError as error:
        raise PlacesError(f"{error} Set XDG_STATE_HOME") from error
    return home / "trawl" / "loaded.sqlite3"


class LoadedPlaces:
    """Paths by collection and content; several loads may write at a time. Without a path the list
    lies at its usual place."""

    def __init__(self, path: Path | None = None) -> None:
        self._at = path

    @property
    def _path(self) -> Path:
        return self._at or default_path()

    def remember(self, collection_id: str, files: Iterable[tuple[str, Path]]) -> None:
        """Note where files lie, as pairs of SHA-256 in hex and path; `PlacesError`."""
        rows = [
            (collection_id, bytes.fromhex(sha256), os.fsencode(path.absolute()))
            for sha256, path in files
        ]
        if not rows:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with closing(self._connect("rwc")) as connection, connection:
                connection.execute(_SCHEMA)
                connection.executemany("INSERT OR IGNORE INTO loaded VALUES (?, ?, ?)", rows)
        except (OSError, sqlite3.Error) as error:
            raise PlacesError(str(error)) from error

    def find(self, collection_id: str, sha256: str) -> list[Path]:
        """Return where a file of that content was loaded from into the collection; it may have
        changed since. `PlacesError`."""
        try:
            digest = bytes.fromhex(sha256)
        except ValueError:  # a document may claim any hash
            return []
        query = "SELECT path FROM loaded WHERE collection_id = ? AND sha256 = ? LIMIT ?"
        try:
            if not self._path.exists():
                return []
            with closing(self._connect("ro")) as connection:
                rows = connection.execute(query, (collection_id, digest, _MAX_PATHS)).fetchall()
        except (OSError, sqlite3.Error) as error:
            raise PlacesError(str(error)) from error
        return [Path(os.fsdecode(path)) for (path,) in rows]

    def _connect(self, mode: str) -> sqlite3.Connection:
        uri = f"{self._path.absolute().as_uri()}?mode={mode}"
        return sqlite3.connect(uri, uri=True, timeout=_BUSY_S)
