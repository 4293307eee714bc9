"""API keys: made, checked, listed, revoked. Only the SHA-256 of a key's secret is ever stored.

A key is `sk_<16 hex id>_<43 base64url secret>`: the id finds the record, the secret proves it.
"""

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from core.auth.principals import ALL_NAMESPACES, PERMISSIONS, Permission, Principal
from core.clock import to_iso
from core.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    Problem,
    UnauthorizedError,
)
from core.ports.records import ABSENT, Delete, Put, Record, Records, list_all

_KEY: Final = re.compile(r"sk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})", re.ASCII)
_NAME: Final = re.compile(r"[^\x00-\x1f\x7f/]{1,100}")
_USER: Final = re.compile(r"[^\x00-\x1f\x7f/]{1,254}")
_PARTITION: Final = "keys"
# Compared against when there is no such id, so that both take the same time.
_NO_HASH: Final = hashlib.sha256(b"").hexdigest()

# A day before or after these there is still a date in UTC.
_YEARS: Final = (2, 9998)

CACHE_SECONDS: Final = 30.0  # how long a revoked key may live on in another process
CACHE_SIZE: Final = 1024


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored key, without its secret. Times are ISO 8601 UTC; `namespaces` are ids or `*`."""

    key_id: str
    name: str
    user: str
    permission: Permission
    namespaces: tuple[str, ...]
    secret_sha256: str
    created_at: str
    description: str | None = None
    created_by: str | None = None
    expires_at: str | None = None
    revoked_at: str | None = None
    revoked_by: str | None = None

    def status(self, now: str) -> str:
        """Return active, revoked or expired."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"

    @property
    def principal(self) -> Principal:
        """What a holder of this key may do."""
        return Principal(self.key_id, self.permission, self.namespaces, self.user)


