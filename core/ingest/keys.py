"""Which collection an object of the assets bucket is a reference of: its key alone says so."""

import hashlib
from dataclasses import dataclass
from typing import Final

from core.errors import InvalidRequestError

# `{namespace id}/ingest/{collection name or id}/{path}`
FOLDER: Final = "ingest"


@dataclass(frozen=True, slots=True)
class ReferenceFile:
    """An object below a collection's folder. `path` is what follows that, slashes included."""

    key: str
    namespace_id: str
    collection: str
    path: str

    @property
    def document_id(self) -> str:
        """The document that stands for it, whatever lies under the key: the key's own digest."""
        return f"file_{hashlib.sha256(self.key.encode()).hexdigest()[:32]}"

    @property
    def filename(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


def read_key(key: str) -> ReferenceFile | None:
    """Return the file of a key, None for an object that is no reference, or a folder's own mark.

    Raises `InvalidRequestError` for a key that was meant to be one and names no namespace or no
    collection: `/ingest/photos/a.jpg` is what a shell makes of a variable that is not set.
    """
    namespace_id, _, rest = key.partition("/")
    folder, slash, rest = rest.partition("/")
    if folder != FOLDER or not slash:
        return None
    if key.endswith("/"):
        return None  # consoles make such objects, to show an empty folder
    if not namespace_id:
        raise InvalidRequestError(
            f"the key names no namespace: want NAMESPACE_ID/{FOLDER}/{rest} (trawl namespaces list "
            "shows ids)"
        )
    collection, slash, path = rest.partition("/")
    if not collection or not slash:
        raise InvalidRequestError(
            f"the key names no collection: want {namespace_id}/{FOLDER}/COLLECTION/{rest}"
        )
    return ReferenceFile(key, namespace_id, collection, path)
