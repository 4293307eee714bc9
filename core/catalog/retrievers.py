"""Retrievers of a namespace: created, found by id or name, versioned, cloned, deleted."""

from collections.abc import Callable
from typing import Any, Final

from core.catalog.collections import PATCH_ATTEMPTS, CollectionCatalog, refuse_null
from core.catalog.directory import Directory
from core.catalog.input_schemas import breaking_changes
from core.clock import utc_now
from core.errors import (
    BadRequestError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    Problem,
)
from core.ids import new_id
from core.models.namespaces import Namespace
from core.models.retriever import (
    Retriever,
    RetrieverClone,
    RetrieverCreate,
    RetrieverPatch,
    StageSpec,
)
from core.ports.records import Record, Records
from core.registry import find_stage, stage_names
from core.types import JsonObject

# `GET /v1/retrievers/stages` lists the stages there are: no retriever could be read there.
_RESERVED: Final = ("stages",)

# Validates stages, parameters, templates and feature URIs; raises with every fault at once.
Check = Callable[[Namespace, Retriever], None]


class RetrieverCatalog:
    """What retrievers there are. Whoever writes one brings the engine's `check` along."""

    def __init__(self, records: Records, collections: CollectionCatalog) -> None:
        self._directory = Directory(records, "ret", "retriever", reserved=_RESERVED)
        self._collections = collections

    def find(self, namespace_id: str, id_or_name: str) -> Retriever:
        """Return the present version of a retriever of this namespace; `NotFoundError`."""
        return _read(self._directory.get(namespace_id, id_or_name))

    def all(self, namespace_id: str) -> list[Retriever]:
        """Return the namespace's retrievers, by id."""
        return [_read(record) for record in self._directory.all(namespace_id)]

    def create(
        self, namespace: Namespace, request: RetrieverCreate, *, check: Check, by: str | None = None
    ) -> Retriever:
        """Check and store a new retriever, version 1; `AlreadyExistsError` for its name."""
        now = utc_now()
        fields = request.model_dump(
            exclude={"collection_identifiers", "marketplace_listing_id", "requires_subscription"}
        )
        retriever = Retriever.model_validate(
            {
                **fields,
                "retriever_id": new_id("ret"),
                "namespace_id": namespace.namespace_id,
                "collection_ids": self._resolve(namespace, request.collection_identifiers),
                "stages": [_typed(stage) for stage in request.stages],
                "created_at": now,
                "updated_at": now,
                "created_by": by,
                "updated_by": by,
            }
        )
        return self._add(namespace, retriever, check)

    def patch(
        self,
        namespace: Namespace,
        id_or_name: str,
        request: RetrieverPatch,
        *,
        check: Check,
        by: str | None = None,
    ) -> Retriever:
        """Store the next version with what the request names changed.

        Raises `BadRequestError` for a patch that names nothing, and `InvalidRequestError` for a
        change of the inputs that breaks callers (the rule of the reference).
        """
        changes = self._changes(namespace, request)
        for attempt in range(PATCH_ATTEMPTS):
            record = self._directory.get(namespace.namespace_id, id_or_name)
            old = _read(record)
            new = Retriever.model_validate(
                {
                    **old.model_dump(),
                    **changes,
                    "version": old.version + 1,
                    "updated_at": utc_now(),
                    "updated_by": by,
                }
            )
            problems = breaking_changes(old.input_schema, new.input_schema)
            if problems:
                raise InvalidRequestError("this would break callers of the retriever", problems)
            check(namespace, new)
            try:
                self._directory.replace(
                    record,
                    new.retriever_id,
                    _value(new),
                    old_name=old.retriever_name,
                    name=new.retriever_name,
                )
            except ConflictError:
                if attempt == PATCH_ATTEMPTS - 1:
                    raise
                continue
            return new
        raise NotFoundError("retriever", id_or_name)

    def clone(
        self,
        namespace: Namespace,
        id_or_name: str,
        request: RetrieverClone,
        *,
        check: Check,
        by: str | None = None,
    ) -> tuple[Retriever, str]:
        """Store a copy under a new name; return it and the id it was copied from."""
        source = self.find(namespace.namespace_id, id_or_name)
        changes = self._changes(namespace, request)
        now = utc_now()
        retriever = Retriever.model_validate(
            {
                **source.model_dump(),
                **{name: value for name, value in changes.items() if value is not None},
                "retriever_id": new_id("ret"),
                "version": 1,
                "created_at": now,
                "updated_at": now,
                "created_by": by,
                "updated_by": by,
            }
        )
        return self._add(namespace, retriever, check), source.retriever_id

    def delete(self, namespace_id: str, id_or_name: str) -> None:
        """Remove a retriever; its name is free again."""
        record = self._directory.get(namespace_id, id_or_name)
        self._directory.remove(record, record.value["retriever_name"])

    def _add(self, namespace: Namespace, retriever: Retriever, check: Check) -> Retriever:
        check(namespace, retriever)
        name, value = retriever.retriever_name, _value(retriever)
        self._directory.add(namespace.namespace_id, retriever.retriever_id, name, value)
        return retriever

    def _changes(
        self, namespace: Namespace, request: RetrieverPatch | RetrieverClone
    ) -> dict[str, Any]:
        """Return what a patch or clone sets, with collections resolved to ids."""
        changes: dict[str, Any] = request.model_dump(exclude_unset=True)
        if not changes:
            raise BadRequestError("an empty patch changes nothing")
        if isinstance(request, RetrieverPatch):
            nullable = {"description", "display_config", "verdict"}
            refuse_null(changes, *(name for name in changes if name not in nullable))
        names = changes.pop("collection_identifiers", None)
        if names is not None:
            changes["collection_ids"] = self._resolve(namespace, names)
        if request.stages is not None:
            changes["stages"] = [_typed(stage) for stage in request.stages]
        return changes

    def _resolve(self, namespace: Namespace, names: list[str]) -> tuple[str, ...]:
        """Return ids for ids or names, each once; all unknown ones are named at once."""
        if not names:
            return (namespace.default_collection_id,)
        found: list[str] = []
        problems: list[Problem] = []
        for index, name in enumerate(names):
            try:
                found.append(self._collections.find(namespace.namespace_id, name).collection_id)
            except NotFoundError as error:
                path = f"collection_identifiers.{index}"
                problems.append(Problem(path, error.message, "collection_not_found"))
        if problems:
            raise InvalidRequestError(f"{problems[0].path}: {problems[0].message}", problems)
        return tuple(dict.fromkeys(found))


def _typed(stage: StageSpec) -> JsonObject:
    """Return the stage with its type filled in from its id, as reads show it."""
    fields = stage.model_dump()
    stage_id = stage.config.stage_id
    # Unknown stages are the check's to refuse, with all other faults.
    if fields["stage_type"] in (None, "group") and stage_id in stage_names():
        fields["stage_type"] = find_stage(stage_id).category
    return fields


def _value(retriever: Retriever) -> JsonObject:
    return retriever.model_dump(mode="json")


def _read(record: Record) -> Retriever:
    return Retriever.model_validate(record.value)