class Keys:
    """The keys of a deployment. Names are unique per user, so that a name is enough to revoke."""

    def __init__(self, records: Records, *, clock: Callable[[], float] = time.time) -> None:
        self._records = records
        self._clock = clock
        self._cache: OrderedDict[str, tuple[float, ApiKey]] = OrderedDict()
        self._lock = threading.Lock()

    def create(
        self,
        name: str,
        permission: Permission,
        *,
        namespaces: Sequence[str] = (ALL_NAMESPACES,),
        user: str = "owner",
        description: str | None = None,
        created_by: str | None = None,
        expires_at: datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """Make a key; return its record and its text, which cannot be had again.

        Raises `AlreadyExistsError` if this user has a key of that name that is not revoked.
        """
        _check_new(name, user, permission, namespaces, expires_at)
        secret = secrets.token_urlsafe(32)
        key = ApiKey(
            key_id=secrets.token_hex(8),
            name=name,
            user=user,
            permission=permission,
            namespaces=tuple(namespaces),
            secret_sha256=_hash(secret),
            created_at=self._now(),
            description=description,
            created_by=created_by,
            expires_at=to_iso(expires_at) if expires_at else None,
        )
        claim = Put(_PARTITION, _name_key(user, name), {"key_id": key.key_id}, expected=ABSENT)
        try:
            self._records.transact([Put(_PARTITION, _id_key(key.key_id), asdict(key)), claim])
        except ConflictError:
            raise AlreadyExistsError("api key", name) from None
        return key, f"sk_{key.key_id}_{secret}"

    def authenticate(self, text: str) -> Principal:
        """Return whose key this is; `UnauthorizedError` says nothing on why it is not valid."""
        match = _KEY.fullmatch(text)
        if match is None:
            raise UnauthorizedError("not an API key: expected sk_<id>_<secret>")
        key_id, secret = match.groups()
        key = self._cached(key_id)
        expected = key.secret_sha256 if key else _NO_HASH
        matches = hmac.compare_digest(_hash(secret), expected)
        if key is None or not matches or key.status(self._now()) != "active":
            raise UnauthorizedError("this API key is not valid, or was revoked, or has expired")
        return key.principal

    def list(self, *, user: str | None = None, revoked: bool = False) -> list[ApiKey]:
        """Return the keys of a user, or of everyone, oldest first."""
        keys = [key for key in self._all() if revoked or key.revoked_at is None]
        chosen = [key for key in keys if user is None or key.user == user]
        return sorted(chosen, key=lambda key: (key.created_at, key.key_id))

    def any(self) -> bool:
        """Say whether any key was ever made."""
        return next(self._all(), None) is not None

    def find(self, name_or_id: str, *, user: str | None = None) -> ApiKey:
        """Return a key by its id, or by its name among the user's; `NotFoundError`."""
        if not _NAME.fullmatch(name_or_id) or (user is not None and not _USER.fullmatch(user)):
            raise NotFoundError("api key", name_or_id)
        record = self._records.get(_PARTITION, _id_key(name_or_id))
        if record is None and user is not None:
            claim = self._records.get(_PARTITION, _name_key(user, name_or_id))
            if claim is not None:
                record = self._records.get(_PARTITION, _id_key(claim.value["key_id"]))
        if record is None:
            named = [key for key in self.list() if key.name == name_or_id and user is None]
            if len(named) == 1:
                return named[0]
            raise NotFoundError("api key", name_or_id)
        key = _read(record)
        if user is not None and key.user != user:
            raise NotFoundError("api key", name_or_id)
        return key

    def revoke(self, key: ApiKey, *, by: str | None = None) -> ApiKey:
        """End a key at once here, within `CACHE_SECONDS` elsewhere; its name is free again."""
        ended = replace(key, revoked_at=self._now(), revoked_by=by)
        writes: list[Put | Delete] = [Put(_PARTITION, _id_key(key.key_id), asdict(ended))]
        if key.revoked_at is None:
            writes.append(Delete(_PARTITION, _name_key(key.user, key.name)))
        self._records.transact(writes)
        with self._lock:
            self._cache.pop(key.key_id, None)
        return ended

    def forget_namespace(self, namespace_id: str, *, by: str | None = None) -> None:
        """Take a namespace out of every key that names it; a key of that one alone is revoked.

        Ids are chosen: who makes a namespace of a deleted one's id must not let in its old keys.
        Raises `ConflictError` if one of them changed meanwhile; then it is to be called again.
        """
        for record in list(self._records_of_keys()):
            key = _read(record)
            if namespace_id not in key.namespaces or key.revoked_at is not None:
                continue
            rest = tuple(one for one in key.namespaces if one != namespace_id)
            if not rest:
                self.revoke(key, by=by)
                continue
            value = asdict(replace(key, namespaces=rest))
            self._records.put(Put(_PARTITION, record.key, value, expected=record.version))
            with self._lock:
                self._cache.pop(key.key_id, None)

    def now(self) -> str:
        """Return the moment that statuses are judged by."""
        return self._now()

    def _all(self) -> Iterator[ApiKey]:
        return map(_read, self._records_of_keys())

    def _records_of_keys(self) -> Iterator[Record]:
        return list_all(self._records, _PARTITION, "id/")

    def _cached(self, key_id: str) -> ApiKey | None:
        """Look a key up, at most `CACHE_SECONDS` old; ids that do not exist are not kept, so
        that strangers cannot push valid keys out."""
        now = self._clock()
        with self._lock:
            held = self._cache.get(key_id)
            if held is not None and 0 <= now - held[0] < CACHE_SECONDS:
                self._cache.move_to_end(key_id)
                return held[1]
        record = self._records.get(_PARTITION, _id_key(key_id))
        if record is None:
            return None
        key = _read(record)
        with self._lock:
            self._cache[key_id] = (now, key)
            self._cache.move_to_end(key_id)
            while len(self._cache) > CACHE_SIZE:
                self._cache.popitem(last=False)
        return key

    def _now(self) -> str:
        return to_iso(datetime.fromtimestamp(self._clock(), UTC))


def _check_new(
    name: str,
    user: str,
    permission: str,
    namespaces: Sequence[str],
    expires_at: datetime | None,
) -> None:
    problems = []
    if not _NAME.fullmatch(name):
        problems.append(Problem("name", "1 to 100 characters, no / and no control characters"))
    if not _USER.fullmatch(user):
        problems.append(Problem("user", "1 to 254 characters, no / and no control characters"))
    if permission not in PERMISSIONS:
        problems.append(Problem("permission", "unknown permission", accepted=PERMISSIONS))
    if not namespaces or (ALL_NAMESPACES in namespaces and len(namespaces) > 1):
        problems.append(Problem("namespaces", "name at least one namespace, or * alone"))
    if expires_at is not None and expires_at.tzinfo is None:
        problems.append(Problem("expires_at", "give a time zone, e.g. a Z at the end"))
    elif expires_at is not None and not _YEARS[0] <= expires_at.year <= _YEARS[1]:
        problems.append(Problem("expires_at", "a year between {} and {}".format(*_YEARS)))
    if problems:
        raise InvalidRequestError(f"{problems[0].path}: {problems[0].message}", problems)


def _read(record: Record) -> ApiKey:
    value: dict[str, Any] = {**record.value, "namespaces": tuple(record.value["namespaces"])}
    return ApiKey(**value)


def _hash(secret: str) -> str:
    # A plain hash is enough: the secret has 256 random bits, there is nothing to guess.
    return hashlib.sha256(secret.encode()).hexdigest()


def _id_key(key_id: str) -> str:
    return f"id/{key_id}"


def _name_key(user: str, name: str) -> str:
    return f"name/{user}/{name}"
