"""The requests of a load: files stored by content, and changed fields without it."""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from core.errors import FeaturelessError
from core.types import JsonObject
from handlers.client import Client, api_path
from handlers.client_errors import ApiError
from handlers.load_report import LoadReport, Problem
from handlers.load_sources import AnyFile, LocalFile

# Larger ones no request can carry: the local server takes 64 MB, as base64.
MAX_FILE_BYTES: Final = 45_000_000
# What the service reads itself costs no request's size, but its time: so much of its bytes.
_REMOTE_SHARE: Final = 10
_UNKNOWN_SIZE: Final = 500_000
# What one request's faults mean for its files alone; anything else ends the whole load.
_FILES_OWN: Final = frozenset({400, 413, 422})
DATA_URI: Final = "data:application/octet-stream;base64,"

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file whose content is known: by its bytes' digest, or by its address.

    `stored` says what the collection holds under its id.
    """

    file: AnyFile
    sha256: str = ""
    size: int = 0
    stored: Literal["nothing", "bare", "comparable"] = "nothing"

    @property
    def document_id(self) -> str:
        """What a manifest says, else what says where the file lies and what it holds."""
        if self.file.document_id is not None:
            return self.file.document_id
        if not isinstance(self.file, LocalFile):
            return self.file.own_id
        digest = hashlib.sha256(self.file.raw_name + b"\0" + self.sha256.encode()).hexdigest()
        return f"file_{digest[:32]}"

    @property
    def weight(self) -> int:
        """What it adds to a request."""
        if isinstance(self.file, LocalFile):
            return self.size
        return self.file.size // _REMOTE_SHARE or _UNKNOWN_SIZE

    def is_content_of(self, document: JsonObject) -> bool:
        """Say whether a stored document was made from this content."""
        if isinstance(self.file, LocalFile):
            return document.get("sha256") == self.sha256
        blobs = document.get("document_blobs")
        urls = [one.get("url") for one in blobs or () if isinstance(one, dict)]
        same = not self.file.version or document.get("etag") == self.file.version
        return same and self.file.uri in urls

    def changed_fields(self, document: JsonObject) -> JsonObject:
        """Return the fields that a stored document has otherwise; None removes one."""
        wanted = dict(self.file.fields)
        if self.file.document_id is not None:
            # The same under another name: its id stayed.
            wanted |= {"path": self.file.name, "filename": self.file.name.rpartition("/")[2]}
        return {name: value for name, value in wanted.items() if document.get(name) != value}

    def document(self, content: str) -> JsonObject:
        """Return the document to store."""
        facts: JsonObject = {"path": self.file.name, "filename": self.file.name.rpartition("/")[2]}
        if isinstance(self.file, LocalFile):
            facts |= {"sha256": self.sha256, "size_bytes": self.size}
        elif self.file.version:
            facts |= {"etag": self.file.version, "size_bytes": self.file.size}
        own = {name: value for name, value in self.file.fields.items() if value is not None}
        return {
            "document_id": self.document_id,
            "content": content,
            "payload": {**own, **facts},
        }


def problem_of(file: AnyFile, reason: str) -> Problem:
    """Return what is wrong with a file, with the manifest's line if it is of one."""
    return Problem(file.name, f"{reason} ({file.origin})" if file.origin else reason)


