"""Things of one kind in a namespace, each with an id and a name that is unique among them."""

import re
from collections.abc import Collection, Iterator
from typing import Final

from core.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    Problem,
)
from core.ports.records import ABSENT, Delete, Put, Record, Records, list_all
from core.types import JsonObject

_BAD_NAME: Final = re.compile(r"[\x00-\x1f\x7f/]")
_MAX_NAME: Final = 200  # characters, the most that any kind allows


class Directory:
    """One kind (`col`, `ret`) in the records; a name can never be taken for an id.

    `reserved` are names that new things may not have: their addresses mean something else.
    """

    def __init__(
        self, records: Records, kind: str, resource: str, *, reserved: Collection[str] = ()
    ) -> None:
        self._records = records
        self._kind = kind
        self._resource = resource
        self._reserved = reserved
        self._id_like = re.compile(rf"{kind}_[0-9a-f]{{24}}")

    def get(self, namespace_id: str, id_or_name: str) -> Record:
        """Return the record; `NotFoundError` if this namespace has none of that id or name."""
        if len(id_or_name) > _MAX_NAME or _BAD_NAME.search(id_or_name):
            raise NotFoundError(self._resource, id_or_name)  # no name is such, and no key may be
        partition = _partition(namespace_id)
        item_id: str | None = id_or_name
        if not self._id_like.fullmatch(id_or_name):
            claim = self._records.get(partition, self._name_key(id_or_name))
            item_id = claim.value["id"] if claim else None
        record = self._records.get(partition, self._key(item_id)) if item_id else None
        if record is None:
            raise NotFoundError(self._resource, id_or_name)
        return record

    def add(self, namespace_id: str, item_id: str, name: str, value: JsonObject) -> None:
        """Store a new thing; `AlreadyExistsError` if its name is taken."""
        try:
            self._records.transact(self.additions(namespace_id, item_id, name, value))
        except ConflictError:
            raise AlreadyExistsError(self._resource, name) from None

    def additions(self, namespace_id: str, item_id: str, name: str, value: JsonObject) -> list[Put]:
        """Return the writes that store a new thing, to be made together with others."""
        self._check_name(name)
        partition = _partition(namespace_id)
        return [
            Put(partition, self._key(item_id), value, expected=ABSENT),
            Put(partition, self._name_key(name), {"id": item_id}, expected=ABSENT),
        ]

    def replace(
        self, record: Record, item_id: str, value: JsonObject, *, old_name: str, name: str
    ) -> None:
        """Store a new value over the version in `record`, under a new name if it differs.

        Raises `ConflictError` if someone else wrote first, `AlreadyExistsError` for the name.
        """
        put = Put(record.partition, record.key, value, expected=record.version)
        if name == old_name:
            self._records.put(put)
            return
        self._check_name(name)
        writes: list[Put | Delete] = [
            put,
            Put(record.partition, self._name_key(name), {"id": item_id}, expected=ABSENT),
            Delete(record.partition, self._name_key(old_name)),
        ]
        try:
            self._records.transact(writes)
        except ConflictError:
            if self._records.get(record.partition, self._name_key(name)) is not None:
                raise AlreadyExistsError(self._resource, name) from None
            raise

    def remove(self, record: Record, name: str) -> None:
        """Remove a thing and free its name; `ConflictError` if someone else wrote first."""
        self._records.transact(
            [
                Delete(record.partition, record.key, expected=record.version),
                Delete(record.partition, self._name_key(name)),
            ]
        )

    def all(self, namespace_id: str) -> Iterator[Record]:
        """Yield every thing of this kind in the namespace, by id."""
        return list_all(self._records, _partition(namespace_id), f"{self._kind}/")

    def _check_name(self, name: str) -> None:
        fault = None
        if _BAD_NAME.search(name) or name != name.strip():
            fault = "a name has no slash, no control characters and no spaces around it"
        elif self._id_like.fullmatch(name):
            fault = "a name may not look like an id"
        elif name in self._reserved:
            fault = f"{name!r} is reserved: its address means something else"
        if fault:
            path = f"{self._resource}_name"
            raise InvalidRequestError(f"{path}: {fault}", [Problem(path, fault)])

    def _key(self, item_id: str) -> str:
        return f"{self._kind}/{item_id}"

    def _name_key(self, name: str) -> str:
        return f"{self._kind}-name/{name}"


def _partition(namespace_id: str) -> str:
    return f"ns/{namespace_id}"
