"""What every `records` adapter must do: inherit `RecordsContract` and give it an empty store."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from core.errors import ConflictError, InvalidRequestError
from core.ports.records import ABSENT, MAX_RECORD_BYTES, Delete, Put, Records
from core.types import JsonObject, JsonValue


@dataclass
class SetClock:
    """A clock that a test sets."""

    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def _values(records: Records, partition: str, **page: int | str) -> list[str]:
    listed = records.list(partition, **page)  # type: ignore[arg-type]  # a test's short form
    return [record.key for record in listed.records]


class RecordsContract:
    """Fixtures an adapter's test gives: `records`, empty and reading `clock` for lifetimes."""

    @pytest.fixture
    def clock(self) -> SetClock:
        return SetClock()

    @pytest.fixture
    def records(self, clock: SetClock) -> Records:
        raise NotImplementedError

    def test_an_absent_record_reads_as_none(self, records: Records) -> None:
        assert records.get("p", "k") is None
        assert records.list("p").records == ()
        records.delete(Delete("p", "k"))

    def test_versions_start_at_one_and_grow_with_each_write(self, records: Records) -> None:
        assert [records.put(Put("p", "k", {"n": n})).version for n in range(3)] == [1, 2, 3]
        stored = records.get("p", "k")
        assert stored is not None
        assert (stored.partition, stored.key, stored.value, stored.version) == (
            "p",
            "k",
            {"n": 2},
            3,
        )

    def test_partitions_and_keys_do_not_meet(self, records: Records) -> None:
        for partition, key in [("a", "b"), ("b", "a"), ("ab", "-"), ("a", "B")]:
            records.put(Put(partition, key, {"at": f"{partition}/{key}"}, ABSENT))
        assert _values(records, "a") == ["B", "b"]
        stored = records.get("b", "a")
        assert stored is not None
        assert stored.value == {"at": "b/a"}

    @pytest.mark.parametrize(
        "value",
        [
            {},
            {"int": 1, "float": 1.0, "bool": True, "text": "1", "null": None},
            {"floats": [0.1, 1e-300, 1e300, -0.0, 1 / 3], "ints": [2**63 - 1, -(2**63), 0]},
            {"": "", "a.b": {"c": [{}, [], [[]]]}, "naïve ☃ 𝄞": 'ü\u0000\n"\\'},
        ],
    )
    def test_values_read_back_equal_types_included(
        self, records: Records, value: JsonObject
    ) -> None:
        put = records.put(Put("p", "k", value))
        stored = records.get("p", "k")
        assert stored is not None
        assert repr(stored.value) == repr(put.value) == repr(value)
        assert repr(records.list("p").records[0].value) == repr(value)

    def test_a_returned_value_is_not_the_callers_own(self, records: Records) -> None:
        value: JsonObject = {"list": [1]}
        put = records.put(Put("p", "k", value))
        value["list"].append(2)
        put.value["list"].append(3)
        stored = records.get("p", "k")
        assert stored is not None
        assert stored.value == {"list": [1]}

    @pytest.mark.parametrize(
        "value", [float("nan"), float("inf"), 2**64, object(), {1: 2}, "\ud800", b"bytes", {1}]
    )
    def test_what_json_cannot_hold_is_refused(self, records: Records, value: JsonValue) -> None:
        with pytest.raises(InvalidRequestError):
            records.put(Put("p", "k", {"deep": [value]}))
        assert records.get("p", "k") is None

    def test_absent_means_that_nothing_is_there(self, records: Records) -> None:
        records.put(Put("p", "k", {"first": True}, ABSENT))
        with pytest.raises(ConflictError):
            records.put(Put("p", "k", {"second": True}, ABSENT))
        stored = records.get("p", "k")
        assert stored is not None
        assert (stored.value, stored.version) == ({"first": True}, 1)

    @pytest.mark.parametrize("expected", [1, 3, 99])
    def test_a_put_that_expects_another_version_writes_nothing(
        self, records: Records, expected: int
    ) -> None:
        records.put(Put("p", "k", {"n": 1}))
        records.put(Put("p", "k", {"n": 2}))
        with pytest.raises(ConflictError) as caught:
            records.put(Put("p", "k", {"n": 9}, expected))
        assert caught.value.retryable
        assert records.put(Put("p", "k", {"n": 3}, 2)).version == 3

    def test_a_put_that_expects_a_version_of_nothing_is_a_conflict(self, records: Records) -> None:
        with pytest.raises(ConflictError):
            records.put(Put("p", "k", {}, 1))
        assert records.get("p", "k") is None

    def test_a_delete_may_expect_a_version(self, records: Records) -> None:
        with pytest.raises(ConflictError):
            records.delete(Delete("p", "k", 1))
        records.put(Put("p", "k", {}))
        with pytest.raises(ConflictError):
            records.delete(Delete("p", "k", 2))
        records.delete(Delete("p", "k", 1))
        assert records.get("p", "k") is None
        assert records.put(Put("p", "k", {}, ABSENT)).version == 1

    def test_the_largest_value_fits_and_one_byte_more_does_not(self, records: Records) -> None:
        room = MAX_RECORD_BYTES - len(b'{"t":""}')
        records.put(Put("p", "k", {"t": "x" * room}))
        stored = records.get("p", "k")
        assert stored is not None
        assert len(stored.value["t"]) == room
        with pytest.raises(InvalidRequestError):
            records.put(Put("p", "k", {"t": "x" * (room + 1)}))
        # The limit is one of bytes: each of these takes two.
        with pytest.raises(InvalidRequestError):
            records.put(Put("p", "k", {"t": "ü" * (room // 2 + 1)}))

    @pytest.mark.parametrize(
        ("partition", "key"),
        [("", "k"), ("p", ""), ("p", "k" * 1025), ("p" * 2049, "k"), ("p", "\ud800"), ("p", "\0")],
    )
    def test_bad_keys_are_refused_by_every_operation(
        self, records: Records, partition: str, key: str
    ) -> None:
        operations: Sequence[Callable[[], object]] = (
            lambda: records.get(partition, key),
            lambda: records.put(Put(partition, key, {})),
            lambda: records.delete(Delete(partition, key)),
            lambda: records.transact([Put(partition, key, {})]),
        )
        for operation in operations:
            with pytest.raises(InvalidRequestError):
                operation()

    def test_keys_may_be_long_and_of_any_script(self, records: Records) -> None:
        for key in ("k" * 1024, "a/b#c d", "é", "😀", "'; DROP TABLE records; --", "%_*"):
            records.put(Put("p/ü", key, {"key": key}, ABSENT))
            stored = records.get("p/ü", key)
            assert stored is not None
            assert stored.value == {"key": key}

    def test_listing_is_in_byte_order_of_keys(self, records: Records) -> None:
        keys = ["b", "a", "B", "a/b", "a-b", "a0", "é", "z", "～", "😀", "10", "9"]
        for key in keys:
            records.put(Put("p", key, {}))
        records.put(Put("q", "other", {}))
        assert _values(records, "p") == sorted(keys, key=str.encode)

    def test_a_prefix_is_text_not_a_pattern(self, records: Records) -> None:
        for key in ["a", "a%", "a%b", "aXb", "a_", "b", "a\U0010ffff", "a\U0010ffffz", "A"]:
            records.put(Put("p", key, {}))
        assert _values(records, "p", prefix="a%") == ["a%", "a%b"]
        assert _values(records, "p", prefix="a_") == ["a_"]
        assert _values(records, "p", prefix="a\U0010ffff") == ["a\U0010ffff", "a\U0010ffffz"]
        assert _values(records, "p", prefix="nothing") == []

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 100])
    def test_pages_continue_until_after_is_none(self, records: Records, limit: int) -> None:
        keys = [f"a{n}" for n in range(7)]
        for key in [*keys, "0", "b"]:
            records.put(Put("p", key, {}))
        seen: list[str] = []
        after: str | None = None
        for _ in range(9):
            page = records.list("p", prefix="a", limit=limit, after=after)
            assert len(page.records) <= limit
            seen += [record.key for record in page.records]
            after = page.after
            if after is None:
                break
        assert seen == keys
        assert after is None

    def test_after_may_lie_outside_the_prefix_or_name_nothing(self, records: Records) -> None:
        for key in ["a1", "a3", "b"]:
            records.put(Put("p", key, {}))
        assert _values(records, "p", prefix="a", after="a2") == ["a3"]
        assert _values(records, "p", prefix="a", after="0") == ["a1", "a3"]
        assert _values(records, "p", prefix="a", after="c") == []

    @pytest.mark.parametrize("limit", [0, -1])
    def test_a_page_of_nothing_is_refused(self, records: Records, limit: int) -> None:
        with pytest.raises(InvalidRequestError):
            records.list("p", limit=limit)

    def test_pages_hold_records_of_full_size(self, records: Records) -> None:
        # DynamoDB answers at most 1 MB at a time.
        for n in range(5):
            records.put(Put("p", f"k{n}", {"t": "x" * 340_000}))
        page = records.list("p", limit=5)
        assert ([record.key for record in page.records], page.after) == (
            ["k0", "k1", "k2", "k3", "k4"],
            None,
        )

    def test_a_record_is_gone_when_its_time_is_over(
        self, records: Records, clock: SetClock
    ) -> None:
        records.put(Put("p", "brief", {}, ttl_s=10))
        records.put(Put("p", "long", {}))
        clock.now += 9
        assert _values(records, "p") == ["brief", "long"]
        clock.now += 2
        assert records.get("p", "brief") is None
        assert _values(records, "p") == ["long"]
        assert _values(records, "p", limit=1) == ["long"]

    def test_purging_changes_nothing_that_can_be_read(
        self, records: Records, clock: SetClock
    ) -> None:
        records.put(Put("p", "kept", {"n": 1}))
        records.put(Put("p", "alive", {"n": 2}, ttl_s=100))
        records.put(Put("p", "gone", {"n": 3}, ttl_s=1))
        clock.now += 50
        records.purge()
        assert records.purge() == 0
        assert _values(records, "p") == ["alive", "kept"]

    def test_a_write_over_an_expired_record_meets_nothing(
        self, records: Records, clock: SetClock
    ) -> None:
        version = records.put(Put("p", "k", {"old": 1}, ttl_s=1)).version
        clock.now += 5
        with pytest.raises(ConflictError):
            records.put(Put("p", "k", {}, version))
        with pytest.raises(ConflictError):
            records.delete(Delete("p", "k", version))
        stored = records.put(Put("p", "k", {"new": 1}, ABSENT))
        assert records.get("p", "k") == stored

    def test_a_write_without_lifetime_ends_an_earlier_one(
        self, records: Records, clock: SetClock
    ) -> None:
        records.put(Put("p", "k", {}, ttl_s=1))
        records.put(Put("p", "k", {"kept": True}))
        clock.now += 100
        assert records.get("p", "k") is not None

    def test_a_transaction_applies_every_write(self, records: Records) -> None:
        records.put(Put("p", "gone", {}))
        records.put(Put("p", "kept", {"n": 1}))
        records.transact(
            [
                Put("p", "new", {"n": 1}, ABSENT),
                Put("q", "any", {"n": 2}),
                Put("p", "kept", {"n": 2}, 1),
                Delete("p", "gone", 1),
                Delete("p", "never"),
            ]
        )
        assert _values(records, "p") == ["kept", "new"]
        kept, other = records.get("p", "kept"), records.get("q", "any")
        assert kept is not None
        assert other is not None
        assert (kept.value, kept.version, other.value) == ({"n": 2}, 2, {"n": 2})

    @pytest.mark.parametrize(
        "failing",
        [
            Put("p", "there", {}, ABSENT),
            Put("p", "there", {}, 2),
            Put("p", "absent", {}, 1),
            Delete("p", "there", 2),
            Delete("p", "absent", 1),
        ],
    )
    @pytest.mark.parametrize("first", [True, False])
    def test_a_transaction_with_a_lost_condition_writes_nothing(
        self, records: Records, failing: Put | Delete, first: bool
    ) -> None:
        records.put(Put("p", "there", {"n": 1}))
        records.put(Put("p", "doomed", {"n": 1}))
        good: list[Put | Delete] = [Put("p", "new", {}), Delete("p", "doomed")]
        with pytest.raises(ConflictError):
            records.transact([failing, *good] if first else [*good, failing])
        assert _values(records, "p") == ["doomed", "there"]
        there = records.get("p", "there")
        assert there is not None
        assert there.version == 1

    def test_a_transaction_with_a_bad_member_writes_nothing(self, records: Records) -> None:
        for bad in ({"t": "x" * MAX_RECORD_BYTES}, {"t": float("nan")}):
            with pytest.raises(InvalidRequestError):
                records.transact([Put("p", "good", {}), Put("p", "bad", bad)])
        assert _values(records, "p") == []

    def test_a_transaction_has_at_most_100_writes_to_different_keys(self, records: Records) -> None:
        records.transact([])
        records.transact([Put("p", f"{n:03}", {"n": n}) for n in range(100)])
        assert len(records.list("p", limit=200).records) == 100
        with pytest.raises(InvalidRequestError):
            records.transact([Put("q", f"{n:03}", {}) for n in range(101)])
        with pytest.raises(InvalidRequestError):
            records.transact([Put("q", "same", {}), Delete("q", "same")])
        assert _values(records, "q") == []

    def test_of_racing_writers_one_wins_each_version(self, records: Records) -> None:
        records.put(Put("p", "counter", {"n": 0}))

        def add_one(_: int) -> int:
            losses = 0
            while True:
                present = records.get("p", "counter")
                assert present is not None
                try:
                    records.put(Put("p", "counter", {"n": present.value["n"] + 1}, present.version))
                    return losses
                except ConflictError:
                    losses += 1

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(add_one, range(40)))
        stored = records.get("p", "counter")
        assert stored is not None
        assert (stored.value, stored.version) == ({"n": 40}, 41)

    def test_of_racing_creators_one_wins(self, records: Records) -> None:
        def create(n: int) -> bool:
            try:
                records.put(Put("p", "name", {"by": n}, ABSENT))
                return True
            except ConflictError:
                return False

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(create, range(16))) == 1