@dataclass(frozen=True, slots=True)
class Sending:
    """One request's files, read when their turn comes."""

    client: Client
    place: JsonObject
    batch: Sequence[KnownFile]
    advance: Advance

    def __call__(self) -> LoadReport:
        """Send them; return what became of each."""
        report = LoadReport()
        documents = {}
        for file in self.batch:
            content = _content(file, report)
            if content is not None:
                documents[file.document_id] = file, file.document(content)
        self._send(documents, report)
        self.advance(len(self.batch))
        return report

    def _send(
        self, documents: Mapping[str, tuple[KnownFile, JsonObject]], report: LoadReport
    ) -> None:
        """Upsert; of a request that is refused each file is tried alone, to find the culprit."""
        if not documents:
            return
        path = api_path("namespaces", self.place["namespace_id"], "documents", "upsert")
        body = {
            "documents": [document for _, document in documents.values()],
            "collection_id": self.place["collection_id"],
            "options": {"require_features": True},
        }
        try:
            answer = self.client.call("POST", path, body)
        except ApiError as error:
            if error.status not in _FILES_OWN:
                raise
            for document_id, (file, document) in documents.items():
                if len(documents) == 1:
                    report.failed.append(problem_of(file.file, str(error)))
                else:
                    self._send({document_id: (file, document)}, report)
            return
        files = {document_id: file for document_id, (file, _) in documents.items()}
        for failure in answer["failed"]:
            file, fault = files[failure["document_id"]], failure["error"]
            reason = fault["message"]
            if fault["code"] == FeaturelessError.code:
                reason = self._leave_out(file, reason)
            report.failed.append(problem_of(file.file, reason))
        _report_partial(files, answer, report)
        report.loaded += len(documents) - len(answer["failed"])

    def _leave_out(self, file: KnownFile, reason: str) -> str:
        """Return what is said of a file in which nothing can be compared.

        What others stored of it without anything to compare is deleted: it would keep every scan
        from saying clear. What is stored of earlier content is left, and is still found.
        """
        said = f"not loaded: {reason}; copies of it would not be found"
        if file.stored == "comparable":
            return f"{said}; what was stored before as {file.document_id} stays"
        if file.stored == "bare" and not self._delete(file.document_id):
            return f"{said}; the key may not delete the document {file.document_id} without vectors"
        return said

    def _delete(self, document_id: str) -> bool:
        """Delete a document, if it is still there; False if that is forbidden."""
        place = self.place["collection_id"]
        try:
            self.client.call("DELETE", api_path("collections", place, "documents", document_id))
        except ApiError as error:
            if error.status not in (403, 404):
                raise
            return error.status == 404
        return True


def _report_partial(files: Mapping[str, KnownFile], answer: JsonObject, report: LoadReport) -> None:
    """Report what is stored with less than the file holds."""
    for warning in answer["warnings"]:
        # Ids may hold what parts them from the reason: the longest that fits is meant.
        named = (one for one in files if warning.startswith(f"{one}: "))
        document_id = max(named, key=len, default="")
        reason = warning[len(document_id) + 2 :]
        if document_id:
            report.partial.append(problem_of(files[document_id].file, reason))


def update_fields(
    client: Client,
    place: JsonObject,
    changed: Mapping[str, tuple[KnownFile, JsonObject]],
    report: LoadReport,
) -> None:
    """Change fields of files whose content is stored already; nothing is decoded again."""
    if not changed:
        return
    updates = [
        {"document_id": document_id, "update_data": fields}
        for document_id, (_, fields) in changed.items()
    ]
    path = api_path("collections", place["collection_id"], "documents", "batch")
    try:
        client.call("POST", path, {"updates": updates})
    except ApiError as error:
        # Somebody may have deleted one meanwhile, which is that one's affair too.
        if error.status not in _FILES_OWN | {404}:
            raise
        for document_id, (file, fields) in changed.items():
            if len(changed) == 1:
                report.failed.append(problem_of(file.file, str(error)))
            else:
                update_fields(client, place, {document_id: (file, fields)}, report)
        return
    report.updated += len(updates)


def _content(file: KnownFile, report: LoadReport) -> str | None:
    """Return what a document carries of a file; None, and a report, if it cannot be had."""
    if not isinstance(file.file, LocalFile):
        return file.file.uri
    try:
        data = file.file.path.read_bytes()
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise ValueError("it changed while it was being loaded")
        return encode_file(data)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        report.failed.append(problem_of(file.file, reason))
        return None


def encode_file(data: bytes) -> str:
    """Return a file as a data URI of no type: what a name ends with proves nothing, and a picture
    with a wrong ending is still to be compared. `ValueError` if it is empty."""
    if not data:
        raise ValueError("the file is empty")
    return DATA_URI + base64.b64encode(data).decode()
