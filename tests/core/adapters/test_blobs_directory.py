"""The blobs port on a directory: the contract, its URLs, and how it fails."""

import errno
import mmap
import os
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from core.adapters import blobs_directory
from core.adapters.blobs_directory import DirectoryBlobStores
from core.errors import InvalidRequestError, UnavailableError
from tests.contracts.blobs import BAD_KEYS, BlobsContract
from tests.contracts.records import SetClock

KEY = b"0123456789abcdef"


def _stores(root: Path, clock: SetClock | None = None, key: bytes = KEY) -> DirectoryBlobStores:
    return DirectoryBlobStores(
        root, signing_key=key, base_url="http://127.0.0.1:8080/", clock=clock or SetClock()
    )


class TestDirectoryBlobs(BlobsContract):
    @pytest.fixture
    def stores(self, tmp_path: Path) -> DirectoryBlobStores:
        return _stores(tmp_path / "blobs")


def test_what_killed_writers_left_is_purged_once_it_is_old(tmp_path: Path) -> None:
    incoming = tmp_path / "blobs" / ".incoming"
    incoming.mkdir(parents=True)
    for name, age in (("old", 100), ("new", 1)):
        (incoming / name).write_bytes(b"half")
        os.utime(incoming / name, (1_000 - age, 1_000 - age))
    stores = _stores(tmp_path / "blobs", SetClock(1_000.0))
    assert stores.purge(60) == 1
    assert [path.name for path in incoming.iterdir()] == ["new"]
    assert _stores(tmp_path / "nothing").purge(60) == 0


def test_a_url_names_the_object_and_verifies_until_it_ends(tmp_path: Path) -> None:
    clock = SetClock(1_000.5)
    stores = _stores(tmp_path, clock)
    signed = stores.bucket("bucket-one").presign("a b/ü?.png", expires_s=60)
    assert signed.expires_at == 1060.0
    url = urlsplit(signed.url)
    assert (url.scheme, url.netloc) == ("http", "127.0.0.1:8080")
    assert unquote(url.path) == "/blobs/bucket-one/a b/ü?.png"
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert query["expires"] == "1060"
    assert stores.verify("bucket-one", "a b/ü?.png", query["expires"], query["signature"])
    clock.now = 1059.9
    assert stores.verify("bucket-one", "a b/ü?.png", query["expires"], query["signature"])
    clock.now = 1060.0
    assert not stores.verify("bucket-one", "a b/ü?.png", query["expires"], query["signature"])


def test_a_signature_holds_for_nothing_else(tmp_path: Path) -> None:
    stores = _stores(tmp_path)
    url = stores.bucket("bucket-one").presign("a/b", expires_s=60).url
    expires, signature = (parse_qs(urlsplit(url).query)[n][0] for n in ("expires", "signature"))
    assert stores.verify("bucket-one", "a/b", expires, signature)
    assert not _stores(tmp_path, key=b"another").verify("bucket-one", "a/b", expires, signature)
    for bucket, key, until, signed in [
        ("bucket-two", "a/b", expires, signature),
        ("bucket-one", "a/c", expires, signature),
        ("bucket-one", "a", expires, signature),
        ("bucket-one", "a/b", str(int(expires) + 1), signature),
        ("bucket-one", "a/b", f"{expires}0", signature),
        ("bucket-one", "a/b", f" {expires}", signature),
        ("bucket-one", "a/b", "", signature),
        ("bucket-one", "a/b", "9" * 400, signature),
        ("bucket-one", "a/b", "nan", signature),
        ("bucket-one", "a/b", expires, ""),
        ("bucket-one", "a/b", expires, signature[:-1]),
        ("bucket-one", "a/b", expires, signature.upper() + "ü\ud800"),
        ("..", "a/b", expires, signature),
        *(("bucket-one", key, expires, signature) for key in BAD_KEYS),
    ]:
        assert not stores.verify(bucket, key, until, signed)


def test_a_key_cannot_be_both_object_and_folder(tmp_path: Path) -> None:
    blobs = _stores(tmp_path).bucket("bucket-one")
    blobs.put("a/b", b"x")
    for if_absent in (True, False):
        with pytest.raises(InvalidRequestError):
            blobs.put("a", b"y", if_absent=if_absent)
        with pytest.raises(InvalidRequestError):
            blobs.put("a/b/c", b"y", if_absent=if_absent)
        with pytest.raises(InvalidRequestError):
            blobs.put("n" * 300, b"y", if_absent=if_absent)
    assert [info.key for info in blobs.list("")] == ["a/b"]


def test_a_refused_put_leaves_no_file_behind(tmp_path: Path) -> None:
    blobs = _stores(tmp_path).bucket("bucket-one")
    blobs.put("a/b", b"x", if_absent=True)
    for key in ("a", "a/b/c", "n" * 300):
        with pytest.raises(InvalidRequestError):
            blobs.put(key, b"y")
    files = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [Path("bucket-one/a/b")]


def test_files_put_there_by_hand_are_objects(tmp_path: Path) -> None:
    (tmp_path / "media-files" / "shoot").mkdir(parents=True)
    (tmp_path / "media-files" / "shoot" / "1.jpg").write_bytes(b"jpeg")
    blobs = _stores(tmp_path).bucket("media-files")
    assert [info.key for info in blobs.list("")] == ["shoot/1.jpg"]
    assert blobs.get("shoot/1.jpg") == b"jpeg"


@pytest.mark.parametrize(
    ("number", "retryable"), [(errno.ENOSPC, False), (errno.EROFS, False), (errno.EIO, True)]
)
def test_a_folder_that_takes_nothing_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, retryable: bool
) -> None:
    def refuse(_path: Path, _data: bytes) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(blobs_directory, "_write_durably", refuse)
    with pytest.raises(UnavailableError) as caught:
        _stores(tmp_path).bucket("bucket-one").put("k", b"x")
    assert caught.value.retryable is retryable
    assert os.strerror(number) in str(caught.value)


def test_a_root_that_is_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("")
    with pytest.raises((UnavailableError, InvalidRequestError)):
        _stores(tmp_path / "root").bucket("bucket-one").put("k", b"x")


def test_loaded_small_objects_hold_no_file_descriptors(tmp_path: Path) -> None:
    blobs = _stores(tmp_path).bucket("bucket-one")
    blobs.put("k", b"abc")
    before = _next_descriptor()
    held = [blobs.load("k") for _ in range(50)]
    # A thousand collections at hand must not be a thousand open files.
    assert _next_descriptor() == before
    assert {bytes(one) for one in held} == {b"abc"}


def test_a_large_object_is_mapped_not_copied(tmp_path: Path) -> None:
    blobs = _stores(tmp_path).bucket("bucket-one")
    blobs.put("k", bytes(16 << 20) + b"end")
    view = blobs.load("k")
    assert isinstance(view.obj, mmap.mmap)
    blobs.delete("k")
    assert view.readonly
    assert bytes(view[-3:]) == b"end"


def _next_descriptor() -> int:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    return descriptor
