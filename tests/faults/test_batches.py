"""A batch on AWS, some of whose files cannot be had: each query answers for itself."""

from collections.abc import Iterator

import pytest

from core.app import App, build_app
from core.deadline import NEVER
from core.errors import UnavailableError
from core.models.base import parse_model
from core.models.collections import CollectionCreate
from core.models.documents import UpsertRequest
from core.models.namespaces import Namespace
from core.settings import Settings
from core.types import JsonObject
from tests.aws_server import BUCKETS, AwsServer, Fault, Request
from tests.copies import FIND_COPIES, encode, picture
from tests.core.service import make_namespace, make_retriever, run_batch

ASSETS = BUCKETS[0]


@pytest.fixture
def app(aws: AwsServer) -> Iterator[App]:
    app = build_app(Settings.from_environment(aws.environment))
    yield app
    app.close()


@pytest.fixture
def place(app: App) -> Namespace:
    """A namespace with one picture and a retriever of its copies."""
    namespace = make_namespace(app)
    spec = {"collection_name": "refs", "feature_extractor": {"feature_extractor_name": "image.pdq"}}
    app.collections.create(namespace.namespace_id, parse_model(CollectionCreate, spec))
    body = {
        "documents": [{"document_id": "p0", "content": encode(picture(0))}],
        "collection_id": "refs",
    }
    app.documents.upsert(namespace, parse_model(UpsertRequest, body), deadline=NEVER)
    schema = {"file": {"type": "image", "required": True}}
    make_retriever(
        app,
        namespace,
        [FIND_COPIES],
        "copies",
        collection_identifiers=["refs"],
        input_schema=schema,
    )
    return namespace


def run(app: App, place: Namespace, *names: str, **settings: object) -> JsonObject:
    """Scan objects of the assets bucket; "" stands for a file that comes with the call."""
    prefix = f"s3://{ASSETS}/{place.namespace_id}"
    files = [f"{prefix}/{name}" if name else encode(picture(0)) for name in names]
    queries = [{"inputs": {"file": file}} for file in files]
    return run_batch(app, place, "copies", queries, settings=settings)


@pytest.mark.parametrize(
    "fault",
    [Fault(503, "SlowDown"), Fault(500, "InternalError"), Fault(cut=3), Fault(403, "AccessDenied")],
    ids=["slow down", "internal error", "reset", "denied"],
)
def test_a_file_that_s3_does_not_give_fails_its_own_query(
    app: App, aws: AwsServer, place: Namespace, fault: Fault
) -> None:
    def decide(request: Request) -> Fault | None:
        return fault if request.path.endswith("bad.png") else None

    aws.client("s3").put_object(
        Bucket=ASSETS, Key=f"{place.namespace_id}/bad.png", Body=b"never read"
    )
    aws.decide = decide
    answer = run(app, place, "", "bad.png", "")
    assert [one["status"] for one in answer["results"]] == ["completed", "failed", "completed"]
    assert answer["results"][1]["error"]["retryable"] is (fault.status != 403)
    for index in (0, 2):
        assert [d["document_id"] for d in answer["results"][index]["documents"]] == ["p0"]


def test_a_file_that_never_comes_times_out_alone(
    app: App, aws: AwsServer, place: Namespace
) -> None:
    run(app, place, "")  # decoders start once, and not in the time below

    def decide(request: Request) -> Fault | None:
        return Fault(hang=True) if request.path.endswith("stuck.png") else None

    aws.decide = decide
    answer = run(app, place, "stuck.png", "", deadline_ms=2500)
    assert [one["status"] for one in answer["results"]] == ["timed_out", "completed"]
    aws.ended.set()  # lets the thread that waits for it end


def test_a_throttled_table_refuses_the_batch_and_says_when_to_come_again(
    app: App, aws: AwsServer, place: Namespace
) -> None:
    aws.decide = lambda one: Fault(400, "ThrottlingException") if one.service != "s3" else None
    with pytest.raises(UnavailableError) as caught:
        run(app, place, "")
    assert caught.value.retry_after_seconds is not None
    aws.decide = lambda request: None
    assert run(app, place, "")["status"] == "completed"
