"""Namespaces: created, found by id or name, changed, and deleted with all that is in them."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from core.catalog.collections import (
    PATCH_ATTEMPTS,
    CollectionCatalog,
    extractor_of,
    refuse_null,
)
from core.catalog.directory import Directory
from core.clock import utc_now
from core.errors import (
    AlreadyExistsError,
    BadRequestError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    Problem,
    TrawlError,
)
from core.ids import new_id
from core.models.collections import CollectionCreate
from core.models.namespaces import (
    Namespace,
    NamespaceCreate,
    NamespacePatch,
    StandaloneNamespaceCreate,
)
from core.ports.records import ABSENT, Delete, Put, Record, Records, list_all
from core.types import JsonObject

_PARTITION = "namespaces"
DEFAULT_COLLECTION = "default"
_ID_OR_NAME: Final = re.compile(r"[ -~]{1,128}")

AnyNamespaceCreate = NamespaceCreate | StandaloneNamespaceCreate


class NamespaceCatalog:
    """Every namespace of a deployment. Ids and names share one space, so neither hides another.

    `own_buckets` are the service's: no namespace may register them, for they hold the media of
    all the others. `clear` are what delete the rest of a namespace: its jobs, its scans.
    """

    def __init__(
        self,
        records: Records,
        collections: CollectionCatalog,
        *,
        own_buckets: frozenset[str] = frozenset(),
        clear: Sequence[Callable[[str], None]] = (),
    ) -> None:
        self._records = records
        self._collections = collections
        self._retrievers = Directory(records, "ret", "retriever")
        self._own_buckets = own_buckets
        self._clear_others = clear

    def find(self, id_or_name: str) -> Namespace:
        """Return a namespace; `NotFoundError` also for one that is being deleted."""
        namespace = _read(self._record(id_or_name))
        if namespace.deleting:
            raise NotFoundError("namespace", id_or_name)
        return namespace

    def identify(self, id_or_name: str) -> str:
        """Return a namespace's id, also of one that is being deleted; `NotFoundError`."""
        return _read(self._record(id_or_name)).namespace_id

    def all(self) -> list[Namespace]:
        """Return every namespace, by id."""
        found = [_read(record) for record in self._all()]
        return [namespace for namespace in found if not namespace.deleting]

    def create(self, request: AnyNamespaceCreate) -> Namespace:
        """Make a namespace with its default collection; `AlreadyExistsError` if a name is taken."""
        self._check_buckets(getattr(request, "registered_buckets", []))
        namespace_id = request.namespace_id or new_id("ns")
        name = request.namespace_name or namespace_id
        for taken in {namespace_id, name}:
            if self._claim(taken) is not None:
                raise AlreadyExistsError("namespace", taken)
        collection, writes = self._collections.prepare(
            namespace_id, _default_collection(request), is_default=True
        )
        namespace = _new_namespace(request, namespace_id, name, collection.collection_id)
        claims = [
            Put(_PARTITION, _ref_key(text), {"id": namespace_id}, expected=ABSENT)
            for text in sorted({namespace_id, name})
        ]
        record = Put(_PARTITION, _id_key(namespace_id), namespace.to_json(), expected=ABSENT)
        try:
            self._records.transact([record, *claims, *writes])
        except ConflictError:
            self._collections.discard(collection)
            raise AlreadyExistsError("namespace", name) from None
        except TrawlError:
            self._collections.discard(collection)
            raise
        return namespace

    def patch(self, id_or_name: str, request: NamespacePatch) -> Namespace:
        """Change what the request names; `BadRequestError` if it names nothing."""
        changes: dict[str, Any] = request.model_dump(exclude_unset=True)
        if not changes:
            raise BadRequestError("an empty patch changes nothing")
        nullable = {"description"}
        refuse_null(changes, *(name for name in changes if name not in nullable))
        self._check_buckets(changes.get("registered_buckets", []))
        for attempt in range(PATCH_ATTEMPTS):
            record = self._record(id_or_name)
            old = _read(record)
            new = Namespace.from_json({**old.to_json(), **changes, "updated_at": utc_now()})
            try:
                self._replace(record, old, new)
            except ConflictError:
                if attempt == PATCH_ATTEMPTS - 1:
                    raise
                continue
            return new
        raise NotFoundError("namespace", id_or_name)

    def delete(self, id_or_name: str) -> None:
        """Delete a namespace and all that is in it.

        It is unreachable first and empty next; its names are free last, so that a crash in
        between leaves nothing that a second call does not finish.
        """
        record = self._record(id_or_name)
        namespace = _read(record)
        if not namespace.deleting:
            gone = replace(namespace, deleting=True).to_json()
            self._records.put(Put(_PARTITION, record.key, gone, expected=record.version))
        self._clear(namespace.namespace_id)
        names = sorted({namespace.namespace_id, namespace.namespace_name})
        self._records.transact(
            [Delete(_PARTITION, record.key), *(Delete(_PARTITION, _ref_key(n)) for n in names)]
        )

    def describe(self, namespace: Namespace, *, count: bool = False) -> JsonObject:
        """Return the answer for a namespace: its record, and its documents if `count`."""
        body = namespace.to_json()
        del body["deleting"]
        if count:
            described = [
                self._collections.describe(collection, count=True)
                for collection in self._collections.all(namespace.namespace_id)
            ]
            body["collection_count"] = len(described)
            body["document_count"] = sum(item["document_count"] for item in described)
        return {"object": "namespace", **body}

    def _replace(self, record: Record, old: Namespace, new: Namespace) -> None:
        put = Put(_PARTITION, record.key, new.to_json(), expected=record.version)
        if new.namespace_name == old.namespace_name:
            self._records.put(put)
            return
        writes: list[Put | Delete] = [put]
        own = {"id": old.namespace_id}
        if new.namespace_name != old.namespace_id:
            if self._claim(new.namespace_name) is not None:
                raise AlreadyExistsError("namespace", new.namespace_name)
            writes.append(Put(_PARTITION, _ref_key(new.namespace_name), own, expected=ABSENT))
        if old.namespace_name != old.namespace_id:
            writes.append(Delete(_PARTITION, _ref_key(old.namespace_name)))
        self._records.transact(writes)

    def _record(self, id_or_name: str) -> Record:
        if not _ID_OR_NAME.fullmatch(id_or_name):
            raise NotFoundError("namespace", id_or_name)  # nor would it do as a record's key
        record = self._records.get(_PARTITION, _id_key(id_or_name))
        if record is None:
            claim = self._claim(id_or_name)
            record = self._records.get(_PARTITION, _id_key(claim.value["id"])) if claim else None
        if record is None:
            raise NotFoundError("namespace", id_or_name)
        return record

    def _claim(self, name: str) -> Record | None:
        return self._records.get(_PARTITION, _ref_key(name))

    def _all(self) -> Iterator[Record]:
        return list_all(self._records, _PARTITION, "id/")

    def _clear(self, namespace_id: str) -> None:
        for clear in self._clear_others:
            clear(namespace_id)
        for record in list(self._retrievers.all(namespace_id)):
            self._retrievers.remove(record, record.value["retriever_name"])
        for collection in self._collections.all(namespace_id):
            self._collections.delete(namespace_id, collection.collection_id, default_too=True)

    def _check_buckets(self, buckets: list[str]) -> None:
        problems = [
            Problem(f"registered_buckets.{index}", "this bucket is the service's own")
            for index, bucket in enumerate(buckets)
            if bucket in self._own_buckets
        ]
        if problems:
            raise InvalidRequestError("a namespace cannot register the service's buckets", problems)


