"""API keys over a real records adapter: what is stored, who gets in, and when no more."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from core.adapters.records_sqlite import SqliteRecords
from core.auth import keys as module
from core.auth.keys import Keys
from core.auth.principals import Principal, authorize, authorize_everywhere
from core.errors import (
    AlreadyExistsError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    UnauthorizedError,
)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC).timestamp()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A standing clock."""
    return Clock()


@pytest.fixture
def records(tmp_path: Path) -> Iterator[SqliteRecords]:
    """An empty store."""
    yield SqliteRecords(tmp_path / "records.sqlite")


@pytest.fixture
def keys(records: SqliteRecords, clock: Clock) -> Keys:
    """The keys in that store."""
    return Keys(records, clock=clock)


def test_a_key_is_who_it_says_it_is(keys: Keys) -> None:
    key, text = keys.create("ci", "write", namespaces=["ns_a"], user="ann")
    assert keys.authenticate(text) == Principal(key.key_id, "write", ("ns_a",), "ann")


def test_the_secret_is_stored_nowhere(keys: Keys, records: SqliteRecords) -> None:
    _, text = keys.create("ci", "read")
    stored = str(records.list("keys").records)
    assert text.rpartition("_")[2] not in stored
    assert text.split("_", 2)[2] not in stored


def test_keys_differ_and_have_the_published_form(keys: Keys) -> None:
    texts = {keys.create(f"k{i}", "read")[1] for i in range(20)}
    assert len(texts) == 20
    for text in texts:
        prefix, key_id, secret = text.split("_", 2)
        assert (prefix, len(key_id), len(secret)) == ("sk", 16, 43)


@pytest.mark.parametrize("change", ["secret", "id", "prefix", "space", "empty", "newline"])
def test_anything_near_a_key_is_none(keys: Keys, change: str) -> None:
    _, text = keys.create("ci", "admin")
    _, other = keys.create("other", "admin")
    wrong = {
        "secret": text[:20] + other[20:],
        "id": other[:19] + text[19:],
        "prefix": "pk" + text[2:],
        "space": text + " ",
        "empty": "",
        "newline": text + "\n",
    }[change]
    with pytest.raises(UnauthorizedError):
        keys.authenticate(wrong)


def test_a_revoked_key_ends_at_once_here_and_in_30_seconds_elsewhere(
    keys: Keys, records: SqliteRecords, clock: Clock
) -> None:
    elsewhere = Keys(records, clock=clock)
    key, text = keys.create("ci", "read")
    keys.authenticate(text)
    elsewhere.authenticate(text)
    keys.revoke(key, by="boss")
    with pytest.raises(UnauthorizedError):
        keys.authenticate(text)
    clock.now += 29
    elsewhere.authenticate(text)
    clock.now += 1
    with pytest.raises(UnauthorizedError):
        elsewhere.authenticate(text)


def test_the_cache_spares_the_store_and_is_bounded(
    keys: Keys, records: SqliteRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CACHE_SIZE", 2)
    texts = [keys.create(f"k{i}", "read")[1] for i in range(3)]
    for text in texts:
        keys.authenticate(text)
    asked: list[str] = []
    real = records.get

    def get(partition: str, key: str) -> Any:
        asked.append(key)
        return real(partition, key)

    monkeypatch.setattr(records, "get", get)
    keys.authenticate(texts[2])
    assert asked == []
    keys.authenticate(texts[0])
    assert len(asked) == 1


def test_a_key_expires_by_itself(keys: Keys, clock: Clock) -> None:
    end = datetime.fromtimestamp(clock.now + 60, UTC)
    key, text = keys.create("ci", "read", expires_at=end)
    keys.authenticate(text)
    clock.now += 60
    with pytest.raises(UnauthorizedError):
        keys.authenticate(text)
    assert key.status(keys.now()) == "expired"


def test_names_are_unique_per_user_until_revoked(keys: Keys) -> None:
    key, _ = keys.create("ci", "read", user="ann")
    keys.create("ci", "read", user="bob")
    with pytest.raises(AlreadyExistsError):
        keys.create("ci", "read", user="ann")
    keys.revoke(keys.find("ci", user="ann"))
    again, _ = keys.create("ci", "read", user="ann")
    assert keys.find("ci", user="ann").key_id == again.key_id
    # Revoking the old one again must not free the name that the new one holds.
    keys.revoke(keys.find(key.key_id))
    assert keys.find("ci", user="ann").key_id == again.key_id


def test_lists_are_of_users_and_hide_the_revoked(keys: Keys) -> None:
    made = [keys.create(f"k{i}", "read", user="ann")[0] for i in range(3)]
    keys.create("x", "read", user="bob")
    keys.revoke(made[1])
    assert [key.name for key in keys.list(user="ann")] in (["k0", "k2"], ["k2", "k0"])
    assert len(keys.list(user="ann", revoked=True)) == 3
    assert len(keys.list()) == 3
    with pytest.raises(NotFoundError):
        keys.find("x", user="ann")


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"name": "a/b"}, "name"),
        ({"name": ""}, "name"),
        ({"user": "a\nb"}, "user"),
        ({"permission": "root"}, "permission"),
        ({"namespaces": []}, "namespaces"),
        ({"namespaces": ["*", "ns_a"]}, "namespaces"),
        ({"expires_at": datetime(2026, 1, 1)}, "expires_at"),
    ],
)
def test_what_no_key_may_be(keys: Keys, changes: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidRequestError) as error:
        keys.create(**{"name": "ci", "permission": "read", **changes})
    assert [problem.path for problem in error.value.problems] == [path]
    assert not keys.any()


def test_authorize_by_level_and_reach() -> None:
    writer = Principal("k", "write", ("ns_a",))
    authorize(writer, "read", "ns_a")
    authorize(writer, "write", "ns_a")
    for permission, namespace in (("delete", "ns_a"), ("read", "ns_b"), ("admin", None)):
        with pytest.raises(ForbiddenError):
            authorize(writer, permission, namespace)  # type: ignore[arg-type]  # plain strings
    with pytest.raises(ForbiddenError):
        authorize_everywhere(writer, "read")
    authorize_everywhere(Principal("k", "admin", ("*",)), "write")
