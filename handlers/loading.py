"""A folder of files into a collection: each file once, however often and from wherever it runs."""

import base64
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path
from typing import Any, Final

from core.types import JsonObject
from handlers.client import Client, api_path
from handlers.client_errors import ApiError

# How many files are asked about at once, two ids each; the API's own bound is 1,000.
_ASKED: Final = 500
# One request's files. Base64 makes them a third larger, and Lambda takes 6 MB.
_BATCH_FILES: Final = 32
_BATCH_BYTES: Final = 4_000_000
# Larger ones no request can carry: the local server takes 64 MB, as base64.
MAX_FILE_BYTES: Final = 45_000_000
_WORKERS: Final = 3
# What one request's faults mean for its files alone; anything else ends the whole load.
_FILES_OWN: Final = frozenset({400, 413, 422})
DATA_URI: Final = "data:application/octet-stream;base64,"

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file below the folder; `name` is its path there, with slashes."""

    name: str
    path: Path
    raw_name: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Hashed:
    """A file whose content is known. The id says where it lies and what it holds."""

    file: LocalFile
    sha256: str
    size: int

    @property
    def document_id(self) -> str:
        digest = hashlib.sha256(self.file.raw_name + b"\0" + self.sha256.encode()).hexdigest()
        return f"file_{digest[:32]}"


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that could not be loaded, or can never be found, and why."""

    name: str
    reason: str

    def to_json(self) -> JsonObject:
        """Return it as `--json` prints it."""
        return {"file": self.name, "reason": self.reason}


@dataclass(slots=True)
class LoadReport:
    """What a load did. `unsearchable` files are stored, without anything to compare with;
    `partial` ones with less than the file holds."""

    loaded: int = 0
    skipped: int = 0
    failed: list[Problem] = field(default_factory=list)
    unsearchable: list[Problem] = field(default_factory=list)
    partial: list[Problem] = field(default_factory=list)

    def to_json(self) -> JsonObject:
        """Return it as `--json` prints it."""
        return {
            "loaded": self.loaded,
            "skipped": self.skipped,
            "failed": [problem.to_json() for problem in self.failed],
            "unsearchable": [problem.to_json() for problem in self.unsearchable],
            "partial": [problem.to_json() for problem in self.partial],
        }


def find_files(folder: Path, patterns: Sequence[str] = ()) -> list[LocalFile]:
    """Return the files below a folder by path, hidden ones left out; `patterns` choose by name.

    Links to files count as files; links to folders are not followed, as they may lead in circles.
    """
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.startswith(".") or not _is_wanted(name, patterns):
                continue
            path = Path(place) / name
            raw = os.fsencode(path.relative_to(folder).as_posix())
            found.append(LocalFile(raw.decode("utf-8", "replace"), path, raw))
    return sorted(found, key=lambda file: file.raw_name)


def _is_wanted(name: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatch(name.lower(), pattern.lower()) for pattern in patterns)


def ensure_place(
    client: Client, collection: str, extractor: str, *, say: Callable[[str], None]
) -> JsonObject:
    """Return the collection, made together with its namespace if they are not there.

    `ApiError`, also for a collection with another extractor (409).
    """
    namespace = client.namespace
    if namespace is not None:
        missing = client.find(api_path("namespaces", namespace)) is None
        if missing and _create(client, "namespaces", {"namespace_name": namespace}):
            say(f"made the namespace {namespace}")
    found = client.find(api_path("collections", collection))
    if found is None:
        wanted = {"feature_extractor_name": extractor}
        body = {"collection_name": collection, "feature_extractor": wanted}
        if _create(client, "collections", body):
            say(f"made the collection {collection}, with the extractor {extractor}")
        found = client.call("GET", api_path("collections", collection))
    own = (found.get("feature_extractor") or {}).get("feature_extractor_name")
    if own != extractor:
        message = (
            f"the collection {collection} has the extractor {own or 'of none'}, not {extractor}"
        )
        raise ApiError(409, {"error": {"message": message}})
    place: JsonObject = found
    return place


def _create(client: Client, kind: str, body: JsonObject) -> bool:
    """Make a thing; False if another process was faster."""
    try:
        client.call("POST", api_path(kind), body)
    except ApiError as error:
        if error.status == 409:
            return False
        raise
    return True


def load_files(
    client: Client,
    place: JsonObject,
    files: Sequence[LocalFile],
    *,
    advance: Advance = lambda _count: None,
) -> LoadReport:
    """Load what the collection does not hold yet. One bad file costs only itself.

    Raises `ClientError` if the service fails; what was acknowledged stays, and the next call goes
    on from there.
    """
    report = LoadReport()
    with ThreadPoolExecutor(_WORKERS) as pool:
        for group in _parts(files, _ASKED):
            hashed = list(pool.map(_hash, group))
            report.failed += [one for one in hashed if isinstance(one, Problem)]
            good = [one for one in hashed if isinstance(one, _Hashed)]
            missing = _missing(client, place, good)
            report.skipped += len(good) - len(missing)
            advance(len(group) - len(missing))
            _run(
                pool,
                [_Sending(client, place, batch, advance) for batch in _batches(missing)],
                report,
            )
    return report


