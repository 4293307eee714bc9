"""Reads and swaps manifests: the one place where two writers of a collection meet."""

import random
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from core.errors import AlreadyExistsError, ConflictError, InvalidRequestError, NotFoundError
from core.ports.records import ABSENT, Put, Record, Records
from core.storage.manifest import EMBEDDED, Manifest
from core.types import VectorSpec

ATTEMPTS: Final = 64
_FIRST_PAUSE_S: Final = 0.002
_LONGEST_PAUSE_S: Final = 0.25
# How long a dropped collection's record stays: its versions go on counting meanwhile, so a writer
# that read the old collection cannot win against a new one of the same id.
_TOMBSTONE_S: Final = 7 * 86_400.0


class ManifestStore:
    """The manifests in a `records` store. `sleep` is given the seconds to pause after a loss."""

    def __init__(self, records: Records, sleep: Callable[[float], None] = time.sleep) -> None:
        self._records = records
        self._sleep = sleep
        self._random = random.SystemRandom()

    def read(self, namespace_id: str, collection_id: str) -> Manifest:
        """Return the present manifest; `NotFoundError` if there is no such collection."""
        record = self._find(namespace_id, collection_id)
        if record is None or "dropped" in record.value:
            raise NotFoundError("collection", collection_id)
        return Manifest.from_json(record.value, record.version)

    def create(
        self,
        namespace_id: str,
        collection_id: str,
        specs: Mapping[str, VectorSpec],
        *,
        declared: bool,
        engine: str = EMBEDDED,
        filterable: Sequence[str] = (),
    ) -> Manifest:
        """Store the manifest of an empty collection; `AlreadyExistsError` if there is one."""
        for name, value in (("namespace_id", namespace_id), ("collection_id", collection_id)):
            if not value or "/" in value:
                raise InvalidRequestError(f"{name} must be non-empty and without '/': {value!r}")
        record = self._find(namespace_id, collection_id)
        if record is not None and "dropped" not in record.value:
            raise AlreadyExistsError("collection", collection_id)
        manifest = Manifest(
            secrets.token_hex(8), specs, declared, engine=engine, filterable=tuple(filterable)
        )
        expected = ABSENT if record is None else record.version
        try:
            return self._put(namespace_id, collection_id, manifest, expected)
        except ConflictError:
            raise AlreadyExistsError("collection", collection_id) from None

    def drop(self, namespace_id: str, collection_id: str) -> Manifest:
        """Make the collection gone; return its last manifest."""
        for attempt in range(ATTEMPTS):
            manifest = self.read(namespace_id, collection_id)
            put = Put(
                _partition(namespace_id),
                collection_id,
                {"dropped": True},
                manifest.version,
                _TOMBSTONE_S,
            )
            try:
                self._records.put(put)
                return manifest
            except ConflictError:
                self.pause(attempt)
        raise too_busy(collection_id)

    def swap(
        self,
        namespace_id: str,
        collection_id: str,
        start: Manifest,
        change: Callable[[Manifest], Manifest | None],
    ) -> Manifest:
        """Store `change(present)`, again with the new present whenever another writer was first.

        `start` is what the caller read last. A change of None stores nothing and gives the
        present manifest. Raises `ConflictError` when it has lost too often.
        """
        present = start
        for attempt in range(ATTEMPTS):
            if attempt:
                present = self.read(namespace_id, collection_id)
            if present.incarnation != start.incarnation:
                raise NotFoundError("collection", collection_id)
            changed = change(present)
            if changed is None:
                return present
            try:
                return self.put(namespace_id, collection_id, changed)
            except ConflictError:
                self.pause(attempt)
        raise too_busy(collection_id)

    def put(self, namespace_id: str, collection_id: str, manifest: Manifest) -> Manifest:
        """Store `manifest` over the version it was made from; `ConflictError` if that is past."""
        return self._put(namespace_id, collection_id, manifest, manifest.version)

    def pause(self, attempt: int) -> None:
        """Wait a random while, longer with each lost attempt, so that equals do not march on."""
        longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(attempt, 16))
        self._sleep(self._random.uniform(0, longest))

    def _put(
        self, namespace_id: str, collection_id: str, manifest: Manifest, expected: int
    ) -> Manifest:
        value = manifest.to_json()
        record = self._records.put(Put(_partition(namespace_id), collection_id, value, expected))
        return Manifest.from_json(value, record.version)

    def _find(self, namespace_id: str, collection_id: str) -> Record | None:
        return self._records.get(_partition(namespace_id), collection_id)


def _partition(namespace_id: str) -> str:
    return f"manifests/{namespace_id}"


def too_busy(collection_id: str) -> ConflictError:
    """Return the error of a writer that lost to others again and again."""
    return ConflictError(
        f"collection {collection_id} is being written by too many at once; send it again",
        retry_after_seconds=1.0,
    )
