"""The service on AWS, as its users meet it: deployed, used through API Gateway.

In the order of the file: each test finds what those before it have left. Upgrade and removal come
last, in a file of their own.
"""

import io
import json
import time
import warnings
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from PIL import Image

from core.adapters.blobs_s3 import S3BlobStores
from tests.core.media.pictures import encode, landscape
from tests.e2e.aws.deployment import Deployment, run_trawl
from tests.e2e.aws.emulator import ACCOUNT, REGION
from tests.e2e.aws.images import Images, as_uri, get
from tests.e2e.colors import VECTORS, make_retriever, store_colors
from tests.servers import Client

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the generated models shadow names of their base
    from mixpeek import Mixpeek
    from mixpeek._client.client import MixpeekAPIError


def test_a_deploy_ends_with_an_address_and_an_admin_key(deployment: Deployment) -> None:
    assert deployment.outputs["ApiUrl"] in deployment.said
    assert get(f"{deployment.base_url}/v1/health")[0] == 200


def test_the_api_is_closed_without_a_key(admin: Client) -> None:
    for key in (None, "sk_" + "0" * 16 + "_" + "x" * 43):
        assert admin.holding(key).get("/v1/namespaces/nobody").status_code == 401
    assert admin.get("/v1/namespaces/nobody").status_code == 404


def test_the_command_line_makes_keys_in_the_table_itself(
    deployment: Deployment, admin: Client
) -> None:
    key = run_trawl(deployment, "keys", "create", "second", "--admin").strip()
    listed = json.loads(run_trawl(deployment, "keys", "list", "--json"))
    assert sorted(one["name"] for one in listed) == ["owner", "second"]
    assert admin.holding(key).get("/v1/namespaces/nobody").status_code == 404


def test_the_official_sdk_makes_its_journey(deployment: Deployment) -> None:
    sdk: Any = Mixpeek(deployment.key, namespace="colors", base_url=f"{deployment.base_url}/v1")
    store_colors(sdk)
    collection = sdk.namespaces.get("colors").default_collection_id
    make_retriever(sdk, collection_identifiers=[collection])
    one = sdk.retrievers.execute("colors", inputs={"vector": VECTORS["red"]})
    assert one.documents[0].document_id == "red"
    batch = sdk.retrievers.execute_batch(
        "colors", queries=[{"vector": vector} for vector in VECTORS.values()]
    )
    assert batch.status == "completed"
    tops = [result.documents[0].document_id for result in batch.results]
    assert tops == list(VECTORS)
    with pytest.raises(MixpeekAPIError) as missing:
        sdk.retrievers.execute("nobody", inputs={})
    assert missing.value.status == 404


def test_a_batch_of_files_goes_through_the_media_function(images: Images) -> None:
    files = [
        as_uri(encode(landscape(1).resize((160, 120)), "PNG")),
        as_uri(encode(landscape(0), "JPEG", quality=40)),
        as_uri(encode(landscape(3), "JPEG")[:2000]),
        images.large_file,
        as_uri(encode(Image.new("RGB", (64, 64)), "PNG")),
        "https://169.254.169.254/latest/meta-data/",
    ]
    answer = images.scan(files)
    results = answer["results"]
    tops = [[one["document_id"] for one in result["documents"]] for result in results]
    assert tops == [["p1"], ["p0"], [], ["p2"], [], []], results[3]["error"]
    assert [result["status"] for result in results] == [
        *("completed", "completed", "failed", "completed", "completed", "failed")
    ]
    assert results[2]["error"]["code"] == "media_unreadable"
    assert "low_quality" in [reason["code"] for reason in results[4]["incomplete"]]
    assert results[5]["error"]["blame"] == "media"


def test_a_large_files_detour_leaves_nothing_behind(deployment: Deployment, images: Images) -> None:
    answer = images.scan([images.large_file])
    assert answer["status"] == "completed"
    s3 = deployment.client("s3")
    listed = s3.list_objects_v2(
        Bucket=deployment.outputs["ResultsBucketName"], Prefix="media-in-flight/"
    )
    assert listed["KeyCount"] == 0


def test_twenty_files_in_flight_are_all_answered(images: Images) -> None:
    files = [as_uri(encode(landscape(seed % 4), "PNG")) for seed in range(20)]
    answer = images.scan(files, concurrency=20, settings={"dedupe": False})
    assert answer["status"] == "completed"
    tops = [result["documents"][0]["document_id"] for result in answer["results"]]
    assert tops == [f"p{seed % 4}" for seed in range(20)]


@pytest.mark.parametrize("output", ["MediaFunctionName", "MediaLogoFunctionName"])
def test_media_functions_may_write_their_logs_and_touch_nothing(
    deployment: Deployment, output: str
) -> None:
    function = deployment.client("lambda").get_function_configuration(
        FunctionName=deployment.outputs[output]
    )
    iam = deployment.client("iam")

    def decisions(resource: str, *actions: str) -> set[str]:
        simulated = iam.simulate_principal_policy(
            PolicySourceArn=function["Role"], ActionNames=actions, ResourceArns=[resource]
        )
        return {one["EvalDecision"] for one in simulated["EvaluationResults"]}

    group = function["LoggingConfig"]["LogGroup"]
    logs = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:*"
    assert decisions(logs, "logs:PutLogEvents") == {"allowed"}
    objects = f"arn:aws:s3:::{deployment.outputs['AssetsBucketName']}/images/p0.jpg"
    assert decisions(objects, "s3:GetObject", "s3:PutObject") == {"implicitDeny"}
    table = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{deployment.outputs['TableName']}"
    assert decisions(table, "dynamodb:GetItem") == {"implicitDeny"}


def test_a_presigned_url_opens_one_object_and_only_as_signed(
    deployment: Deployment, images: Images
) -> None:
    answer = images.scan([as_uri(encode(landscape(0), "PNG"))], return_presigned_urls=True)
    [document] = answer["results"][0]["documents"]
    url = document["document_blobs"][0]["presigned_url"]
    status, data = get(url)
    assert status == 200
    assert Image.open(io.BytesIO(data)).size == (320, 240)
    parts = urlsplit(url)
    signature = parts.query.rpartition("=")[2]
    flipped = ("0" if signature[0] != "0" else "1") + signature[1:]
    tampered = {
        "another object": parts._replace(path=parts.path.replace("p0.jpg", "p1.jpg")),
        "a longer life": parts._replace(
            query=parts.query.replace("X-Amz-Expires=3", "X-Amz-Expires=6")
        ),
        "another signature": parts._replace(query=parts.query.replace(signature, flipped)),
        "no signature": parts._replace(query=""),
    }
    for name, changed in tampered.items():
        assert changed != parts, name
        assert get(urlunsplit(changed))[0] == 403, name


def test_an_expired_url_opens_nothing(deployment: Deployment, images: Images) -> None:
    bucket = deployment.outputs["AssetsBucketName"]
    key = deployment.client("s3").list_objects_v2(Bucket=bucket)["Contents"][0]["Key"]
    signed = S3BlobStores().bucket(bucket).presign(key, expires_s=2)
    assert get(signed.url)[0] == 200
    time.sleep(max(0.0, signed.expires_at - time.time()) + 1.5)
    status, body = get(signed.url)
    assert status == 403
    assert b"expired" in body
