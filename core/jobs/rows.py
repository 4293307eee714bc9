"""The lines of result and error files, and the parts they are written as."""

import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from core.errors import TrawlError, describe_error
from core.jobs.manifest import Line
from core.jobs.progress import Kind, Part
from core.ports.blobs import Blobs
from core.types import JsonObject


class GaveUpError(TrawlError):
    """The work on a chunk ended its process again and again."""

    code = "chunk_failed"
    retryable = True


class LinesLostError(TrawlError):
    """The copy of the manifest, or a part of it, was deleted or has expired."""

    code = "lines_lost"


def result_row(line: Line, retriever: str, version: int | None, result: JsonObject) -> JsonObject:
    """Return the line of a result file; `index` counts the manifest's lines from 0, `version` is
    the retriever's that answered: it may be changed while a job runs."""
    return {
        "line": line.number,
        "id": line.id,
        "retriever": retriever,
        "retriever_version": version,
        "result": result,
    }


def error_row(line: Line, retriever: str | None, error: JsonObject) -> JsonObject:
    """Return the line of an error file; without a retriever it stands for all of them."""
    return {"line": line.number, "id": line.id, "retriever": retriever, "error": error}


def line_error(line: Line, error: TrawlError) -> JsonObject:
    """Return the line of an error file for an item that never reached a retriever."""
    return error_row(line, None, describe_error(error))


@dataclass(slots=True)
class Outcome:
    """What came of one line: rows with results, rows with errors."""

    line: int
    results: list[JsonObject] = field(default_factory=list)
    errors: list[JsonObject] = field(default_factory=list)


@dataclass(slots=True)
class PartBuffer:
    """Outcomes of successive lines, as bytes, until they are written."""

    run: int
    lines: int = 0
    size: int = 0
    _rows: dict[Kind, list[bytes]] = field(default_factory=lambda: {"results": [], "errors": []})
    _numbers: dict[Kind, set[int]] = field(
        default_factory=lambda: {"results": set(), "errors": set()}
    )
    _retry: set[int] = field(default_factory=set)
    _codes: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Take one line's rows."""
        self.lines += 1
        self._add("results", outcome.line, outcome.results)
        self._add("errors", outcome.line, outcome.errors)
        for row in outcome.errors:
            self._codes[row["error"]["code"]] += 1
            if row["error"]["retryable"]:
                self._retry.add(outcome.line)

    def write(self, blobs: Blobs, folder: str, chunk: int) -> list[Part]:
        """Store the files under names that nobody else takes, and return them."""
        parts: list[Part] = []
        for kind, rows in self._rows.items():
            if not rows:
                continue
            numbers, is_error = self._numbers[kind], kind == "errors"
            first = min(numbers)
            key = f"{folder}/{kind}/{chunk:05}-{first:07}-{secrets.token_hex(6)}.jsonl"
            data = b"".join(rows)
            blobs.put(key, data, content_type="application/x-ndjson")
            parts.append(
                Part(
                    kind=kind,
                    key=key,
                    items=len(rows),
                    lines=len(numbers),
                    bytes=len(data),
                    first_line=first,
                    run=self.run,
                    retry_lines=len(self._retry) if is_error else 0,
                    codes=dict(self._codes) if is_error else {},
                )
            )
        return parts

    def _add(self, kind: Kind, line: int, rows: Iterable[JsonObject]) -> None:
        for row in rows:
            data = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
            self._rows[kind].append(data)
            self._numbers[kind].add(line)
            self.size += len(data)


def read_rows(blobs: Blobs, key: str) -> list[tuple[int, list[JsonObject]]]:
    """Return the rows of a file by line of the manifest, in their order."""
    rows: dict[int, list[JsonObject]] = {}
    for raw in bytes(blobs.load(key)).splitlines():
        row: dict[str, Any] = orjson.loads(raw)
        rows.setdefault(row["line"], []).append(row)
    return sorted(rows.items())


def split_retryable(
    rows: Sequence[JsonObject], retrievers: Sequence[str]
) -> tuple[list[str], list[JsonObject]]:
    """Return the retrievers worth trying again for a line, and the errors that stay."""
    again = [row for row in rows if row["error"]["retryable"]]
    kept = [row for row in rows if not row["error"]["retryable"]]
    if any(row["retriever"] is None for row in again):
        return list(retrievers), kept
    wanted = {row["retriever"] for row in again}
    return [name for name in retrievers if name in wanted], kept
