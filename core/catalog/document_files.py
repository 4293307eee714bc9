"""Documents as callers know them: a file of several chunks is one, under the file's own id."""

from collections.abc import Collection as Ids
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from core.catalog.document_fields import document_json
from core.catalog.document_patches import apply_patch, patch_problems, stored_documents
from core.errors import InvalidRequestError, NotFoundError, Problem
from core.models.collections import Collection
from core.storage.files import file_fields, file_ids, find_file, root_of, stored_below
from core.storage.segments import StoredDocument
from core.storage.snapshot import Snapshot
from core.types import JsonObject


@dataclass(frozen=True, slots=True)
class Upsert:
    """What one document or file of a request is stored as: itself, or its chunks."""

    index: int
    document_id: str
    stored: Sequence[StoredDocument]


def read_documents(
    snapshot: Snapshot, document_ids: Sequence[str], *, return_vectors: bool = False
) -> dict[str, JsonObject]:
    """Return the documents of these ids as they are answered, those that there are.

    A file of several chunks has no vectors of its own: its chunks have, each under its own id.
    """
    files = {one: find_file(snapshot, one) for one in document_ids}
    single = {one: file[0][1] for one, file in files.items() if file and file[0][0] == one}
    vectors: Mapping[str, Mapping[str, NDArray[Any]]] = {}
    if return_vectors:
        vectors = dict(zip(single, snapshot.vectors_of(list(single.values())), strict=True))
    documents = {}
    for one, file in files.items():
        if not file:
            continue
        fields = snapshot.payload(file[0][1])
        if one not in single:
            fields = file_fields(fields, len(file))
        documents[one] = document_json(one, snapshot.collection_id, fields, vectors.get(one))
    return documents


def stale_ids(snapshot: Snapshot, upserts: Sequence[Upsert]) -> list[str]:
    """Return the ids that these files or documents had before and have no longer.

    Raises `InvalidRequestError` where an id is a chunk of a file that is not among them, or a
    chunk would need the id of another document or file: neither may replace the other.
    """
    asked = {upsert.document_id for upsert in upserts}
    problems = []
    for upsert in upserts:
        fault = _fault_of_ids(snapshot, upsert, asked)
        if fault is not None:
            path = f"documents.{upsert.index}.document_id"
            problems.append(Problem(path, fault, "chunk_id"))
    if problems:
        raise InvalidRequestError(f"{problems[0].path}: {problems[0].message}", problems)
    written = {one.document_id for upsert in upserts for one in upsert.stored}
    before = (one for upsert in upserts for one in file_ids(snapshot, upsert.document_id))
    return [one for one in before if one not in written]


def _fault_of_ids(snapshot: Snapshot, upsert: Upsert, asked: Ids[str]) -> str | None:
    own, ref = upsert.document_id, snapshot.find(upsert.document_id)
    root = None if ref is None else root_of(own, snapshot.payload(ref))
    if root is not None and root not in asked:
        return f"{own!r} is a chunk of the file {root!r}: change that, or choose another id"
    chunks = {one.document_id for one in upsert.stored} - {own}
    if not chunks:
        return None
    taken = chunks.intersection(asked)
    taken.update(of or one for one, of, _ in stored_below(snapshot, own) if (of or one) in chunks)
    if not taken:
        return None
    return f"a chunk of this file would replace the document {min(taken)!r}: choose another id"


def patch_files(
    snapshot: Snapshot,
    collection: Collection,
    patches: Sequence[tuple[str, JsonObject]],
    now: str,
) -> list[StoredDocument]:
    """Return what patches make of documents and of files, whose chunks all change alike.

    Raises `NotFoundError`, and `InvalidRequestError` with every fault of every patch.
    """
    files = {one: [found for found, _ in find_file(snapshot, one)] for one, _ in patches}
    for one, ids in files.items():
        if not ids:
            raise NotFoundError("document", one)
    present = stored_documents(snapshot, dict.fromkeys(i for ids in files.values() for i in ids))
    problems: list[Problem] = []
    for index, (document_id, patch) in enumerate(patches):
        ids = files[document_id]
        path = "" if len(patches) == 1 else f"updates.{index}.update_data."
        first = present[ids[0]]
        if ids != [document_id]:
            first = replace(
                first, document_id=document_id, fields=file_fields(first.fields, len(ids))
            )
            if "vectors" in patch:
                message = "each chunk of this file has its own vectors: upsert the file"
                problems.append(Problem(f"{path}vectors", message))
        problems += patch_problems(first, patch, collection, path)
        if not problems:
            present |= {one: apply_patch(present[one], patch, now) for one in ids}
    if problems:
        raise InvalidRequestError(f"{problems[0].path}: {problems[0].message}", problems)
    return list(present.values())
