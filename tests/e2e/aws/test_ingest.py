"""Files that are only uploaded: taken in, replaced, removed, given up on and tried again."""

import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from PIL import Image

from tests.copies import make_collection, make_retriever
from tests.core.media.pictures import encode, landscape
from tests.e2e.aws.deployment import Deployment, run_trawl
from tests.e2e.aws.images import as_uri, get
from tests.servers import Client

# Longer than anything here takes on a busy machine; nothing waits that long unless it fails.
PATIENCE_S = 60


def wait_until(what: str, check: Callable[[], Any]) -> Any:
    """Return what `check` gives once it is something."""
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        found = check()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"still not so after {PATIENCE_S} s: {what}")


@dataclass(frozen=True, slots=True)
class Uploads:
    """A collection that is filled by uploads alone, and a retriever of copies over it."""

    deployment: Deployment
    client: Client

    def put(self, path: str, data: bytes) -> None:
        """Upload a file, as any program does."""
        self.deployment.client("s3").put_object(**self._place(path), Body=data)

    def remove(self, path: str) -> None:
        """Remove a file."""
        self.deployment.client("s3").delete_object(**self._place(path))

    def _place(self, path: str) -> dict[str, str]:
        bucket = self.deployment.outputs["AssetsBucketName"]
        return {"Bucket": bucket, "Key": f"uploads/ingest/logos/{path}"}

    def documents(self) -> dict[str, Any]:
        """Return the collection's documents by their paths."""
        listed = self.client.ok("POST", "/v1/collections/logos/documents/list", {"page_size": 100})
        return {document["path"]: document for document in listed["results"]}

    def await_paths(self, *paths: str) -> dict[str, Any]:
        """Return the documents once they are these."""
        found: dict[str, Any] = wait_until(
            f"documents are {paths}", lambda: _if(self.documents(), lambda d: set(d) == set(paths))
        )
        return found

    def found_by(self, *pictures: Image.Image) -> list[str | None]:
        """Return the path that each picture finds, None for nothing near."""
        queries = [{"inputs": {"file": as_uri(encode(picture, "PNG"))}} for picture in pictures]
        path = "/v1/retrievers/copies/execute/batch"
        answer = self.client.ok("POST", path, {"queries": queries})
        assert answer["status"] == "completed", answer
        near = [
            [one["path"] for one in result["documents"] if one["score"] > 1 - 31 / 256]
            for result in answer["results"]
        ]
        return [paths[0] if paths else None for paths in near]


def _if(value: Any, holds: Callable[[Any], bool]) -> Any:
    return value if holds(value) else None


@pytest.fixture(scope="module")
def uploads(deployment: Deployment, admin: Client) -> Uploads:
    """The collection `logos` of a namespace of its own."""
    admin.ok("POST", "/v1/namespaces/standalone", {"namespace_id": "uploads"})
    client = admin.within("uploads")
    make_collection(client, "logos")
    make_retriever(client, "logos")
    return Uploads(deployment, client)


PATHS = ("a.jpg", "Fotos/späte Wünsche 1+1.jpg", "b/c.png")


def test_what_is_uploaded_is_searched_without_another_call(uploads: Uploads) -> None:
    for seed, path in enumerate(PATHS):
        kind = "PNG" if path.endswith("png") else "JPEG"
        uploads.put(path, encode(landscape(seed), kind))
    documents = uploads.await_paths(*PATHS)
    copies = [landscape(seed).resize((160, 120)) for seed in range(3)]
    assert uploads.found_by(*copies, landscape(7)) == [*PATHS, None]
    document = documents[PATHS[1]]
    assert document["filename"] == "späte Wünsche 1+1.jpg"
    read = uploads.client.ok(
        "GET",
        f"/v1/collections/logos/documents/{document['document_id']}?return_presigned_urls=true",
    )
    status, data = get(read["document_blobs"][0]["presigned_url"])
    assert status == 200
    assert len(data) == document["size_bytes"]


def test_an_overwritten_file_is_searched_as_it_is_now(uploads: Uploads) -> None:
    before = uploads.documents()["a.jpg"]["sha256"]
    uploads.put("a.jpg", encode(landscape(7), "JPEG"))
    wait_until("a.jpg is another", lambda: uploads.documents()["a.jpg"]["sha256"] != before)
    assert uploads.found_by(landscape(7), landscape(0)) == ["a.jpg", None]


def test_a_removed_file_is_found_no_more(uploads: Uploads) -> None:
    uploads.remove("b/c.png")
    uploads.await_paths(*PATHS[:2])
    assert uploads.found_by(landscape(2)) == [None]


