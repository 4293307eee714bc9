"""A report's file: whole or not there, and never in place of another unless that is wanted."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from handlers.client_errors import ClientError


def check_target(path: Path, *, force: bool) -> None:
    """Raise `ClientError` if no report could be written there: before the work for it is done."""
    if path.is_dir():
        raise ClientError(f"the report cannot be written: {path} is a folder")
    if not path.parent.is_dir():
        raise ClientError(f"the report cannot be written: there is no folder {path.parent}")
    if path.exists() and not force:
        raise _taken(path)


def write_report(path: Path, page: str, *, force: bool) -> None:
    """Write the page in one step; `ClientError` if that fails, or if something is there already
    and `force` is not given: a report may be evidence."""
    part = path.with_name(f".report-{secrets.token_hex(8)}.html")
    try:
        with part.open("xb") as file:
            file.write(page.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        if force:
            part.replace(path)
        else:
            _link(part, path)
    except FileExistsError:
        raise _taken(path) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ClientError(f"the report cannot be written to {path}: {reason}") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _link(part: Path, path: Path) -> None:
    """Give the file its name; a link fails where a name is taken, renaming would take its place."""
    try:
        path.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError:
        # Not every file system has links. Then two reports at the same moment are not told apart.
        if path.exists():
            raise FileExistsError from None
        part.replace(path)


def _taken(path: Path) -> ClientError:
    return ClientError(f"{path} is there already: name another file, or replace it with --force")
