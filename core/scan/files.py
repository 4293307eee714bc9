"""The files of a scan: where their bytes are, or the stored vectors that stand for them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from core.delivery import parse_s3_uri
from core.errors import NotFoundError
from core.models.scans import DocumentFile, ScanFile
from core.ports.media import MediaInfo
from core.runtime.environment import Environment
from core.runtime.media import CallMedia, MediaFile, StoredDocument
from core.storage.files import find_file
from core.storage.snapshot import Snapshot
from core.types import JsonObject

# What answers say of a file, null where it is not known.
FACTS: Final = ("sha256", "content_type", "size_bytes", "duration_ms", "width", "height")


@dataclass(frozen=True, slots=True)
class Item:
    """One file, ready to be searched: its content reference and the other inputs, or why not."""

    content: str
    inputs: JsonObject
    error: Exception | None = None


def make_item(file: ScanFile, environment: Environment, media: CallMedia) -> Item:
    """Return a file of a request as an item; blocks for a stored document."""
    if file.document is None:
        return Item(file.file or "", file.inputs)
    try:
        content = _content_of(file.document, environment, media)
    except Exception as error:
        return Item("", file.inputs, error)
    return Item(content, file.inputs)


def find_document(snapshots: Iterable[Snapshot], document_id: str) -> StoredDocument | None:
    """Return a document, or the chunks of the file of that id, of the first that has it."""
    for snapshot in snapshots:
        found = find_file(snapshot, document_id)
        if found:
            return StoredDocument(snapshot, tuple(ref for _, ref in found))
    return None


def _content_of(wanted: DocumentFile, environment: Environment, media: CallMedia) -> str:
    """Return the address of what the document was made from: a search by the file finds altered
    copies that one by its stored vectors does not."""
    snapshots = environment.pin([wanted.collection])
    found = find_document(snapshots, wanted.document_id)
    if found is None:
        raise NotFoundError("document", f"{wanted.document_id} in {wanted.collection}")
    blobs = found.payload().get("document_blobs")
    for blob in blobs if isinstance(blobs, list) else ():
        if not isinstance(blob, dict) or blob.get("role", "source") != "source":
            continue
        url = blob.get("url")
        if parse_s3_uri(url) is not None or str(url).startswith("https://"):
            return str(url)
    return media.add_document(found)


def facts_of(
    file: MediaFile | None, content_type: str | None, infos: Iterable[MediaInfo]
) -> JsonObject:
    """Return what is known of a file: its hash, size, type, duration and measures, null for what
    is not. `content_type` is what its first bytes show."""
    facts: JsonObject = dict.fromkeys(FACTS)
    if file is not None:
        facts |= {
            "sha256": file.sha256,
            "content_type": content_type,
            "size_bytes": len(file.data),
        }
    for info in infos:
        for name in facts:
            facts[name] = facts[name] or getattr(info, name) or None
    return facts
