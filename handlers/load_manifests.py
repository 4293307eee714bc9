"""Manifests: which files to load, under which ids, with which fields. A wrong line costs itself."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from core.catalog.document_fields import RESERVED
from core.types import JsonObject
from handlers.client_errors import ClientError
from handlers.load_report import Problem
from handlers.load_sources import REMOTE, Found, LocalFile, RemoteFile

SUFFIXES: Final = (".csv", ".jsonl", ".ndjson")
# Written by the load itself, or the service's own.
_OWN_FIELDS: Final = (
    frozenset({"filename", "sha256", "size_bytes", "content", "document_blobs"}) | RESERVED
)
_ID: Final = re.compile(r"[^\x00-\x1f\x7f]{1,256}")
_MAX_LINE: Final = 1_000_000


class _LineError(ValueError):
    """What is wrong with one line."""


def read_manifest(manifest: Path) -> Found:
    """Return the files of a manifest, and its wrong lines by their numbers.

    Columns or keys: `path` (relative ones are the manifest's own folder's; `s3://` and `https://`
    are left to the service), `id`, `metadata` (an object), all others are fields. Raises
    `ClientError` for a manifest that cannot be read at all.
    """
    rows = _read_csv if manifest.suffix.lower() == ".csv" else _read_json_lines
    found = Found()
    lines: dict[str, int] = {}
    try:
        for number, row in rows(manifest):
            where = f"{manifest.name}:{number}"
            try:
                if isinstance(row, _LineError):
                    raise row
                file = _file_of(manifest, where, row)
                if file.document_id is not None:
                    first = lines.setdefault(file.document_id, number)
                    if first != number:
                        raise _LineError(f"line {first} has the id {file.document_id!r} already")
            except _LineError as error:
                found.problems.append(Problem(where, str(error)))
            else:
                found.files.append(file)
    except OSError as error:
        reason = error.strerror or error
        raise ClientError(f"the manifest {manifest} cannot be read: {reason}") from None
    return found


def _file_of(manifest: Path, where: str, row: JsonObject) -> LocalFile | RemoteFile:
    path, document_id = row.get("path"), row.get("id")
    if not isinstance(path, str) or not path:
        raise _LineError("no path")
    if "\0" in path:
        raise _LineError("the path holds a NUL")
    if document_id in ("", None):
        document_id = None
    elif not isinstance(document_id, str) or not _is_id(document_id):
        raise _LineError("the id is not 1 to 256 visible characters")
    fields = _fields_of(row)
    if path.startswith(REMOTE):
        if not _is_text(path):
            raise _LineError("the address is not valid UTF-8")
        return RemoteFile(path, path, document_id=document_id, fields=fields, origin=where)
    raw = path.encode("utf-8", "surrogateescape")
    name = raw.decode("utf-8", "replace")
    return LocalFile(name, manifest.parent / path, raw, document_id, fields, where)


def _is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None and _is_text(text)


def _is_text(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _fields_of(row: JsonObject) -> JsonObject:
    metadata = row.get("metadata")
    if metadata in ("", None):
        metadata = {}
    elif isinstance(metadata, str):
        try:
            metadata = orjson.loads(metadata)
        except ValueError:
            raise _LineError("metadata is not JSON") from None
    if not isinstance(metadata, dict):
        raise _LineError("metadata is not an object")
    others = {k: v for k, v in row.items() if k not in ("path", "id", "metadata")}
    fields = {**metadata, **others}
    taken = sorted(_OWN_FIELDS.union(("path",)).intersection(fields))
    if taken:
        raise _LineError(f"the field {taken[0]} is not for a manifest to set")
    try:
        orjson.dumps(fields)
    except TypeError:
        raise _LineError("a field is not valid UTF-8, or a number too large") from None
    return fields


def _read_json_lines(manifest: Path) -> Iterator[tuple[int, JsonObject | _LineError]]:
    with manifest.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if not text.strip():
                continue
            try:
                row = orjson.loads(text)
            except orjson.JSONDecodeError as error:
                yield number, _LineError(f"not JSON: {error.msg}")
                continue
            yield number, row if isinstance(row, dict) else _LineError("not an object")


def _read_csv(manifest: Path) -> Iterator[tuple[int, JsonObject | _LineError]]:
    # A path may be any bytes; what is no UTF-8 is kept as Python keeps such file names.
    with manifest.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(_bounded(file), strict=True)
        header: list[str] | None = None
        while True:
            number = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                break
            except csv.Error as error:
                if header is None:
                    raise ClientError(f"{manifest}: its header is no CSV: {error}") from None
                yield number, _LineError(f"no CSV: {error}")
                continue
            if not cells:
                continue
            if header is None:
                header = _check_header(manifest, cells)
            elif len(cells) != len(header):
                yield number, _LineError(f"{len(cells)} columns, the header has {len(header)}")
            else:
                # Texts without more are texts: CSV knows no numbers. An empty one is no value.
                row: dict[str, Any] = dict(zip(header, cells, strict=True))
                yield number, {k: (None if v == "" else v) for k, v in row.items()}
        if header is None:
            raise ClientError(f"{manifest} is empty: its first line must name the columns")


def _bounded(lines: Any) -> Iterator[str]:
    """Yield lines, the overlong cut: one without an end must not fill the memory."""
    while line := lines.readline(_MAX_LINE):
        yield line


def _check_header(manifest: Path, cells: list[str]) -> list[str]:
    header = [cell.strip() for cell in cells]
    twice = next((name for name in header if header.count(name) > 1), None)
    if "path" not in header or twice is not None or "" in header:
        fault = "no column path" if "path" not in header else f"{twice or ''!r} is named twice"
        raise ClientError(f"{manifest}: {fault} in its first line: {', '.join(header)}")
    return header
