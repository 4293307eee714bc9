"""Delivery: what leaves with a result. Presigned URLs, vectors, and documents too large to send."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

import orjson

from core.errors import (
    BlobNotFoundError,
    DeadlineError,
    FetchError,
    TrawlError,
    UnavailableError,
    describe_error,
)
from core.models.namespaces import Namespace
from core.ports.blobs import Blobs, BlobStores, Presigned
from core.ports.media import ReadObject
from core.types import JsonObject, JsonValue

# What the envelope and the URL of each moved result may add to what is measured.
_OVERHEAD = 4_000
# Objects stored at a time: one after the other, fifty of them could outlast the deadline.
_PARALLEL = 8


@dataclass(frozen=True, slots=True)
class ReadableBuckets:
    """What one namespace may read: its own prefix of the assets bucket, and whole buckets that it
    has registered. Presigning or fetching anything else would make the service a deputy of
    whoever can write a URL into a document."""

    namespace_id: str
    assets_bucket: str
    registered: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, namespace: Namespace, assets_bucket: str) -> Self:
        """Return what a namespace may read."""
        registered = frozenset(namespace.registered_buckets)
        return cls(namespace.namespace_id, assets_bucket, registered)

    def refusal(self, bucket: str, key: str) -> str | None:
        """Return why an object may not be read, None if it may."""
        if bucket == self.assets_bucket:
            if key.startswith(f"{self.namespace_id}/"):
                return None
            return "outside this namespace's prefix of the assets bucket"
        if bucket in self.registered:
            return None
        return f"bucket {bucket!r} is not registered with this namespace"


def parse_s3_uri(value: JsonValue) -> tuple[str, str] | None:
    """Return (bucket, key) of an `s3://bucket/key` string, None for anything else."""
    if not isinstance(value, str) or not value.startswith("s3://"):
        return None
    bucket, _, key = value.removeprefix("s3://").partition("/")
    return (bucket, key) if bucket and key else None


def read_object(buckets: BlobStores, assets_bucket: str, namespace: Namespace) -> ReadObject:
    """Return what reads the objects that a namespace may read; `FetchError` for any other."""
    readable = ReadableBuckets.of(namespace, assets_bucket)

    def read(bucket: str, key: str, most: int) -> bytes:
        refusal = readable.refusal(bucket, key)
        if refusal is not None:
            raise FetchError(f"s3://{bucket}/{key} may not be read: {refusal}")
        try:
            return buckets.bucket(bucket).get(key, length=most)
        except BlobNotFoundError:
            raise FetchError(f"s3://{bucket}/{key} does not exist") from None

    return read


class Presigner:
    """Adds presigned URLs beside the `s3://` values of documents. One per call: it remembers what
    it has signed, since the documents of a batch share their media."""

    def __init__(self, buckets: BlobStores, readable: ReadableBuckets, expires_s: int) -> None:
        self._buckets = buckets
        self._readable = readable
        self._expires_s = expires_s
        self._signed: dict[str, JsonObject] = {}

    def add_urls(self, document: JsonObject) -> JsonObject:
        """Return the document with `presigned_url` beside each blob's URL, `f_presigned_url`
        beside a field `f` with an `s3://` value, and reasons where there can be none. Groups'
        `documents` are treated alike."""
        added: JsonObject = {}
        for name, value in document.items():
            if isinstance(value, str) and value.startswith("s3://"):
                for key, signed in self._sign(value).items():
                    added[f"{name}_{key}"] = signed
            elif name == "document_blobs" and isinstance(value, list):
                added[name] = [self._add_to_blob(blob) for blob in value]
            elif name == "documents" and isinstance(value, list):
                added[name] = [self.add_urls(d) if isinstance(d, dict) else d for d in value]
            elif name == "_internal" and isinstance(value, dict):
                added[name] = self.add_urls(value)
        return {**document, **added} if added else document

    def _add_to_blob(self, blob: JsonValue) -> JsonValue:
        if not isinstance(blob, dict) or parse_s3_uri(blob.get("url")) is None:
            return blob
        return {**blob, **self._sign(blob["url"])}

    def _sign(self, uri: str) -> JsonObject:
        if uri not in self._signed:
            self._signed[uri] = self._sign_anew(uri)
        return self._signed[uri]

    def _sign_anew(self, uri: str) -> JsonObject:
        location = parse_s3_uri(uri)
        if location is None:
            return {"unavailable_reason": "not an s3:// address of a bucket and a key"}
        refusal = self._readable.refusal(*location)
        if refusal is not None:
            return {"unavailable_reason": refusal}
        bucket, key = location
        try:
            signed = self._buckets.bucket(bucket).presign(key, expires_s=self._expires_s)
        except TrawlError as error:
            return {"unavailable_reason": error.message}
        return {"presigned_url": signed.url, "presigned_expires_at": iso_time(signed)}


def iso_time(signed: Presigned) -> str:
    """Return when a presigned URL stops working, as ISO 8601 UTC."""
    return datetime.fromtimestamp(signed.expires_at, UTC).isoformat(timespec="seconds")


def spill_documents(
    results: Sequence[JsonObject],
    *,
    limit_bytes: int,
    blobs: Blobs,
    key_of: Callable[[JsonObject], str],
    expires_s: int,
) -> None:
    """Move documents of the largest results to the results bucket until the rest fits.

    A moved result has no `documents` but `documents_url` (presigned, JSON lines of the same
    shape) and `documents_count`. One whose documents cannot be stored fails, and says so: an
    answer is never cut short. Results that reuse a moved one's documents share its object.
    """
    moving = _largest(results, limit_bytes)
    # Equal queries share one list of documents, so they share the object too.
    first = {id(results[i]["documents"]): i for i in reversed(moving)}

    def store(i: int) -> JsonObject:
        return _store(results[i]["documents"], blobs, key_of(results[i]), expires_s)

    with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="spill") as pool:
        stored = dict(zip(first, pool.map(store, first.values()), strict=True))
    for i in moving:
        results[i].update(stored[id(results[i]["documents"])])


def fail_largest(results: Sequence[JsonObject], *, limit_bytes: int) -> list[JsonObject]:
    """Return the results that fit as they are; where documents would have to move and there is no
    time to move them, the result fails and may be sent again."""
    late = set(_largest(results, limit_bytes))
    error = DeadlineError("time ran out while the documents were stored")
    return [{**r, **_failure(error)} if i in late else r for i, r in enumerate(results)]


def _largest(results: Sequence[JsonObject], limit_bytes: int) -> list[int]:
    """Return which results' documents must move for the rest to fit, the largest first."""
    sizes = [len(orjson.dumps(result["documents"])) for result in results]
    # Facets, statistics and errors may be large too.
    rests = (len(orjson.dumps({**result, "documents": []})) for result in results)
    total = sum(sizes) + sum(rests) + _OVERHEAD * (len(results) + 1)
    moving: list[int] = []
    for i in sorted(range(len(results)), key=lambda i: (-sizes[i], i)):
        if total <= limit_bytes or sizes[i] <= 2:  # "[]": there is nothing to move
            break
        moving.append(i)
        total -= sizes[i]
    return moving


def _store(documents: list[JsonObject], blobs: Blobs, key: str, expires_s: int) -> JsonObject:
    lines = b"".join(orjson.dumps(d, option=orjson.OPT_APPEND_NEWLINE) for d in documents)
    try:
        blobs.put(key, lines, content_type="application/x-ndjson")
        signed = blobs.presign(key, expires_s=expires_s)
    except Exception as error:
        # Of what is not ours to know only the kind: its words may name what is not the caller's.
        why = error.message if isinstance(error, TrawlError) else type(error).__name__
        return _failure(UnavailableError(f"the documents could not be stored: {why}"))
    return {
        "documents": [],
        "documents_url": signed.url,
        "documents_url_expires_at": iso_time(signed),
        "documents_count": len(documents),
    }


def _failure(error: TrawlError) -> JsonObject:
    status = "timed_out" if isinstance(error, DeadlineError) else "failed"
    body = describe_error(error)
    return {"documents": [], "status": status, "complete": False, "error": body}
