"""Files against several retrievers, in as few scans as they fit: one entry per file, always."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.types import JsonObject
from handlers.client import Client, api_path
from handlers.client_errors import ApiError
from handlers.scanning import Reference, group_references


@dataclass(slots=True)
class ScanReport:
    """What came of all scans. `files[i]` is of the i-th reference, with its name as `file`;
    `scans` are the answers without their files and retrievers."""

    scan_ids: list[str] = field(default_factory=list)
    retrievers: list[JsonObject] = field(default_factory=list)
    files: list[JsonObject] = field(default_factory=list)
    scans: list[JsonObject] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ScanCaller:
    """Which retrievers to scan with, and how: the `limit` nearest documents of each cell."""

    client: Client
    retrievers: tuple[str, ...]
    concurrency: int = 10
    limit: int = 3

    def scan(
        self,
        references: Sequence[Reference],
        *,
        advance: Callable[[int], None] = lambda _count: None,
    ) -> ScanReport:
        """Return a report with one file per reference, in their order.

        A file that cannot be read, or is too large to send, is unknown like one that the service
        could not read. Raises `ClientError` if a call fails as a whole.
        """
        report = ScanReport()
        for group in group_references(references):
            report.files += self._scan_group(group, report)
            advance(len(group))
        return report

    def _scan_group(self, group: Sequence[Reference], report: ScanReport) -> list[JsonObject]:
        files: dict[int, JsonObject] = {}
        contents: list[str] = []
        sent: list[int] = []
        for index, reference in enumerate(group):
            try:
                contents.append(reference.read())
                sent.append(index)
            except (OSError, ValueError) as error:
                files[index] = _unread_file(getattr(error, "strerror", None) or str(error))
        files.update(zip(sent, self._send(contents, report), strict=True))
        return [{"file": group[index].name, **files[index]} for index in range(len(group))]

    def _send(self, contents: Sequence[str], report: ScanReport) -> list[JsonObject]:
        """Scan in one call; as halves, where the server does not take so large a body."""
        if not contents:
            return []
        body: JsonObject = {
            "files": list(contents),
            "retrievers": list(self.retrievers),
            "concurrency": self.concurrency,
            "settings": {"limit": self.limit},
        }
        try:
            answer: dict[str, Any] = self.client.call("POST", api_path("scans"), body)
        except ApiError as error:
            if error.status != 413:
                raise
            if len(contents) == 1:
                return [_unread_file(str(error))]
            half = len(contents) // 2
            return [*self._send(contents[:half], report), *self._send(contents[half:], report)]
        report.scan_ids.append(answer["scan_id"])
        report.retrievers = report.retrievers or answer["retrievers"]
        files: list[JsonObject] = answer["files"]
        rest = {key: value for key, value in answer.items() if key not in ("files", "retrievers")}
        report.scans.append(rest)
        return files


def _unread_file(message: str) -> JsonObject:
    """Return a file that never reached the service."""
    reason = {"retriever": None, "code": "file_unreadable", "message": message}
    return {"verdict": "unknown", "complete": False, "reasons": [reason], "retrievers": {}}
