"""Scans as they are kept: one object each, a record that finds it, and who runs under which key.

Records and objects are those of one life of a namespace: another that takes its id later finds
none of them.
"""

import hashlib
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from core.deadline import Deadline
from core.errors import (
    BlobNotFoundError,
    ConflictError,
    IdempotencyError,
    NotFoundError,
)
from core.ids import new_id
from core.models.namespaces import Namespace
from core.models.scans import ScanRequest
from core.ports.blobs import Blobs
from core.ports.records import ABSENT, Delete, Put, Record, Records, list_all
from core.types import JsonObject

_SCAN_ID = re.compile(r"scan_[0-9a-f]{24}")
# A run that says nothing for so long after its deadline has died: its key is free again.
_GRACE_S = 30.0
_LONGEST_S = 900.0
_RETRY_AFTER_S = 2.0
# What may differ between two calls that mean the same scan.
_FREE = {"idempotency_key", "concurrency", "return_presigned_urls", "stream"}


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run a scan. With a key, nobody else has it meanwhile; `version` is that of the
    key's record. `earlier` is the answer of the run before, if there was one."""

    scan_id: str
    key: str | None = None
    digest: str = ""
    version: int = ABSENT
    earlier: JsonObject | None = None


class ScanStore:
    """Where scans are kept; everything here blocks. `keep_s` is how long."""

    def __init__(
        self,
        records: Records,
        blobs: Blobs,
        keep_s: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._records = records
        self._blobs = blobs
        self._keep_s = keep_s
        self._now = now

    def claim(self, namespace: Namespace, request: ScanRequest, deadline: Deadline) -> Claim:
        """Return the right to run a request that has a key.

        Raises `IdempotencyError` for a key that belongs to another request, and
        `ConflictError` while another call runs under it.
        """
        partition = _partition(namespace)
        name = request.idempotency_key or ""
        key = f"{_life(namespace)}key/{hashlib.sha256(name.encode()).hexdigest()}"
        digest = _digest(request)
        found = self._records.get(partition, key)
        if found is None:
            claim = Claim(new_id("scan"), key, digest)
        else:
            self._check(found, name, digest)
            scan_id = found.value["scan_id"]
            earlier = self._read(namespace, scan_id)
            claim = Claim(scan_id, key, digest, found.version, earlier and earlier["answer"])
        until = self._now() + min(deadline.remaining(), _LONGEST_S) + _GRACE_S
        record = self._put_key(namespace, claim, "running", until)
        return Claim(claim.scan_id, key, digest, record.version, claim.earlier)

    def finish(
        self, namespace: Namespace, claim: Claim, answer: JsonObject, *, presigned: bool
    ) -> None:
        """Keep the answer, in place of the one before, and free the key."""
        partition = _partition(namespace)
        name = f"{namespace.namespace_id}/results/{claim.scan_id}/{new_id('answer')}.json"
        self._blobs.put(name, orjson.dumps(answer), content_type="application/json")
        value: JsonObject = {"object": name, "presigned": presigned}
        key = f"{_life(namespace)}{claim.scan_id}"
        self._records.put(Put(partition, key, value, ttl_s=self._keep_s))
        if claim.key is not None:
            self._put_key(namespace, claim, "done", 0.0)

    def release(self, namespace: Namespace, claim: Claim) -> None:
        """Free the key of a run that failed as a whole: the scan before it stays, if any."""
        if claim.key is None:
            return
        if claim.earlier is None:
            self._records.delete(Delete(_partition(namespace), claim.key, expected=claim.version))
        else:
            self._put_key(namespace, claim, "done", 0.0)

    def read(self, namespace: Namespace, scan_id: str) -> tuple[JsonObject, bool]:
        """Return a scan's answer, and whether its documents were to be presigned.

        Raises `NotFoundError`, also for one that is kept no longer.
        """
        found = self._read(namespace, scan_id) if _SCAN_ID.fullmatch(scan_id) else None
        if found is None:
            raise NotFoundError("scan", scan_id)
        return found["answer"], found["presigned"]

    def clear(self, namespace_id: str) -> None:
        """Delete every scan of a namespace, and the documents that moved out of answers."""
        partition = f"scans/{namespace_id}"
        for record in list_all(self._records, partition, at_once=1000):
            self._records.delete(Delete(partition, record.key))
        for blob in list(self._blobs.list(f"{namespace_id}/results/")):
            self._blobs.delete(blob.key)

    def _read(self, namespace: Namespace, scan_id: str) -> JsonObject | None:
        record = self._records.get(_partition(namespace), f"{_life(namespace)}{scan_id}")
        if record is None:
            return None
        try:
            answer = orjson.loads(self._blobs.get(record.value["object"]))
        except BlobNotFoundError:
            return None
        return {"answer": answer, "presigned": record.value["presigned"]}

    def _check(self, found: Record, key: str, digest: str) -> None:
        if found.value["digest"] != digest:
            message = (
                f"the idempotency key {key!r} belongs to scan {found.value['scan_id']}, of other "
                "files, retrievers or settings"
            )
            raise IdempotencyError(message, scan_id=found.value["scan_id"])
        left = found.value["until"] - self._now()
        if found.value["state"] == "running" and left > 0:
            raise _running(left)

    def _put_key(self, namespace: Namespace, claim: Claim, state: str, until: float) -> Record:
        value: JsonObject = {
            "scan_id": claim.scan_id,
            "digest": claim.digest,
            "state": state,
            "until": until,
        }
        put = Put(
            _partition(namespace),
            claim.key or "",
            value,
            expected=claim.version,
            ttl_s=self._keep_s,
        )
        try:
            return self._records.put(put)
        except ConflictError:
            raise _running(until - self._now()) from None


def _running(left: float) -> ConflictError:
    message = (
        "a scan with this idempotency key is running: ask again when it is done; if its process "
        f"was killed, the key is free in {math.ceil(max(left, 1.0))} s"
    )
    return ConflictError(message, retry_after_seconds=_RETRY_AFTER_S)


def _partition(namespace: Namespace) -> str:
    return f"scans/{namespace.namespace_id}"


def _life(namespace: Namespace) -> str:
    # Ids of deleted namespaces may be taken again, by others, while a scan is still running.
    return f"{namespace.created_at}/"


def _digest(request: ScanRequest) -> str:
    """Return a digest of what is scanned with what: the rest of a body may differ."""
    # Left out unless it is asked for: keys of before there was such a thing stay good.
    unasked = set() if request.return_vectors else {"return_vectors"}
    body: Mapping[str, Any] = request.model_dump(exclude=_FREE | unasked)
    settings = {name: value for name, value in body["settings"].items() if name != "deadline_ms"}
    whole = {**body, "settings": settings}
    return hashlib.sha256(orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)).hexdigest()