def _run(pool: ThreadPoolExecutor, work: Sequence["_Sending"], report: LoadReport) -> None:
    futures: list[Future[LoadReport]] = [pool.submit(sending) for sending in work]
    try:
        for future in futures:
            part = future.result()
            report.loaded += part.loaded
            report.failed += part.failed
            report.unsearchable += part.unsearchable
            report.partial += part.partial
    finally:
        for future in futures:
            future.cancel()


def _parts(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


def _hash(file: LocalFile) -> _Hashed | Problem:
    try:
        status = file.path.stat()
        if not stat.S_ISREG(status.st_mode):
            return Problem(file.name, "not a regular file")
        if status.st_size > MAX_FILE_BYTES:
            return Problem(file.name, f"larger than {MAX_FILE_BYTES // 1_000_000} MB")
        with file.path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        return Problem(file.name, error.strerror or str(error))
    return _Hashed(file, digest, status.st_size)


def _missing(client: Client, place: JsonObject, files: Sequence[_Hashed]) -> list[_Hashed]:
    """Return the files that the collection does not hold."""
    if not files:
        return []
    # Of a file with several chunks each is a document, and none has the file's own id.
    first = {file.document_id: f"{file.document_id}#0" for file in files}
    body = {
        "document_ids": [*first, *first.values()],
        "collection_id": place["collection_id"],
    }
    answer = client.call("POST", api_path("documents", "batch-get"), body)
    missing = set(answer["not_found"])
    return [file for file in files if {file.document_id, first[file.document_id]} <= missing]


def _batches(files: Iterable[_Hashed]) -> Iterator[list[_Hashed]]:
    batch: list[_Hashed] = []
    size = 0
    for file in files:
        if batch and (len(batch) == _BATCH_FILES or size + file.size > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.size
    if batch:
        yield batch


@dataclass(frozen=True, slots=True)
class _Sending:
    """One request's files, read when their turn comes."""

    client: Client
    place: JsonObject
    batch: Sequence[_Hashed]
    advance: Advance

    def __call__(self) -> LoadReport:
        report = LoadReport()
        documents = [document for file in self.batch if (document := _document(file, report))]
        self._send(documents, report)
        self.advance(len(self.batch))
        return report

    def _send(self, documents: list[JsonObject], report: LoadReport) -> None:
        """Upsert; of a request that is refused each file is tried alone, to find the culprit."""
        if not documents:
            return
        path = api_path("namespaces", self.place["namespace_id"], "documents", "upsert")
        body = {"documents": documents, "collection_id": self.place["collection_id"]}
        try:
            answer = self.client.call("POST", path, body)
        except ApiError as error:
            if error.status not in _FILES_OWN:
                raise
            if len(documents) == 1:
                report.failed.append(Problem(documents[0]["payload"]["path"], str(error)))
                return
            for document in documents:
                self._send([document], report)
            return
        names = {document["document_id"]: document["payload"]["path"] for document in documents}
        for failure in answer["failed"]:
            name = names[failure["document_id"]]
            report.failed.append(Problem(name, failure["error"]["message"]))
        unsearchable = dict.fromkeys(answer["unsearchable_document_ids"])
        for warning in answer["warnings"]:
            document_id, _, reason = warning.partition(": ")
            if document_id in unsearchable:
                unsearchable[document_id] = unsearchable[document_id] or reason
            elif document_id in names:
                report.partial.append(Problem(names[document_id], reason))
        report.unsearchable += [
            Problem(names[document_id], reason or "nothing to compare with")
            for document_id, reason in unsearchable.items()
        ]
        report.loaded += len(documents) - len(answer["failed"])


def _document(file: _Hashed, report: LoadReport) -> JsonObject | None:
    try:
        data = file.file.path.read_bytes()
    except OSError as error:
        report.failed.append(Problem(file.file.name, error.strerror or str(error)))
        return None
    if hashlib.sha256(data).hexdigest() != file.sha256:
        report.failed.append(Problem(file.file.name, "it changed while it was being loaded"))
        return None
    try:
        content = encode_file(data)
    except ValueError as error:
        report.failed.append(Problem(file.file.name, str(error)))
        return None
    return {
        "document_id": file.document_id,
        "content": content,
        "payload": {
            "path": file.file.name,
            "filename": file.file.name.rpartition("/")[2],
            "sha256": file.sha256,
            "size_bytes": file.size,
        },
    }


def encode_file(data: bytes) -> str:
    """Return a file as a data URI of no type: what a name ends with proves nothing, and a picture
    with a wrong ending is still to be compared. `ValueError` if it is empty."""
    if not data:
        raise ValueError("the file is empty")
    return DATA_URI + base64.b64encode(data).decode()
