"""Pictures in a deployed service, and how anyone opens an address: shared by the files of tests."""

import base64
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from PIL import Image

from core.adapters.media_lambda import INLINE_BYTES
from tests.copies import make_collection, make_retriever
from tests.core.media.pictures import encode, landscape
from tests.e2e.aws.deployment import Deployment
from tests.servers import Client


def as_uri(data: bytes) -> str:
    return "data:;base64," + base64.b64encode(data).decode()


def get(url: str) -> tuple[int, bytes]:
    """Open a URL as anyone could: without credentials."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - the emulator's
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@dataclass(frozen=True, slots=True)
class Images:
    """A namespace with a collection of four pictures, and a file that no event could hold."""

    client: Client
    large_file: str

    def scan(self, files: list[str], **options: Any) -> Any:
        """Return the answer to one batch of files."""
        queries = [{"inputs": {"file": file}} for file in files]
        path = "/v1/retrievers/copies/execute/batch"
        return self.client.ok("POST", path, {"queries": queries, **options})


def store_images(deployment: Deployment, admin: Client) -> Images:
    """Make a collection of pictures that lie in the assets bucket, and a retriever of copies."""
    made = admin.ok("POST", "/v1/namespaces/standalone", {"namespace_id": "images"})
    prefix = made["namespace_id"]
    bucket = deployment.outputs["AssetsBucketName"]
    s3 = deployment.client("s3")
    documents = []
    for seed in range(4):
        key = f"{prefix}/p{seed}.jpg"
        s3.put_object(Bucket=bucket, Key=key, Body=encode(landscape(seed), "JPEG", quality=90))
        documents.append({"document_id": f"p{seed}", "content": f"s3://{bucket}/{key}"})
    # A copy of picture 2 that is too large for an event, as a bitmap is.
    large = encode(landscape(2).resize((1500, 1125), Image.Resampling.BICUBIC), "BMP")
    assert len(large) > INLINE_BYTES
    s3.put_object(Bucket=bucket, Key=f"{prefix}/large.bmp", Body=large)
    client = admin.within("images")
    make_collection(client, "references")
    path = "/v1/namespaces/images/documents/upsert"
    stored = client.ok("POST", path, {"documents": documents, "collection_id": "references"})
    assert stored["document_ids"] == ["p0", "p1", "p2", "p3"], stored
    make_retriever(client, "references")
    return Images(client, f"s3://{bucket}/{prefix}/large.bmp")
