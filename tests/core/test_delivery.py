"""Delivery: only what a namespace may read is ever signed, and large answers move out whole."""

from pathlib import Path

import orjson
import pytest

from core.adapters.blobs_directory import DirectoryBlobs, DirectoryBlobStores
from core.delivery import Presigner, ReadableBuckets, parse_s3_uri, read_object, spill_documents
from core.errors import FetchError, UnavailableError
from core.models.namespaces import Namespace
from core.ports.blobs import Presigned
from core.types import JsonObject

NOW = 1_800_000_000.0


@pytest.fixture
def buckets(tmp_path: Path) -> DirectoryBlobStores:
    return DirectoryBlobStores(
        tmp_path, signing_key=b"k" * 32, base_url="http://127.0.0.1:1", clock=lambda: NOW
    )


def presigner(buckets: DirectoryBlobStores, *registered: str) -> Presigner:
    readable = ReadableBuckets("ns_a", "assets", frozenset(registered))
    return Presigner(buckets, readable, expires_s=600)


def test_blobs_and_url_fields_get_urls_beside_them(buckets: DirectoryBlobStores) -> None:
    document: JsonObject = {
        "document_id": "d",
        "image_url": "s3://assets/ns_a/pictures/a.png",
        "note": "see s3://assets/ns_a/pictures/a.png",
        "document_blobs": [
            {"field": "source", "url": "s3://assets/ns_a/b.png"},
            {"field": "web", "url": "https://example.com/c.png"},
        ],
        "_internal": {"document_blobs": [{"field": "x", "url": "s3://assets/ns_a/d.png"}]},
        "documents": [{"thumb": "s3://assets/ns_a/e.png"}],
    }
    before = orjson.dumps(document)
    shown = presigner(buckets).add_urls(document)
    assert orjson.dumps(document) == before
    assert shown["image_url"] == document["image_url"]
    assert "/blobs/assets/ns_a/pictures/a.png?" in shown["image_url_presigned_url"]
    assert shown["image_url_presigned_expires_at"] == "2027-01-15T08:10:00+00:00"
    assert "note_presigned_url" not in shown
    first, web = shown["document_blobs"]
    assert "/blobs/assets/ns_a/b.png?" in first["presigned_url"]
    assert web == {"field": "web", "url": "https://example.com/c.png"}
    assert "presigned_url" in shown["_internal"]["document_blobs"][0]
    assert "thumb_presigned_url" in shown["documents"][0]


@pytest.mark.parametrize(
    ("uri", "registered"),
    [
        ("s3://assets/ns_b/secret.png", ()),  # another namespace's prefix
        ("s3://assets/ns_ab/secret.png", ()),  # a prefix that only begins alike
        ("s3://assets/ns_a", ()),  # the prefix itself is no object
        ("s3://index/ns_a/col/segment", ()),  # another bucket of the service
        ("s3://elsewhere/file.png", ("mine",)),
        ("s3:///ns_a/x", ()),
        ("s3://assets", ()),
        ("s3://assets/ns_a/../ns_b/secret.png", ()),
        ("s3://assets/ns_a/./x", ()),
    ],
)
def test_nothing_else_is_signed_and_the_reason_is_said(
    buckets: DirectoryBlobStores, uri: str, registered: tuple[str, ...]
) -> None:
    shown = presigner(buckets, *registered).add_urls({"f": uri, "document_blobs": [{"url": uri}]})
    assert "f_presigned_url" not in shown
    assert shown["f_unavailable_reason"]
    assert "presigned_url" not in shown["document_blobs"][0]


def test_a_registered_bucket_is_signed(buckets: DirectoryBlobStores) -> None:
    shown = presigner(buckets, "mine").add_urls({"f": "s3://mine/any/key.png"})
    assert "/blobs/mine/any/key.png?" in shown["f_presigned_url"]


def namespace(*registered: str) -> Namespace:
    return Namespace(
        namespace_id="ns_a",
        namespace_name="a",
        mode="managed",
        default_collection_id="col_x",
        created_at="",
        updated_at="",
        registered_buckets=registered,
    )


