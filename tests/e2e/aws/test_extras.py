"""An extra that is deployed: logos are loaded, found inside pictures, and where.

In the order of the file: each test finds what those before it have left.
"""

from typing import Any

import pytest

from tests.copies import make_retriever
from tests.core.media.logos import card, logo, photograph
from tests.core.media.pictures import encode, landscape
from tests.core.test_verified_pictures import STRIPPED, town
from tests.e2e.aws.deployment import Deployment
from tests.e2e.aws.images import as_uri
from tests.e2e.aws.test_ingest import wait_until
from tests.servers import Client

NAMESPACE = "brands"
# Where the logos lie that are uploaded instead of sent.
FOLDER = f"{NAMESPACE}/ingest/logos"
STAGE = {
    "stage_name": "seen",
    "config": {
        "stage_id": "feature_search",
        "parameters": {
            "searches": [
                {
                    "feature_uri": "mixpeek://logo.sift@v1/keypoints",
                    "query": {"input_mode": "content", "value": "{{INPUT.file}}"},
                    "top_k": 5,
                }
            ],
            "final_top_k": 5,
        },
    },
}


@pytest.fixture(scope="module")
def brands(deployment: Deployment, admin: Client) -> Client:
    """A namespace with three logos, two sent and one uploaded, and a retriever of them."""
    admin.ok("POST", "/v1/namespaces/standalone", {"namespace_id": NAMESPACE})
    client = admin.within(NAMESPACE)
    extractor = {"feature_extractor_name": "logo.sift"}
    body = {"collection_name": "logos", "feature_extractor": extractor}
    client.ok("POST", "/v1/collections", body)
    documents = [
        {"document_id": f"logo{seed}", "content": as_uri(encode(logo(seed), "PNG"))}
        for seed in (0, 1)
    ]
    path = f"/v1/namespaces/{NAMESPACE}/documents/upsert"
    client.ok("POST", path, {"documents": documents, "collection_id": "logos"})
    deployment.client("s3").put_object(
        Bucket=deployment.outputs["AssetsBucketName"],
        Key=f"{FOLDER}/third.png",
        Body=encode(logo(2), "PNG"),
    )
    retriever = {
        "retriever_name": "logos",
        "collection_identifiers": ["logos"],
        "stages": [STAGE],
        "input_schema": {"file": {"type": "image", "required": True}},
        # Eight places that agree are a match, six are for a person to look at.
        "verdict": {"block_at": 0.5, "review_at": 0.42},
    }
    client.ok("POST", "/v1/retrievers", retriever)
    return client


def test_logos_come_in_by_upload_too(brands: Client) -> None:
    def listed() -> Any:
        path = "/v1/collections/logos/documents/list"
        found = brands.ok("POST", path, {"page_size": 100})["results"]
        return len({d.get("root_object_id", d["document_id"]) for d in found}) >= 3

    wait_until("the uploaded logo is there", listed)


def test_a_scan_says_which_logo_is_in_a_picture_and_where(brands: Client) -> None:
    files = [
        as_uri(encode(photograph(0, 200, (500, 100)), "JPEG", quality=90)),
        as_uri(encode(card(1, 240, 20, (100, 250)), "PNG")),
        as_uri(encode(photograph(2, 220, (60, 320)), "JPEG", quality=90)),
        # A logo that nobody has loaded.
        as_uri(encode(photograph(7, 200, (300, 200)), "JPEG", quality=90)),
        as_uri(encode(landscape(3), "JPEG")[:2000]),
    ]
    answer = brands.ok("POST", "/v1/scans", {"files": files, "retrievers": ["logos"]})
    verdicts = [file["verdict"] for file in answer["files"]]
    assert verdicts == ["block", "block", "block", "clear", "unknown"], answer
    found = [file["retrievers"]["logos"]["documents"] for file in answer["files"][:3]]
    names = [d[0].get("filename") or d[0]["document_id"].partition("#")[0] for d in found]
    assert names == ["logo0", "logo1", "third.png"]
    # Where each was pasted; what agrees lies inside, and is most of it.
    pasted = ((500, 100, 200), (100, 250, 308), (60, 320, 220))
    for documents, (left, top, side) in zip(found, pasted, strict=True):
        box = documents[0]["query_box"]
        slack = 8
        assert left - slack <= box[0] < left + side / 2 < box[2] <= left + side + slack, box
        assert top - slack <= box[1] < top + side / 2 < box[3] <= top + side + slack, box
        assert documents[0]["inliers"] >= 8
    assert answer["files"][4]["retrievers"]["logos"]["error"]["code"] == "media_unreadable"


def test_copies_are_verified_by_places_in_that_function_too(brands: Client) -> None:
    """A strip of a tenth is missing at two edges: too much for the hashes alone."""
    extractor = {"feature_extractor_name": "image.pdq", "parameters": {"verify": True}}
    body = {"collection_name": "photos", "feature_extractor": extractor}
    brands.ok("POST", "/v1/collections", body)
    path = f"/v1/namespaces/{NAMESPACE}/documents/upsert"
    documents = [
        {"document_id": f"photo{seed}", "content": as_uri(encode(town(seed), "JPEG"))}
        for seed in (1, 2)
    ]
    brands.ok("POST", path, {"documents": documents, "collection_id": "photos"})
    make_retriever(brands, "photos", "photos")
    stripped = as_uri(encode(STRIPPED, "JPEG"))
    query = {"queries": [{"inputs": {"file": stripped}}]}
    answer = brands.ok("POST", "/v1/retrievers/photos/execute/batch", query)
    [result] = answer["results"]
    assert [one["document_id"] for one in result["documents"]] == ["photo2"], answer
    assert result["documents"][0]["inliers"] >= 8


def test_an_extra_that_is_not_deployed_is_refused_by_the_name_of_its_setting(
    brands: Client,
) -> None:
    for name, extra in (("face.dlib", "face"), ("image.onnx", "onnx")):
        parameters = {"model": "m", "dimension": 3, "input_size": 32} if extra == "onnx" else {}
        extractor = {"feature_extractor_name": name, "parameters": parameters}
        body = {"collection_name": extra, "feature_extractor": extractor}
        refused = brands.post("/v1/collections", body)
        assert refused.status_code >= 400
        assert f"{extra} in context media_extras" in refused.text