def _new_namespace(
    request: AnyNamespaceCreate, namespace_id: str, name: str, collection_id: str
) -> Namespace:
    now = utc_now()
    vectors = request.vector_configs
    plain = Namespace(
        namespace_id=namespace_id,
        namespace_name=name,
        mode="standalone",
        default_collection_id=collection_id,
        created_at=now,
        updated_at=now,
        description=request.description,
        vector_configs=None if vectors is None else tuple(asdict(v.to_spec()) for v in vectors),
        auto_create_indexes=request.auto_create_indexes,
    )
    if isinstance(request, StandaloneNamespaceCreate):
        return plain
    return replace(
        plain,
        mode=request.mode,
        feature_extractors=tuple(config.model_dump() for config in request.feature_extractors),
        payload_indexes=tuple(index.model_dump() for index in request.payload_indexes),
        registered_buckets=tuple(request.registered_buckets),
    )


def _default_collection(request: AnyNamespaceCreate) -> CollectionCreate:
    """Return what the default collection is: a sole extractor of the namespace becomes its own."""
    extractors = request.feature_extractors if isinstance(request, NamespaceCreate) else []
    for index, config in enumerate(extractors):
        extractor_of(config, f"feature_extractors.{index}")
    return CollectionCreate(
        collection_name=DEFAULT_COLLECTION,
        vector_configs=request.vector_configs,
        feature_extractor=extractors[0] if len(extractors) == 1 else None,
    )


def _read(record: Record) -> Namespace:
    return Namespace.from_json(record.value)


def _id_key(namespace_id: str) -> str:
    return f"id/{namespace_id}"


def _ref_key(id_or_name: str) -> str:
    return f"ref/{id_or_name}"