def test_queries_read_what_presigning_would_sign_and_nothing_else(
    buckets: DirectoryBlobStores,
) -> None:
    for bucket, key in [("assets", "ns_a/f"), ("assets", "ns_b/f"), ("mine", "f")]:
        buckets.bucket(bucket).put(key, b"bytes")
    read = read_object(buckets, "assets", namespace("mine"))
    assert read("assets", "ns_a/f", 9) == b"bytes"
    assert read("mine", "f", 3) == b"byt"
    for bucket, key in [("assets", "ns_b/f"), ("other", "f"), ("mine", "absent")]:
        with pytest.raises(FetchError):
            read(bucket, key, 9)


def result(name: str, size: int) -> JsonObject:
    documents = [{"document_id": f"{name}{i}", "text": "x" * size} for i in range(4)]
    return {
        "execution_id": name,
        "status": "completed",
        "complete": True,
        "error": None,
        "documents": documents,
    }


def spill(results: list[JsonObject], blobs: DirectoryBlobs, limit: int) -> None:
    spill_documents(
        results,
        limit_bytes=limit,
        blobs=blobs,
        key_of=lambda r: f"ns_a/{r['execution_id']}",
        expires_s=60,
    )


def test_the_largest_results_move_first_and_lose_nothing(buckets: DirectoryBlobStores) -> None:
    blobs = buckets.bucket("results")
    results = [result("small", 10), result("large", 9_000), result("medium", 1_000)]
    documents = [list(r["documents"]) for r in results]
    spill(results, blobs, limit=30_000)
    assert [bool(r["documents"]) for r in results] == [True, False, True]
    moved = results[1]
    assert moved["documents_count"] == 4
    lines = [orjson.loads(line) for line in blobs.get("ns_a/large").splitlines()]
    assert lines == documents[1]
    assert results[0]["documents"] == documents[0]


def test_an_answer_that_fits_is_left_alone(buckets: DirectoryBlobStores) -> None:
    results = [result("a", 100)]
    spill(results, buckets.bucket("results"), limit=30_000)
    assert "documents_url" not in results[0]
    assert list(buckets.bucket("results").list("")) == []


def test_what_is_large_beside_the_documents_counts_too(buckets: DirectoryBlobStores) -> None:
    results = [result("a", 1_000), {**result("b", 10), "facets": ["x" * 50_000]}]
    spill(results, buckets.bucket("results"), limit=60_000)
    assert "documents_url" in results[0]


def test_results_that_share_their_documents_share_the_object(buckets: DirectoryBlobStores) -> None:
    results = [result("a", 9_000), result("b", 5_000)]
    results.append({**results[0], "execution_id": "c"})
    spill(results, buckets.bucket("results"), limit=100)
    assert [info.key for info in buckets.bucket("results").list("")] == ["ns_a/a", "ns_a/b"]
    assert results[2]["documents_url"] == results[0]["documents_url"]
    assert results[2]["documents_count"] == 4


class RefusingBlobs:
    """A results bucket that does not answer."""

    bucket = "results"

    def put(self, *_: object, **__: object) -> None:
        raise UnavailableError("the bucket did not answer")

    def presign(self, *_: object, **__: object) -> Presigned:
        raise AssertionError("nothing was stored")


def test_documents_that_cannot_be_stored_fail_their_result_and_say_so() -> None:
    results = [result("a", 9_000), result("b", 10)]
    spill_documents(
        results,
        limit_bytes=20_000,
        blobs=RefusingBlobs(),  # type: ignore[arg-type]  # only what is called is there
        key_of=lambda r: r["execution_id"],
        expires_s=60,
    )
    assert results[0]["status"] == "failed"
    assert results[0]["complete"] is False
    assert results[0]["error"]["retryable"] is True
    assert results[0]["documents"] == []
    assert results[1]["status"] == "completed"


@pytest.mark.parametrize("value", [None, 3, "", "s3:/", "https://x/y", "S3://b/k"])
def test_only_s3_addresses_are_s3_addresses(value: object) -> None:
    assert parse_s3_uri(value) is None
