"""The adapter of S3 Vectors: its requests, its limits, and how it meets a busy service."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from core.adapters.vectors_s3 import S3VectorIndexes
from core.errors import DeadlineError, NotFoundError, TrawlError, UnavailableError
from core.ports.vector_indexes import IndexEntry, IndexRef
from core.types import Metric, VectorSpec
from tests.s3vectors_fake import BUCKET, FakeS3Vectors, Fault

Json = Any
NAME = "trawl-0123456789abcdef-0123456789abcdef"
PLACE = {"vectorBucketName": BUCKET, "indexName": NAME}


def ref(metric: Metric = "cosine", dimension: int = 2) -> IndexRef:
    """An index."""
    return IndexRef(NAME, VectorSpec("v", dimension, metric))


def entry(key: str, *numbers: float, **metadata: Json) -> IndexEntry:
    """A vector to store."""
    return IndexEntry(key, np.array(numbers, np.float32), metadata)


@pytest.fixture
def fake() -> FakeS3Vectors:
    return FakeS3Vectors()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def indexes(fake: FakeS3Vectors, pauses: list[float]) -> S3VectorIndexes:
    return S3VectorIndexes(BUCKET, lambda: fake.client, sleep=pauses.append)


@pytest.fixture
def stubbed() -> Iterator[tuple[Stubber, S3VectorIndexes]]:
    client = boto3.client(
        "s3vectors",
        region_name="eu-west-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    with Stubber(client) as stubber:
        yield stubber, S3VectorIndexes(BUCKET, lambda: client, sleep=lambda _: None)
    stubber.assert_no_pending_responses()


def failing(*codes: str) -> Callable[[str, dict[str, Json]], None]:
    """Fail the first calls with these errors."""
    left = list(codes)

    def fail(_operation: str, _request: dict[str, Json]) -> None:
        if left:
            raise Fault(left.pop(0))

    return fail


def test_requests_are_these(stubbed: tuple[Stubber, S3VectorIndexes]) -> None:
    stubber, indexes = stubbed
    arn = f"arn:aws:s3vectors:eu-west-1:123456789012:bucket/{BUCKET}/index/{NAME}"
    index = {"dataType": "float32", "dimension": 2, "distanceMetric": "cosine"}
    stubber.add_response("create_index", {"indexArn": arn}, {**PLACE, **index})
    vectors = [
        {"key": "k1", "data": {"float32": [1.0, 0.5]}, "metadata": {"v0": ["sx"]}},
        {"key": "k2", "data": {"float32": [0.0, 1.0]}},
    ]
    stubber.add_response("put_vectors", {}, {**PLACE, "vectors": vectors})
    query = {
        "topK": 7,
        "queryVector": {"float32": [1.0, 0.0]},
        "returnDistance": True,
        "filter": {"v0": {"$eq": "sx"}},
    }
    answer = {"vectors": [{"key": "k1", "distance": 0.25}], "distanceMetric": "cosine"}
    stubber.add_response("query_vectors", answer, {**PLACE, **query})
    got = {"vectors": [{"key": "k1", "data": {"float32": [1.0, 0.5]}}]}
    stubber.add_response("get_vectors", got, {**PLACE, "keys": ["k1", "k9"], "returnData": True})
    stubber.add_response(
        "list_vectors", {"vectors": [{"key": "k1"}]}, {**PLACE, "maxResults": 1000}
    )
    stubber.add_response("delete_vectors", {}, {**PLACE, "keys": ["k1"]})
    stubber.add_response("delete_index", {}, PLACE)
    indexes.create(ref())
    indexes.put(ref(), [entry("k1", 1.0, 0.5, v0=["sx"]), entry("k2", 0.0, 1.0)])
    asked = np.array([[1, 0]], np.float32)
    [found] = indexes.query(ref(), asked, 7, {"v0": {"$eq": "sx"}})
    assert (found.keys, found.scores, found.full) == (("k1",), (0.75,), False)
    assert indexes.get(ref(), ["k1", "k9"])["k1"].tolist() == [1.0, 0.5]
    assert list(indexes.pages(ref())) == [["k1"]]
    indexes.delete(ref(), ["k1"])
    indexes.drop(ref())


def test_large_calls_are_cut_to_the_services_limits(
    fake: FakeS3Vectors, indexes: S3VectorIndexes
) -> None:
    indexes.create(ref())
    entries = [entry(f"k{n:04}", 1.0, float(n)) for n in range(1201)]
    keys = [one.key for one in entries]
    indexes.put(ref(), entries)
    assert len(indexes.get(ref(), keys)) == 1201
    fake.page_size = 400
    assert [key for page in indexes.pages(ref()) for key in page] == keys
    indexes.delete(ref(), keys)
    sizes = [fake.count(name) for name in ("PutVectors", "GetVectors", "DeleteVectors")]
    assert sizes == [3, 13, 3]
    assert fake.stored_keys() == []


def test_shares_of_a_list_make_the_whole(indexes: S3VectorIndexes) -> None:
    indexes.create(ref())
    keys = [f"k{n:02}" for n in range(50)]
    indexes.put(ref(), [entry(key, 1.0, 0.0) for key in keys])
    shares = [[k for page in indexes.pages(ref(), (n, 16)) for k in page] for n in range(16)]
    assert sorted(key for share in shares for key in share) == keys
    assert max(map(len, shares)) < 20


def test_a_put_of_wide_vectors_stays_below_the_largest_request(
    fake: FakeS3Vectors, indexes: S3VectorIndexes
) -> None:
    wide = ref(dimension=4096)
    indexes.create(wide)
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((170, 4096), dtype=np.float32) * 1e-30
    indexes.put(wide, [IndexEntry(f"k{n}", vector, {}) for n, vector in enumerate(vectors)])
    assert len(fake.stored_keys()) == 170
    assert indexes.get(wide, ["k7"])["k7"].tobytes() == vectors[7].tobytes()


def test_no_more_than_a_hundred_are_asked_for_and_pages_are_followed(
    fake: FakeS3Vectors, indexes: S3VectorIndexes
) -> None:
    indexes.create(ref())
    indexes.put(ref(), [entry(f"k{n:03}", 1.0, n / 100) for n in range(130)])
    fake.page_size = 30
    [found] = indexes.query(ref(), np.array([[1, 0]], np.float32), 500)
    assert found.keys == tuple(f"k{n:03}" for n in range(100))
    assert found.full


def test_euclidean_scores_are_ours_whatever_the_service_calls_a_distance(
    indexes: S3VectorIndexes,
) -> None:
    index = ref("euclidean")
    indexes.create(index)
    indexes.put(index, [entry("far", 3.0, 4.0), entry("near", 0.0, 0.5), entry("same", 0.0, 0.0)])
    [found] = indexes.query(index, np.array([[0, 0]], np.float32), 10)
    assert found.keys == ("same", "near", "far")
    assert found.scores == pytest.approx((1.0, 1 / 1.5, 1 / 6))


def test_each_of_many_queries_gets_its_own_answer(indexes: S3VectorIndexes) -> None:
    indexes.create(ref())
    angles = np.linspace(0, 3, 60)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    indexes.put(ref(), [IndexEntry(f"k{n}", v, {}) for n, v in enumerate(vectors)])
    found = indexes.query(ref(), vectors, 1)
    assert [one.keys for one in found] == [(f"k{n}",) for n in range(60)]


def test_a_vector_without_direction_is_near_nothing(
    fake: FakeS3Vectors, indexes: S3VectorIndexes
) -> None:
    indexes.create(ref())
    [found] = indexes.query(ref(), np.zeros((1, 2), np.float32), 5)
    assert (found.keys, found.full) == ((), False)
    assert fake.count("QueryVectors") == 0


@pytest.mark.parametrize(
    "code",
    [
        "TooManyRequestsException",
        "ServiceUnavailableException",
        "InternalServerException",
        "RequestTimeoutException",
    ],
)
def test_a_busy_service_is_asked_again_after_growing_pauses(
    code: str, fake: FakeS3Vectors, indexes: S3VectorIndexes, pauses: list[float]
) -> None:
    indexes.create(ref())
    fake.before = failing(code, code, code)
    indexes.put(ref(), [entry("k", 1.0, 0.0)])
    assert fake.stored_keys() == ["k"]
    assert 0.35 <= sum(pauses) <= 0.7
    assert max(pauses) <= 0.05  # so that a pause ends soon after its caller's time does


def test_a_service_that_stays_busy_is_given_up(
    fake: FakeS3Vectors, indexes: S3VectorIndexes
) -> None:
    indexes.create(ref())
    fake.before = failing(*["TooManyRequestsException"] * 99)
    with pytest.raises(UnavailableError, match="TooManyRequestsException") as caught:
        indexes.query(ref(), np.ones((3, 2), np.float32), 5)
    assert caught.value.retryable
    assert caught.value.retry_after_seconds is not None


def test_pauses_end_with_the_callers_time(
    fake: FakeS3Vectors, indexes: S3VectorIndexes, pauses: list[float]
) -> None:
    indexes.create(ref())
    fake.before = failing(*["TooManyRequestsException"] * 99)

    def stop() -> bool:
        return len(pauses) >= 4

    with pytest.raises(DeadlineError):
        indexes.query(ref(), np.ones((1, 2), np.float32), 5, stop=stop)
    assert len(pauses) == 4


def test_no_answer_at_all_is_asked_for_again(fake: FakeS3Vectors, indexes: S3VectorIndexes) -> None:
    left = [EndpointConnectionError(endpoint_url="https://nowhere")] * 2

    def fail(_operation: str, _request: dict[str, Json]) -> None:
        if left:
            raise left.pop()

    fake.before = fail
    indexes.create(ref())
    assert list(fake.indexes) == [NAME]


def test_what_the_service_refuses_is_not_sent_again(
    fake: FakeS3Vectors, indexes: S3VectorIndexes
) -> None:
    indexes.create(ref())
    fake.before = failing("AccessDeniedException")
    with pytest.raises(TrawlError, match="AccessDeniedException") as caught:
        indexes.query(ref(), np.ones((1, 2), np.float32), 5)
    assert not caught.value.retryable
    assert fake.count("QueryVectors") == 1


def test_one_refusal_among_many_queries_is_the_error(
    fake: FakeS3Vectors, indexes: S3VectorIndexes
) -> None:
    indexes.create(ref())
    fake.before = failing("AccessDeniedException")
    with pytest.raises(TrawlError, match="AccessDeniedException"):
        indexes.query(ref(), np.ones((50, 2), np.float32), 5)


def test_making_and_removing_twice_is_no_error(indexes: S3VectorIndexes) -> None:
    indexes.create(ref())
    indexes.create(ref())
    indexes.drop(ref())
    indexes.drop(ref())
    with pytest.raises(NotFoundError):
        indexes.query(ref(), np.ones((1, 2), np.float32), 5)


@pytest.mark.parametrize(
    ("metric", "dimension", "says"),
    [("dot", 8, "not by dot"), ("hamming", 64, "not by hamming"), ("cosine", 4097, "1 to 4096")],
)
def test_vectors_that_cannot_be_kept_are_named(
    metric: Metric, dimension: int, says: str, indexes: S3VectorIndexes
) -> None:
    fault = indexes.spec_fault(VectorSpec("v", dimension, metric))
    assert fault is not None
    assert says in fault
    assert indexes.spec_fault(VectorSpec("v", 4096, "euclidean")) is None


def test_entries_that_cannot_be_stored_are_named(indexes: S3VectorIndexes) -> None:
    assert indexes.entry_fault(ref(), entry("k", 1.0, 0.0, v0=["s" * 2000])) is None
    big = indexes.entry_fault(ref(), entry("k", 1.0, 0.0, v0=["s" * 2100]))
    assert big is not None
    assert "2048" in big
    assert "zeros" in (indexes.entry_fault(ref(), entry("k", 0.0, 0.0)) or "")
    assert indexes.entry_fault(ref("euclidean"), entry("k", 0.0, 0.0)) is None
    assert "key" in (indexes.entry_fault(ref(), entry("ß" * 600, 1.0, 0.0)) or "")
