"""Changing a stored document by a JSON merge patch (RFC 7396)."""

from collections.abc import Iterable

from core.catalog.document_fields import RESERVED
from core.errors import ConflictError, Problem
from core.models.collections import Collection
from core.storage.segments import StoredDocument
from core.storage.snapshot import Snapshot
from core.types import JsonObject, JsonValue


def merge_patch(target: JsonValue, patch: JsonValue) -> JsonValue:
    """Return `target` changed as RFC 7396 says: objects merge, null removes, all else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def stored_documents(snapshot: Snapshot, document_ids: Iterable[str]) -> dict[str, StoredDocument]:
    """Return the documents of these ids as they are written, those that there are.

    Raises `ConflictError` if a vector that lies outside is no longer there, because a later
    write replaced it: to write the document without it would lose it.
    """
    refs = {one: snapshot.find(one) for one in document_ids}
    found = [(one, ref) for one, ref in refs.items() if ref is not None]
    vectors = snapshot.vectors_of([ref for _, ref in found])
    documents = {}
    for (one, ref), of_one in zip(found, vectors, strict=True):
        if of_one.keys() != snapshot.vector_names(ref):
            message = f"document {one} is being written by another; send it again"
            raise ConflictError(message, retry_after_seconds=1.0)
        documents[one] = StoredDocument(one, snapshot.payload(ref), dict(of_one))
    return documents


def patch_problems(
    before: StoredDocument, patch: JsonObject, collection: Collection, path: str
) -> list[Problem]:
    """Return what a patch may not do to a document; paths stand below `path`."""
    own = {
        "document_id": before.document_id,
        "collection_id": collection.collection_id,
        "_internal": before.fields.get("_internal"),
    }
    problems = [
        Problem(f"{path}{name}", "this name is reserved", "reserved_name")
        for name in patch
        if (name in RESERVED or name in before.vectors) and own.get(name) != patch[name]
    ]
    for name in ("vectors", "metadata"):
        if name in patch and not isinstance(patch[name], dict):
            problems.append(Problem(f"{path}{name}", "expected an object"))
    if "content" in patch and collection.feature_extractor is not None:
        message = "to replace a document's media, upsert the document"
        problems.append(Problem(f"{path}content", message))
    return problems


def apply_patch(before: StoredDocument, patch: JsonObject, now: str) -> StoredDocument:
    """Return the document after a patch (RFC 7396); `now` is when it changed."""
    own = {"vectors", "metadata"} | RESERVED
    payload = {name: value for name, value in patch.items() if name not in own}
    fields = merge_patch(before.fields, payload)
    internal = {**fields.get("_internal", {}), "updated_at": now}
    if isinstance(patch.get("metadata"), dict):
        internal["metadata"] = merge_patch(internal.get("metadata"), patch["metadata"])
    vectors = patch.get("vectors") if isinstance(patch.get("vectors"), dict) else {}
    merged = {**before.vectors, **(vectors or {})}
    kept = {name: vector for name, vector in merged.items() if vector is not None}
    return StoredDocument(before.document_id, {**fields, "_internal": internal}, kept)
