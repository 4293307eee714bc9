"""Files against several retrievers, in as few scans as they fit: one entry per file, always."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from core.types import JsonObject
from handlers.client import Client, api_path
from handlers.client_errors import ApiError, ClientError
from handlers.scanning import Reference, Say, group_references, read_group

# Of a name so much is sent with a scan, its end: a scan that is read again tells its files by it.
_NAME_CHARACTERS: Final = 200


@dataclass(slots=True)
class ScanReport:
    """What came of all scans. `files[i]` is of the i-th reference, with its name as `file`;
    `scans` are the answers without their files and retrievers; `paths` says by SHA-256 where
    scanned files lie on this machine."""

    scan_ids: list[str] = field(default_factory=list)
    retrievers: list[JsonObject] = field(default_factory=list)
    files: list[JsonObject] = field(default_factory=list)
    scans: list[JsonObject] = field(default_factory=list)
    paths: dict[str, Path] = field(default_factory=dict)

    def add(self, answer: Mapping[str, Any]) -> list[JsonObject]:
        """Add a scan's answer but its files, and return these."""
        self.scan_ids.append(answer["scan_id"])
        if not self.retrievers:
            self.retrievers = answer["retrievers"]
        others = {one["retriever_id"]: one["canary"] for one in answer["retrievers"]}
        for one in self.retrievers:
            other = others.get(one["retriever_id"])
            one["canary"] = _worse_canary(one["canary"], other, answer["scan_id"])
        rest = {key: value for key, value in answer.items() if key not in ("files", "retrievers")}
        self.scans.append(rest)
        files: list[JsonObject] = answer["files"]
        return files


@dataclass(frozen=True, slots=True)
class ScanCaller:
    """Which retrievers to scan with, and how: the `limit` nearest documents of each cell, with
    URLs of their media if `presigned`."""

    client: Client
    retrievers: tuple[str, ...]
    concurrency: int = 10
    limit: int = 3
    presigned: bool = False

    def scan(self, references: Sequence[Reference], *, say: Say = lambda _text: None) -> ScanReport:
        """Return a report with one file per reference, in their order.

        A file that cannot be read, or is too large to send, is unknown like one that the service
        could not read. Raises `ClientError` if a call fails as a whole.
        """
        report = ScanReport()
        for group in group_references(references):
            answered = f"{len(report.files)} of {len(references)} files answered"
            contents, failed = read_group(group, answered, say)
            named = [_named(group[index], content) for index, content in contents.items()]
            try:
                answers = self._send(named, report)
            except ClientError as error:
                if not report.scan_ids:
                    raise
                kept = " ".join(f"--scan {one}" for one in report.scan_ids)
                message = f"{error}; what was answered before is kept: trawl scan {kept}"
                raise ClientError(message) from error
            found = dict(zip(contents, answers, strict=True))
            found |= {index: _unread_file(why) for index, why in failed.items()}
            for index, reference in enumerate(group):
                report.files.append({"file": reference.text, **found[index]})
                if reference.is_local and found[index].get("sha256"):
                    report.paths[found[index]["sha256"]] = Path(reference.name)
        return report

    def _send(self, files: Sequence[JsonObject], report: ScanReport) -> list[JsonObject]:
        """Scan in one call; as halves, where the server does not take so large a body."""
        if not files:
            return []
        body: JsonObject = {
            "files": list(files),
            "retrievers": list(self.retrievers),
            "concurrency": self.concurrency,
            "settings": {"limit": self.limit},
            "return_presigned_urls": self.presigned,
        }
        try:
            answer: dict[str, Any] = self.client.call("POST", api_path("scans"), body)
        except ApiError as error:
            if error.status != 413:
                raise
            if len(files) == 1:
                return [_unread_file(str(error))]
            half = len(files) // 2
            return [*self._send(files[:half], report), *self._send(files[half:], report)]
        return report.add(answer)


def read_scans(client: Client, scan_ids: Sequence[str], *, presigned: bool = False) -> ScanReport:
    """Return scans again as the service kept them; files have the names that they were sent with.

    Raises `ApiError` for one that is not there, or not any more, and `ClientError` for scans of
    different retrievers: no table says both.
    """
    report = ScanReport()
    for scan_id in dict.fromkeys(scan_ids):
        query = {"return_presigned_urls": "true"} if presigned else None
        answer = client.call("GET", api_path("scans", scan_id), query=query)
        if report.retrievers and _versions(answer) != _versions({"retrievers": report.retrievers}):
            first = report.scan_ids[0]
            raise ClientError(
                f"{scan_id} and {first} are scans of different retrievers, or of different "
                "versions of them: show them one by one"
            )
        for file in report.add(answer):
            name = file.get("id") or f"file {file['index'] + 1} of {scan_id}"
            report.files.append({"file": name, **file})
    return report


def find_scanned(
    report: ScanReport, references: Sequence[Reference], *, say: Say = lambda _text: None
) -> None:
    """Note which of the files at hand were scanned, by their content; these take their names.

    What cannot be read was not found; names that the service kept open no file by themselves.
    """
    wanted = {file["sha256"] for file in report.files if file.get("sha256")}
    for reference in references:
        path = Path(reference.name)
        if not reference.is_local:
            continue
        say(f"looking for what was scanned: {reference.name}")
        try:
            if not path.is_file():
                continue
            with path.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
        except (OSError, ValueError):
            continue
        if digest in wanted:
            report.paths.setdefault(digest, path)
    for file in report.files:
        found = report.paths.get(file.get("sha256") or "")
        if found is not None:
            file["file"] = Reference(str(found)).text


def _worse_canary(
    known: JsonObject | None, other: JsonObject | None, scan_id: str
) -> JsonObject | None:
    """Return what is said of a retriever's canary for several scans: it was found in each, or in
    which of them it was not."""
    if known is None or other is None or not known["found"] or other["found"]:
        return known or other
    reason = other["reason"] or {}
    return {**other, "reason": {**reason, "message": f"in {scan_id}: {reason.get('message')}"}}


def _versions(answer: Mapping[str, Any]) -> set[tuple[str, int]]:
    return {(one["retriever_id"], one["version"]) for one in answer["retrievers"]}


def _named(reference: Reference, content: str) -> JsonObject:
    """Return a file as it is sent, with its name."""
    text = reference.label
    if text.startswith("data:"):
        return {"file": content}
    short = text if len(text) <= _NAME_CHARACTERS else "…" + text[1 - _NAME_CHARACTERS :]
    return {"file": content, "id": short}


def _unread_file(message: str) -> JsonObject:
    """Return a file that never reached the service."""
    reason = {"retriever": None, "code": "file_unreadable", "message": message}
    return {"verdict": "unknown", "complete": False, "reasons": [reason], "retrievers": {}}
