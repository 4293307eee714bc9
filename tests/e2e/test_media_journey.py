"""Images through HTTP: references stored by their content, copies found by theirs, in one batch."""

import pytest

from tests.copies import encode, make_collection, make_retriever, picture
from tests.servers import Client, Server


@pytest.fixture(scope="module")
def images(server: Server) -> Client:
    """A collection of three pictures and a retriever of copies."""
    client = server.new_namespace()
    make_collection(client, "references")
    documents = [{"document_id": f"p{i}", "content": encode(picture(i))} for i in range(3)]
    documents.append({"document_id": "torn", "content": encode(picture(9))[:-400]})
    path = f"/v1/namespaces/{client.namespace}/documents/upsert"
    answer = client.ok("POST", path, {"documents": documents, "collection_id": "references"})
    assert answer["document_ids"] == ["p0", "p1", "p2"]
    [failed] = answer["failed"]
    assert (failed["document_id"], failed["error"]["blame"]) == ("torn", "media")
    make_retriever(client, "references")
    return client


def test_copies_are_found_and_one_bad_file_fails_alone(images: Client) -> None:
    files = [
        encode(picture(1).resize((90, 90))),
        encode(picture(2), "JPEG", quality=40),
        encode(picture(0))[:-400],
        "https://169.254.169.254/latest/meta-data/",
        encode(picture(0)),
    ]
    queries = [{"inputs": {"file": file}} for file in files]
    answer = images.ok("POST", "/v1/retrievers/copies/execute/batch", {"queries": queries})
    tops = [[one["document_id"] for one in result["documents"]] for result in answer["results"]]
    assert tops == [["p1"], ["p2"], [], [], ["p0"]]
    for index in (2, 3):
        assert answer["results"][index]["error"]["blame"] == "media"
    assert answer["status"] == "partial"


def test_a_document_tells_of_its_file(images: Client) -> None:
    document = images.ok("GET", "/v1/collections/references/documents/p0")
    internal = document["_internal"]
    assert internal["mime_type"] == "image/png"
    assert internal["media"] == {"width": 256, "height": 256}
    assert "content" not in document
    found = images.ok("GET", "/v1/collections/references/documents/p0?return_vectors=true")
    assert len(bytes.fromhex(found["image_pdq_v2_hash"])) == 32
