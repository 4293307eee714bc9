"""Upkeep of a whole deployment: every collection merged and swept, what expired removed."""

import logging
import random
import time
from dataclasses import dataclass
from typing import Final

from core.catalog.collections import CollectionCatalog
from core.catalog.namespaces import NamespaceCatalog
from core.deadline import Deadline
from core.errors import NotFoundError, TrawlError
from core.ports.blobs import BlobStores
from core.ports.records import Records
from core.storage.collections import CollectionStore
from core.types import JsonObject

_log = logging.getLogger(__name__)

# Older than any write can be that is still under way.
_LEFT_ASIDE_S: Final = 86_400.0
# In how many rounds the vectors that lie outside are looked through.
_SHARES: Final = 16


@dataclass(frozen=True, slots=True)
class CollectionUpkeep:
    """What was done for one collection, by name where it still has one."""

    namespace: str
    collection: str
    merged: bool = False
    swept: int = 0
    error: str | None = None

    def to_json(self) -> JsonObject:
        """Return it as reports show it."""
        body: JsonObject = {"namespace": self.namespace, "collection": self.collection}
        body |= {"merged": self.merged, "swept": self.swept}
        return body if self.error is None else {**body, "error": self.error}


@dataclass(frozen=True, slots=True)
class UpkeepReport:
    """What one round did. `unreached` collections wait for the next one; `faults` are those of
    the round itself, such as a listing that did not answer."""

    collections: tuple[CollectionUpkeep, ...]
    unreached: int
    purged: int
    faults: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[CollectionUpkeep, ...]:
        """The collections for which something failed."""
        return tuple(one for one in self.collections if one.error is not None)

    def to_json(self) -> JsonObject:
        """Return the totals, and every collection for which there was something to do."""
        busy = [one for one in self.collections if one.merged or one.swept or one.error]
        return {
            "collections": len(self.collections),
            "merged": sum(one.merged for one in self.collections),
            "swept": sum(one.swept for one in self.collections),
            "purged": self.purged,
            "failed": len(self.failures),
            "unreached": self.unreached,
            "faults": list(self.faults),
            "details": [one.to_json() for one in busy],
        }


class Upkeep:
    """Looks after everything that is stored. Nothing it does changes what anything contains, and
    it may run beside writers and beside itself."""

    def __init__(
        self,
        namespaces: NamespaceCatalog,
        collections: CollectionCatalog,
        store: CollectionStore,
        records: Records,
        buckets: BlobStores,
    ) -> None:
        self._namespaces = namespaces
        self._collections = collections
        self._store = store
        self._records = records
        self._buckets = buckets
        self._random = random.SystemRandom()

    def run(self, *, deadline: Deadline, erase: bool = False) -> UpkeepReport:
        """Go round once. The deadline is asked between collections: a merge is not interrupted.

        With `erase` each collection becomes one file, due or not: what was deleted is in no file
        any more.

        What fails for one collection is reported and stops none of the others.
        """
        faults: list[str] = []
        names = self._names(faults)
        places = sorted(self._stored(faults) | set(names))
        # Else a round that is too short for all would always leave out the same.
        self._random.shuffle(places)
        done: list[CollectionUpkeep] = []
        for place in places:
            if deadline.passed():
                break
            named = names.get(place, place)
            done.append(self._look_after(*place, named, deadline, erase=erase))
        purged = 0 if deadline.passed() else self._purge(faults)
        in_order = sorted(done, key=lambda one: (one.namespace, one.collection))
        return UpkeepReport(tuple(in_order), len(places) - len(done), purged, tuple(faults))

    def _names(self, faults: list[str]) -> dict[tuple[str, str], tuple[str, str]]:
        """Return the names of all collections that there are, by their ids."""
        found: dict[tuple[str, str], tuple[str, str]] = {}
        try:
            for namespace in self._namespaces.all():
                for one in self._collections.all(namespace.namespace_id):
                    ids = (one.namespace_id, one.collection_id)
                    found[ids] = (namespace.namespace_name, one.collection_name)
        except Exception as error:
            faults.append(_fault("listing the collections", error))
        return found

    def _stored(self, faults: list[str]) -> set[tuple[str, str]]:
        """Return the ids of all collections that segments lie of, dropped ones included."""
        try:
            return self._store.places()
        except Exception as error:
            faults.append(_fault("listing the segments", error))
            return set()

    def _look_after(
        self,
        namespace_id: str,
        collection_id: str,
        names: tuple[str, str],
        deadline: Deadline,
        *,
        erase: bool,
    ) -> CollectionUpkeep:
        merge = self._store.erase if erase else self._store.merge_due
        merged, swept = False, 0
        errors: list[str] = []
        try:
            merged = merge(namespace_id, collection_id)
        except NotFoundError:
            pass  # dropped: there may be something to sweep
        except Exception as error:
            errors.append(_fault(f"merging {namespace_id}/{collection_id}", error))
        try:
            # By the hour another share: rounds come by the hour, and every call is billed.
            share = (int(time.time() // 3600) % _SHARES, _SHARES)
            swept = self._store.sweep(
                namespace_id, collection_id, share=share, stop=deadline.passed
            )
        except Exception as error:
            errors.append(_fault(f"sweeping {namespace_id}/{collection_id}", error))
        return CollectionUpkeep(*names, merged, swept, "; ".join(errors) or None)

    def _purge(self, faults: list[str]) -> int:
        purged = 0
        try:
            purged += self._records.purge()
            purged += self._buckets.purge(_LEFT_ASIDE_S)
        except Exception as error:
            faults.append(_fault("purging", error))
        return purged


def _fault(what: str, error: Exception) -> str:
    if isinstance(error, TrawlError):
        _log.warning("%s failed: %s", what, error)
        return f"{what}: {error.message}"
    _log.error("%s failed", what, exc_info=error)
    return f"{what}: unexpected {type(error).__name__}"
