"""S3 that fails, lies, breaks off or says nothing while an image is read or written."""

from collections.abc import Callable

import pytest

from core.adapters.aws_clients import make_client
from core.errors import BlobNotFoundError, ConflictError, CorruptBlobError, UnavailableError
from tests.aws_server import AwsServer, Fault
from tests.core.storage.doubles import doc, read_all
from tests.faults.stores import INDEX, RANGE_BYTES, WHOLE, filled_store, open_blobs, open_store

FAILING = [Fault(500, "InternalError"), Fault(503, "SlowDown"), Fault(503, "ServiceUnavailable")]


def flipped(body: bytes) -> bytes:
    """Change one bit in the middle."""
    place = len(body) // 2
    return body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]


@pytest.mark.parametrize("fault", FAILING, ids=lambda fault: fault.code)
@pytest.mark.parametrize("operation", ["PUT", "GET", "HEAD"])
def test_s3_that_fails_for_a_while_is_only_slower(
    aws: AwsServer, fault: Fault, operation: str
) -> None:
    filled_store()
    aws.fail([fault, fault], "s3", operation)
    open_store().upsert("ns", "col", [doc("new", n="new")])
    assert read_all(open_store()) == {**WHOLE, "new": {"n": "new"}}


def test_a_write_that_s3_refuses_for_good_is_not_acknowledged(aws: AwsServer) -> None:
    store = filled_store()
    aws.decide = lambda request: FAILING[0] if request.operation == "PUT" else None
    with pytest.raises(UnavailableError):
        store.upsert("ns", "col", [doc("new", n="new")])
    aws.decide = lambda request: None
    assert read_all(open_store()) == WHOLE


def test_an_image_that_s3_refuses_for_good_is_told_and_found_later(aws: AwsServer) -> None:
    filled_store()
    store = open_store()
    aws.decide = lambda request: FAILING[1] if request.operation == "GET" else None
    with pytest.raises(UnavailableError) as caught:
        store.snapshot("ns", "col")
    assert caught.value.retry_after_seconds is not None
    aws.decide = lambda request: None
    assert read_all(store) == WHOLE


def test_s3_that_never_answers_is_left_after_the_clients_time(aws: AwsServer) -> None:
    filled_store()
    store = open_store(make_client("s3", read_timeout_s=0.3, attempts=1))
    aws.fail([None, Fault(hang=True)], "s3", "GET")
    with pytest.raises(UnavailableError):
        store.snapshot("ns", "col")
    aws.decide = lambda request: None
    assert read_all(store) == WHOLE


@pytest.mark.parametrize("cut", [0, 1, RANGE_BYTES - 1])
def test_a_range_that_breaks_off_is_read_again(aws: AwsServer, cut: int) -> None:
    filled_store()
    aws.fail([None, Fault(cut=cut), None, Fault(cut=cut)], "s3", "GET")
    assert read_all(open_store()) == WHOLE


def test_ranges_that_always_break_off_are_no_image(aws: AwsServer) -> None:
    filled_store()
    store = open_store()
    aws.decide = lambda request: Fault(cut=10) if request.operation == "GET" else None
    with pytest.raises(UnavailableError):
        store.snapshot("ns", "col")
    aws.decide = lambda request: None
    assert read_all(store) == WHOLE


@pytest.mark.parametrize(
    ("alter", "error"),
    [
        (flipped, CorruptBlobError),
        (lambda body: bytes(len(body)), CorruptBlobError),
        (lambda body: body[:-1], UnavailableError),
        (lambda body: b"", UnavailableError),
    ],
    ids=["altered", "zeros", "short", "empty"],
)
@pytest.mark.parametrize("number", [0, 3])
def test_a_range_that_is_not_what_was_written_is_never_searched(
    aws: AwsServer, alter: Callable[[bytes], bytes], error: type[Exception], number: int
) -> None:
    """Whichever range it is; and what is wrong is not kept: the next load is whole."""
    filled_store()
    store = open_store()
    start = f"bytes={number * RANGE_BYTES}-"
    fault = Fault(alter=alter)
    aws.decide = lambda one: fault if one.headers.get("Range", "").startswith(start) else None
    with pytest.raises(error):
        store.snapshot("ns", "col")
    aws.decide = lambda request: None
    assert read_all(store) == WHOLE


def test_a_wrong_beginning_ends_the_load_at_once(aws: AwsServer) -> None:
    filled_store()
    fault = Fault(alter=flipped)
    aws.decide = lambda one: fault if one.headers.get("Range", "").startswith("bytes=0-") else None
    before = aws.count("s3", "GET")
    # Many ranges: several are under way while the first is looked at, more on a busy machine.
    tenth = RANGE_BYTES // 10
    with pytest.raises(CorruptBlobError):
        open_store(range_bytes=tenth).snapshot("ns", "col")
    [info] = open_blobs().list("ns/")
    assert aws.count("s3", "GET") - before < info.size // tenth


def test_an_object_replaced_while_it_is_read_is_never_a_mixture(aws: AwsServer) -> None:
    blobs, other = open_blobs(), aws.client("s3")
    blobs.put("k", b"a" * (20 * RANGE_BYTES))

    def replace(body: bytes) -> bytes:
        other.put_object(Bucket=INDEX, Key="k", Body=b"b" * (20 * RANGE_BYTES))
        return body

    aws.fail([Fault(alter=replace)], "s3", "GET")
    with pytest.raises(ConflictError):
        blobs.load("k")
    assert set(bytes(blobs.load("k"))) == {ord("b")}


def test_an_object_removed_while_it_is_read_is_missing(aws: AwsServer) -> None:
    blobs, other = open_blobs(), aws.client("s3")
    blobs.put("k", b"a" * (20 * RANGE_BYTES))

    def remove(body: bytes) -> bytes:
        other.delete_object(Bucket=INDEX, Key="k")
        return body

    aws.fail([Fault(alter=remove)], "s3", "GET")
    with pytest.raises(BlobNotFoundError):
        blobs.load("k")


def test_what_is_followed_has_no_gaps(aws: AwsServer) -> None:
    blobs = open_blobs()
    data = bytes(i % 251 for i in range(20 * RANGE_BYTES + 17))
    blobs.put("k", data)
    aws.fail([Fault(cut=5)], "s3", "GET")
    ends: list[int] = []

    def follow(come: memoryview) -> None:
        assert come.readonly
        assert bytes(come) == data[: len(come)]
        ends.append(len(come))

    assert bytes(blobs.load("k", follow=follow)) == data
    assert ends == sorted(ends)
    assert ends[-1] == len(data)
