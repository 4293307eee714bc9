"""What every `blobs` adapter must do: inherit `BlobsContract` and give it an empty bucket."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.errors import BlobNotFoundError, ConflictError, InvalidRequestError
from core.ports.blobs import BlobInfo, Blobs, BlobStores

BAD_KEYS = [
    "",
    "/",
    "/etc/passwd",
    "a/",
    "a//b",
    ".",
    "..",
    "../outside",
    "a/../../outside",
    "a/./b",
    "a/..",
    "nul\0byte",
    "line\nbreak",
    "del\x7f",
    "c1\x85",
    "\ud800",
    "k" * 1025,
]


class BlobsContract:
    """Fixtures an adapter's test gives: `stores`, and `blobs`, an empty bucket of it."""

    @pytest.fixture
    def stores(self) -> BlobStores:
        raise NotImplementedError

    @pytest.fixture
    def blobs(self, stores: BlobStores) -> Blobs:
        return stores.bucket("bucket-one")

    def test_the_bucket_knows_its_name(self, blobs: Blobs) -> None:
        assert blobs.bucket == "bucket-one"

    @pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 5000])
    def test_what_was_put_reads_back_whole(self, blobs: Blobs, data: bytes) -> None:
        blobs.put("folder/name.bin", data, content_type="image/png")
        assert blobs.get("folder/name.bin") == data
        assert bytes(blobs.load("folder/name.bin")) == data
        assert blobs.head("folder/name.bin") == BlobInfo("folder/name.bin", len(data))

    def test_a_memoryview_can_be_put(self, blobs: Blobs) -> None:
        blobs.put("k", memoryview(b"0123456789")[2:5])
        assert blobs.get("k") == b"234"

    def test_a_loaded_object_is_read_only(self, blobs: Blobs) -> None:
        blobs.put("k", b"data")
        assert blobs.load("k").readonly

    def test_a_loaded_object_outlives_its_deletion_and_replacement(self, blobs: Blobs) -> None:
        blobs.put("k", b"first" * 5000)
        view = blobs.load("k")
        blobs.put("k", b"other" * 5000)
        blobs.delete("k")
        assert bytes(view) == b"first" * 5000

    @pytest.mark.parametrize(
        ("start", "length", "expected"),
        [
            (0, None, b"0123456789"),
            (0, 3, b"012"),
            (4, None, b"456789"),
            (4, 2, b"45"),
            (8, 100, b"89"),
            (9, 1, b"9"),
            (10, None, b""),
            (10, 5, b""),
            (99, 1, b""),
            (3, 0, b""),
        ],
    )
    def test_ranges_are_those_of_a_slice(
        self, blobs: Blobs, start: int, length: int | None, expected: bytes
    ) -> None:
        blobs.put("k", b"0123456789")
        assert blobs.get("k", start=start, length=length) == expected

    @pytest.mark.parametrize(("start", "length"), [(-1, None), (0, -1), (-5, 2)])
    def test_negative_ranges_are_refused(
        self, blobs: Blobs, start: int, length: int | None
    ) -> None:
        blobs.put("k", b"0123456789")
        with pytest.raises(InvalidRequestError):
            blobs.get("k", start=start, length=length)

    def test_a_put_replaces(self, blobs: Blobs) -> None:
        blobs.put("k", b"a much longer first value")
        blobs.put("k", b"second")
        assert blobs.get("k") == b"second"

    def test_another_object_of_the_same_key_has_another_etag(self, blobs: Blobs) -> None:
        blobs.put("k", b"first")
        first = blobs.head("k").etag
        assert first
        assert blobs.head("k").etag == first
        assert [one.etag for one in blobs.list("k")] == [first]
        blobs.put("k", b"other")
        assert blobs.head("k").etag not in ("", first)

    @pytest.mark.parametrize("length", [None, 3, 0])
    def test_a_get_of_an_etag_reads_that_object_or_none(
        self, blobs: Blobs, length: int | None
    ) -> None:
        blobs.put("k", b"first")
        etag = blobs.head("k").etag
        assert blobs.get("k", length=length, if_match=etag) == b"first"[:length]
        blobs.put("k", b"other")
        with pytest.raises(ConflictError):
            blobs.get("k", length=length, if_match=etag)
        blobs.delete("k")
        with pytest.raises(BlobNotFoundError):
            blobs.get("k", length=length, if_match=etag)

    def test_purging_touches_no_object(self, stores: BlobStores, blobs: Blobs) -> None:
        blobs.put("a/k", b"kept")
        stores.purge(0)
        assert [info.key for info in blobs.list("")] == ["a/k"]

    def test_if_absent_never_replaces(self, blobs: Blobs) -> None:
        blobs.put("a/k", b"first", if_absent=True)
        with pytest.raises(ConflictError):
            blobs.put("a/k", b"second", if_absent=True)
        assert blobs.get("a/k") == b"first"
        blobs.delete("a/k")
        blobs.put("a/k", b"third", if_absent=True)
        assert blobs.get("a/k") == b"third"

    def test_of_racing_creators_one_wins(self, blobs: Blobs) -> None:
        def create(n: int) -> int | None:
            try:
                blobs.put("folder/new", str(n).encode() * 1000, if_absent=True)
                return n
            except ConflictError:
                return None

        with ThreadPoolExecutor(8) as pool:
            winners = [n for n in pool.map(create, range(1, 17)) if n is not None]
        assert len(winners) == 1
        assert blobs.get("folder/new") == str(winners[0]).encode() * 1000

    def test_racing_puts_leave_one_of_them_whole(self, blobs: Blobs) -> None:
        texts = [bytes([65 + n]) * 100_000 for n in range(8)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda text: blobs.put("k", text), texts))
        assert blobs.get("k") in texts

    def test_missing_objects_are_not_found(self, blobs: Blobs) -> None:
        blobs.put("folder/there", b"x")
        operations: Sequence[Callable[[str], object]] = (
            blobs.get,
            blobs.load,
            blobs.head,
            lambda key: blobs.get(key, start=1, length=1),
            lambda key: blobs.get(key, length=0),
        )
        for key in ("absent", "folder", "folder/there/below", "folder/Xhere"):
            for operation in operations:
                with pytest.raises(BlobNotFoundError):
                    operation(key)

    def test_deleting_is_idempotent(self, blobs: Blobs) -> None:
        blobs.put("a/k", b"x")
        blobs.delete("a/k")
        blobs.delete("a/k")
        blobs.delete("never/was")
        with pytest.raises(BlobNotFoundError):
            blobs.get("a/k")

    def test_deleting_a_prefix_deletes_nothing(self, blobs: Blobs) -> None:
        blobs.put("a/k", b"x")
        blobs.delete("a")
        assert blobs.get("a/k") == b"x"

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_bad_keys_are_refused_by_every_operation(self, blobs: Blobs, key: str) -> None:
        operations: Sequence[Callable[[], object]] = (
            lambda: blobs.put(key, b"x"),
            lambda: blobs.put(key, b"x", if_absent=True),
            lambda: blobs.get(key),
            lambda: blobs.load(key),
            lambda: blobs.head(key),
            lambda: blobs.delete(key),
            lambda: blobs.presign(key, expires_s=60),
        )
        for operation in operations:
            with pytest.raises(InvalidRequestError):
                operation()

    @pytest.mark.parametrize(
        "key",
        ["a b", "ü/☃", "%2e%2e/x", "..a", "a..", ".hidden", "a\\..\\b", "q?x=1&y#z", "+", "~"],
    )
    def test_odd_keys_are_taken_as_they_are(self, blobs: Blobs, key: str) -> None:
        blobs.put(key, key.encode())
        assert blobs.get(key) == key.encode()
        assert [info.key for info in blobs.list("")] == [key]

    def test_listing_is_in_byte_order_of_keys(self, blobs: Blobs) -> None:
        keys = ["a/b", "a-b", "a0", "b", "B", "a/a/c", "a/é", "a/z", "a.b/c", "é", "😀"]
        for key in keys:
            blobs.put(key, b"x")
        assert [info.key for info in blobs.list("")] == sorted(keys, key=str.encode)

    def test_a_prefix_may_end_within_a_name(self, blobs: Blobs) -> None:
        for key in ["ab/c", "ab/cd", "abc", "a", "b/ab"]:
            blobs.put(key, key.encode())
        assert [info.key for info in blobs.list("ab")] == ["ab/c", "ab/cd", "abc"]
        assert list(blobs.list("ab/c")) == [BlobInfo("ab/c", 4), BlobInfo("ab/cd", 5)]
        assert list(blobs.list("ab/c/")) == []

    @pytest.mark.parametrize("prefix", ["../", "..", "/", "x/../", "//"])
    def test_a_prefix_leads_nowhere_else(self, stores: BlobStores, prefix: str) -> None:
        stores.bucket("bucket-two").put("secret", b"x")
        blobs = stores.bucket("bucket-one")
        blobs.put("mine", b"x")
        assert list(blobs.list(prefix)) == []

    def test_long_listings_are_complete(self, blobs: Blobs) -> None:
        keys = [f"many/{n:04}" for n in range(1005)]
        for key in keys:
            blobs.put(key, b"")
        assert [info.key for info in blobs.list("many/")] == keys

    def test_objects_may_be_deleted_while_they_are_listed(self, blobs: Blobs) -> None:
        for n in range(5):
            blobs.put(f"a/{n}", b"x")
        for info in blobs.list("a/"):
            blobs.delete(info.key)
        assert list(blobs.list("")) == []

    def test_buckets_do_not_meet(self, stores: BlobStores) -> None:
        stores.bucket("bucket-one").put("k", b"one")
        stores.bucket("bucket-two").put("k", b"two")
        assert stores.bucket("bucket-one").get("k") == b"one"
        assert list(stores.bucket("bucket-two").list("")) == [BlobInfo("k", 3)]

    @pytest.mark.parametrize(
        "name", ["", "ab", "..", "a/b", "Upper", "a..b", "-ab", "ab-", "a" * 64, "a b", "ab\n"]
    )
    def test_what_is_no_bucket_name_is_refused(self, stores: BlobStores, name: str) -> None:
        with pytest.raises(InvalidRequestError):
            stores.bucket(name)

    @pytest.mark.parametrize("expires_s", [0, -1, 7 * 86_400 + 1])
    def test_a_url_lives_a_second_to_a_week(self, blobs: Blobs, expires_s: int) -> None:
        blobs.presign("k", expires_s=1)
        blobs.presign("k", expires_s=7 * 86_400)
        with pytest.raises(InvalidRequestError):
            blobs.presign("k", expires_s=expires_s)