def test_a_broken_file_is_given_up_on_alone_and_comes_in_once_it_is_mended(
    deployment: Deployment, uploads: Uploads
) -> None:
    whole = encode(landscape(10), "JPEG")
    uploads.put("torn.jpg", whole[:2000])
    for seed in (11, 12):
        uploads.put(f"{seed}.jpg", encode(landscape(seed), "JPEG"))
    uploads.await_paths(*PATHS[:2], "11.jpg", "12.jpg")
    wait_until("it was given up on", lambda: ingest(deployment, "status")["failed"])
    [failure] = ingest(deployment, "failures")
    assert failure["keys"] == ["uploads/ingest/logos/torn.jpg"]
    assert failure["code"] == "media_unreadable"
    assert "torn.jpg" in run_trawl(deployment, "ingest", "failures")
    # Looking takes nothing away, nor does a redrive of others.
    others = ingest(deployment, "redrive", "--key-prefix", "uploads/ingest/others/")
    assert others == {"moved": 0, "left": 1}
    assert mend(deployment, uploads, whole) == {"moved": 1, "left": 0}
    uploads.await_paths(*PATHS[:2], "11.jpg", "12.jpg", "torn.jpg")
    assert uploads.found_by(landscape(10)) == ["torn.jpg"]
    assert ingest(deployment, "status")["failed"] == 0


def ingest(deployment: Deployment, *words: str) -> Any:
    """Run `trawl ingest` and return what it says."""
    return json.loads(run_trawl(deployment, "ingest", *words, "--json"))


def mend(deployment: Deployment, uploads: Uploads, whole: bytes) -> Any:
    """Mend the file without an event, so that only the redrive can tell of it."""
    s3 = deployment.client("s3")
    bucket = deployment.outputs["AssetsBucketName"]
    told = s3.get_bucket_notification_configuration(Bucket=bucket)
    told.pop("ResponseMetadata")
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    uploads.put("torn.jpg", whole)
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=told)
    return ingest(deployment, "redrive")


def test_a_batch_whose_function_is_killed_comes_again(
    deployment: Deployment, uploads: Uploads
) -> None:
    queue = deployment.outputs["IngestQueueUrl"]
    sqs, functions = deployment.client("sqs"), deployment.client("lambda")
    name = function_of(deployment, "handlers.ingest.handler")
    [mapping] = functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]

    def last() -> str:
        said: str = functions.get_event_source_mapping(UUID=mapping["UUID"])["LastProcessingResult"]
        return said

    paths = set(uploads.documents())
    usual = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    hidden = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["VisibilityTimeout"])
    # What a killed function held comes again after this long, by default twelve minutes.
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "8"})

    def configure(timeout_s: int, **more: str) -> None:
        functions.update_function_configuration(
            FunctionName=name, Timeout=timeout_s, Environment={"Variables": {**usual, **more}}
        )

    try:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            # It asks an S3 that never answers, until it is killed.
            port = silent.getsockname()[1]
            configure(3, AWS_ENDPOINT_URL_S3=f"http://127.0.0.1:{port}")
            for seed in (20, 21):
                uploads.put(f"{seed}.jpg", encode(landscape(seed), "JPEG"))
            wait_until("the function was killed", lambda: last() == "FAILED")
        assert set(uploads.documents()) == paths
        configure(120)
        uploads.await_paths(*paths, "20.jpg", "21.jpg")
    finally:
        configure(120)
        sqs.set_queue_attributes(QueueUrl=queue, Attributes=hidden["Attributes"])
    assert uploads.found_by(landscape(20), landscape(21)) == ["20.jpg", "21.jpg"]


def function_of(deployment: Deployment, handler: str) -> str:
    """Return the name of the function that runs this handler."""
    functions = deployment.client("lambda").list_functions()["Functions"]
    [name] = [one["FunctionName"] for one in functions if one["Handler"] == handler]
    return str(name)


def test_upkeep_goes_round_with_its_own_rights(deployment: Deployment, uploads: Uploads) -> None:
    found = set(uploads.documents())
    answer = deployment.client("lambda").invoke(
        FunctionName=function_of(deployment, "handlers.upkeep.handler"), Payload=b"{}"
    )
    report = json.loads(answer["Payload"].read())
    assert (report["failed"], report["faults"], report["unreached"]) == (0, [], 0), report
    assert report["collections"] >= 2
    again = json.loads(run_trawl(deployment, "upkeep", "--json"))
    assert (again["failed"], again["merged"]) == (0, 0), again
    assert set(uploads.documents()) == found
