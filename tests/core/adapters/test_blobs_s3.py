"""The blobs port on S3: the contract under moto, large reads, URLs, and AWS's failures."""

import datetime as dt
import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import EndpointConnectionError, ResponseStreamingError
from moto import mock_aws

from core.adapters.blobs_s3 import S3Blobs, S3BlobStores
from core.errors import (
    BlobNotFoundError,
    ConflictError,
    InvalidRequestError,
    TrawlError,
    UnavailableError,
)
from core.ports.blobs import Blobs, BlobStores
from tests.contracts.blobs import BlobsContract
from tests.core.adapters.failing import FailingClient, client_error
from tests.core.adapters.moto_clients import OneCallAtATime

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_BUCKETS = ("bucket-one", "bucket-two")
NOW = 1_700_000_000.0


@pytest.fixture(scope="module")
def shared_client() -> Iterator["S3Client"]:
    with mock_aws():
        yield boto3.client("s3", region_name="us-east-1", config=Config(signature_version="s3v4"))


@pytest.fixture
def client(shared_client: "S3Client") -> Iterator["S3Client"]:
    for name in _BUCKETS:
        shared_client.create_bucket(Bucket=name)
    yield shared_client
    for name in _BUCKETS:
        pages = shared_client.get_paginator("list_objects_v2").paginate(Bucket=name)
        for key in [item["Key"] for page in pages for item in page.get("Contents", ())]:
            shared_client.delete_object(Bucket=name, Key=key)
        shared_client.delete_bucket(Bucket=name)


class TestS3Blobs(BlobsContract):
    @pytest.fixture
    def stores(self, client: "S3Client") -> BlobStores:
        serial: Any = OneCallAtATime(client)
        return S3BlobStores(serial)

    def test_the_content_type_is_kept(self, blobs: Blobs, client: "S3Client") -> None:
        blobs.put("k", b"x", content_type="image/png")
        assert client.head_object(Bucket="bucket-one", Key="k")["ContentType"] == "image/png"

    @pytest.mark.parametrize("size", [99, 100, 101, 1000, 1001])
    def test_large_objects_load_in_ranges(self, client: "S3Client", size: int) -> None:
        blobs = S3Blobs("bucket-one", lambda: client, range_bytes=100)
        data = bytes(n % 251 for n in range(size))
        blobs.put("k", data)
        assert bytes(blobs.load("k")) == data

    def test_a_missing_bucket_has_no_objects_to_find(self, stores: BlobStores) -> None:
        with pytest.raises(BlobNotFoundError):
            stores.bucket("never-made").get("k")

    def test_a_url_gets_one_object_for_the_time_asked(self, client: "S3Client") -> None:
        signed = (
            S3BlobStores(client, clock=lambda: NOW)
            .bucket("bucket-one")
            .presign("a/b.png", expires_s=900)
        )
        url = urlsplit(signed.url)
        assert url.path.endswith("/a/b.png")
        assert parse_qs(url.query)["X-Amz-Expires"] == ["900"]
        assert signed.expires_at == NOW + 900


def _with_session(left_s: float) -> S3Blobs:
    """Return blobs whose signer's credentials end in `left_s` seconds."""
    client = boto3.client("s3", region_name="us-east-1", config=Config(signature_version="s3v4"))
    ends = dt.datetime.fromtimestamp(NOW + left_s, dt.UTC)
    credentials = RefreshableCredentials(
        "AKIA", "secret", "token", ends, lambda: {}, "test", time_fetcher=lambda: ends - _DAY
    )
    signer: Any = client
    signer._request_signer._credentials = credentials
    return S3Blobs("bucket-one", lambda: client, clock=lambda: NOW)


_DAY = dt.timedelta(days=1)


def test_a_url_ends_with_the_credentials_that_signed_it(shared_client: "S3Client") -> None:
    signed = _with_session(1200).presign("k", expires_s=86_400)
    assert signed.expires_at == NOW + 1200
    assert parse_qs(urlsplit(signed.url).query)["X-Amz-Expires"] == ["1200"]
    assert _with_session(1200).presign("k", expires_s=60).expires_at == NOW + 60


def test_credentials_at_their_end_sign_nothing(shared_client: "S3Client") -> None:
    with pytest.raises(UnavailableError):
        _with_session(0.5).presign("k", expires_s=60)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (client_error("SlowDown", 503), UnavailableError),
        (client_error("InternalError", 500), UnavailableError),
        (client_error("RequestTimeout", 400), UnavailableError),
        (EndpointConnectionError(endpoint_url="https://s3"), UnavailableError),
        (ConnectionResetError(), UnavailableError),
        (client_error("NoSuchKey", 404), BlobNotFoundError),
        (client_error("404", 404), BlobNotFoundError),
        (client_error("NoSuchBucket", 404), BlobNotFoundError),
        (client_error("PreconditionFailed", 412), ConflictError),
        (client_error("ConditionalRequestConflict", 409), ConflictError),
        (client_error("AccessDenied", 403), TrawlError),
    ],
)
def test_failures_become_our_errors(error: Exception, expected: type[TrawlError]) -> None:
    client: Any = FailingClient(error)
    blobs = S3Blobs("bucket-one", lambda: client)
    operations = (
        lambda: blobs.get("k"),
        lambda: blobs.load("k"),
        lambda: blobs.put("k", b"", if_absent=True),
        lambda: list(blobs.list("")),
    )
    for operation in operations:
        with pytest.raises(TrawlError) as caught:
            operation()
        assert type(caught.value) is expected


class _Broken(io.BytesIO):
    def read(self, *_: Any) -> bytes:
        raise ResponseStreamingError(error="reset")


class _Partial:
    """A client whose bodies break off."""

    def __init__(self, body: Callable[[], io.BytesIO]) -> None:
        self._body = body

    def head_object(self, **_: Any) -> Any:
        return {"ContentLength": 100, "ETag": "e"}

    def get_object(self, **_: Any) -> Any:
        return {"Body": self._body()}


@pytest.mark.parametrize("body", [_Broken, lambda: io.BytesIO(b"too short")])
def test_a_body_that_breaks_off_is_never_taken_for_whole(body: Callable[[], io.BytesIO]) -> None:
    client: Any = _Partial(body)
    with pytest.raises(UnavailableError):
        S3Blobs("bucket-one", lambda: client).load("k")


def test_no_client_is_made_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("made too early")

    monkeypatch.setattr(boto3, "client", refuse)
    blobs = S3BlobStores().bucket("bucket-one")
    with pytest.raises(InvalidRequestError):
        blobs.get("../k")


def test_a_url_leads_to_the_buckets_own_region(monkeypatch: pytest.MonkeyPatch) -> None:
    # The global endpoint redirects while a bucket is new, and the signature does not survive it.
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    signed = S3BlobStores().bucket("bucket-one").presign("k", expires_s=60)
    assert urlsplit(signed.url).hostname == "bucket-one.s3.eu-central-1.amazonaws.com"
