"""Files into a collection: each once, however often and from wherever it runs."""

import hashlib
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from core.errors import InvalidRequestError
from core.media.extractors import find_extractor
from core.types import JsonObject
from handlers.client import Client, api_path
from handlers.client_errors import ApiError
from handlers.load_report import LoadReport
from handlers.load_requests import (
    MAX_FILE_BYTES,
    Advance,
    KnownFile,
    Sending,
    encode_file,
    problem_of,
    update_fields,
)
from handlers.load_sources import AnyFile, LocalFile, find_files, read_head, refuse_kind
from handlers.stored_documents import is_bare

__all__ = ["MAX_FILE_BYTES", "encode_file", "ensure_place", "find_files", "load_files"]

# How many files are asked about at once; the API's own bound is 1,000.
_ASKED: Final = 500
# One request's files. Base64 makes them a third larger, and Lambda takes 6 MB.
_BATCH_FILES: Final = 32
_BATCH_BYTES: Final = 4_000_000
_WORKERS: Final = 3
Remember = Callable[[Sequence[tuple[str, Path]]], None]
_NO_COLLECTION: Final = (
    "there is no collection {}: with --extractor it is made, by image.pdq, audio.chromaprint or "
    "video.vpdq"
)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a file is not sent; `is_kind` if it is nothing that the extractor reads."""

    reason: str
    is_kind: bool = False


def ensure_place(
    client: Client,
    collection: str,
    extractor: str | None,
    parameters: JsonObject | None = None,
    *,
    say: Callable[[str], None],
) -> JsonObject:
    """Return the collection, made together with its namespace if they are not there.

    Without an extractor it must be there already. `ApiError`, also for a collection with another
    extractor, other parameters than these, or none (409).
    """
    namespace = client.namespace
    if namespace is not None and extractor is not None:
        missing = client.find(api_path("namespaces", namespace)) is None
        if missing and _create(client, "namespaces", {"namespace_name": namespace}):
            say(f"made the namespace {namespace}")
    found = client.find(api_path("collections", collection))
    if found is None:
        if extractor is None:
            raise ApiError(404, {"error": {"message": _NO_COLLECTION.format(collection)}})
        wanted: JsonObject = {"feature_extractor_name": extractor}
        if parameters:
            wanted["parameters"] = parameters
        body = {"collection_name": collection, "feature_extractor": wanted}
        if _create(client, "collections", body):
            say(f"made the collection {collection}, with the extractor {extractor}")
        found = client.call("GET", api_path("collections", collection))
    own = (found.get("feature_extractor") or {}).get("feature_extractor_name")
    if own is None or own != (extractor or own):
        wants = f", not {extractor}" if extractor else ": files cannot be loaded into it"
        message = f"the collection {collection} has the extractor {own or 'of none'}{wants}"
        raise ApiError(409, {"error": {"message": message}})
    held = found["feature_extractor"].get("parameters") or {}
    if any(held.get(name) != value for name, value in (parameters or {}).items()):
        message = f"the collection {collection} is there, with other parameters: {held}"
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
    files: Sequence[AnyFile],
    *,
    advance: Advance = lambda _count: None,
    remember: Remember = lambda _files: None,
) -> LoadReport:
    """Load what the collection does not hold yet. One bad file costs only itself.

    `remember` is told which files it holds then, also those that it held before, as pairs of
    SHA-256 and path.

    Raises `ClientError` if the service fails; what was acknowledged stays, and the next call goes
    on from there. So it is after Ctrl-C, which waits for what is under way; a second one does not.
    """
    report = LoadReport()
    modalities = _modalities(place)
    seen: set[str] = set()
    pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="load")
    try:
        for group in _parts(files, _ASKED):
            good = _look_at(pool, group, modalities, report, seen)
            missing, changed = _compare(client, place, good)
            remember([(k.sha256, k.file.path) for k in good if isinstance(k.file, LocalFile)])
            report.skipped += len(good) - len(missing) - len(changed)
            advance(len(group) - len(missing))
            update_fields(client, place, changed, report)
            _run(pool, [Sending(client, place, one, advance) for one in _batches(missing)], report)
            if report.stopped:
                break
    except KeyboardInterrupt:
        if report.stopped:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        report.stopped = True
    pool.shutdown(cancel_futures=True)
    return report


def _run(pool: ThreadPoolExecutor, work: Sequence[Sending], report: LoadReport) -> None:
    futures = [pool.submit(sending) for sending in work]
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
    except KeyboardInterrupt:
        report.stopped = True
    for future in futures:
        future.cancel()
    wait(futures)
    for future in futures:
        if not future.cancelled():
            report.add(future.result())


def _modalities(place: JsonObject) -> Sequence[str] | None:
    """Return the kinds of media that a collection takes, None if any file may be one."""
    name = (place.get("feature_extractor") or {}).get("feature_extractor_name")
    try:
        found = find_extractor(str(name)).modalities
    except InvalidRequestError:
        return None  # a newer server's: it will say itself what it cannot read
    return None if "text" in found else found


def _parts(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


def _look_at(
    pool: ThreadPoolExecutor,
    files: Sequence[AnyFile],
    modalities: Sequence[str] | None,
    report: LoadReport,
    seen: set[str],
) -> list[KnownFile]:
    """Return the files that are worth sending; the others go into the report."""
    good = []
    for file, found in zip(files, pool.map(lambda one: _know(one, modalities), files), strict=True):
        if isinstance(found, KnownFile):
            if found.document_id in seen:
                report.skipped += 1  # named twice, by a folder and by itself for instance
            else:
                seen.add(found.document_id)
                good.append(found)
        elif found.is_kind:
            report.other_kinds.append(problem_of(file, found.reason))
        else:
            report.failed.append(problem_of(file, found.reason))
    return good


def _know(file: AnyFile, modalities: Sequence[str] | None) -> KnownFile | _Refusal:
    if not isinstance(file, LocalFile):
        reason = None if modalities is None else refuse_kind(file, modalities, None)
        return KnownFile(file) if reason is None else _Refusal(reason, is_kind=True)
    try:
        status = file.path.stat()
        # Before it is opened: a pipe would be waited for.
        if not stat.S_ISREG(status.st_mode):
            return _Refusal("not a regular file")
        head = read_head(file.path)
        reason = None if modalities is None else refuse_kind(file, modalities, head)
        if reason is not None:
            return _Refusal(reason, is_kind=True)
        if status.st_size > MAX_FILE_BYTES:
            return _Refusal(f"larger than {MAX_FILE_BYTES // 1_000_000} MB")
        with file.path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        return _Refusal(getattr(error, "strerror", None) or str(error))
    return KnownFile(file, digest, status.st_size)


def _compare(
    client: Client, place: JsonObject, files: Sequence[KnownFile]
) -> tuple[list[KnownFile], dict[str, tuple[KnownFile, JsonObject]]]:
    """Return the files that the collection does not hold as they are, and those of which it only
    has other fields, by id, with these."""
    if not files:
        return [], {}
    body = {
        "document_ids": [file.document_id for file in files],
        "collection_id": place["collection_id"],
    }
    answer = client.call("POST", api_path("documents", "batch-get"), body)
    held = {document["document_id"]: document for document in answer["documents"]}
    missing: list[KnownFile] = []
    changed: dict[str, tuple[KnownFile, JsonObject]] = {}
    for file in files:
        document = held.get(file.document_id)
        fields = {} if document is None else file.changed_fields(document)
        if document is None:
            missing.append(file)
        elif is_bare(document) or not file.is_content_of(document) or _merges(fields):
            missing.append(replace(file, stored="bare" if is_bare(document) else "comparable"))
        elif fields:
            changed[file.document_id] = file, fields
    return missing, changed


def _merges(fields: JsonObject) -> bool:
    # A patch would add to an object what it is to become, instead of replacing it.
    return any(isinstance(value, dict) for value in fields.values())


def _batches(files: Iterable[KnownFile]) -> Iterator[list[KnownFile]]:
    batch: list[KnownFile] = []
    size = 0
    for file in files:
        if batch and (len(batch) == _BATCH_FILES or size + file.weight > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.weight
    if batch:
        yield batch
