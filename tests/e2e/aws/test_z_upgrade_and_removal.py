"""The last of the deployed service: upgraded under traffic, then removed. Sorted last by its name.

In the order of the file: the second test leaves nothing for others.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from tests.core.media.pictures import encode, landscape
from tests.e2e.aws.deployment import Deployment, make
from tests.e2e.aws.images import Images, as_uri, get


def test_a_deploy_over_the_live_stack_answers_no_call_wrongly(
    deployment: Deployment, images: Images
) -> None:
    file = as_uri(encode(landscape(1), "PNG"))
    body = {"queries": [{"inputs": {"file": file}}]}
    ended = threading.Event()
    answers: list[str] = []

    def use() -> None:
        while not ended.is_set():
            answer = images.client.post("/v1/retrievers/copies/execute/batch", body)
            # The emulator kills a function that is updated; AWS lets its calls end.
            if answer.status_code != 200 and "Worker process died" in answer.text:
                continue
            assert answer.status_code == 200, answer.text
            answers.append(answer.json()["results"][0]["documents"][0]["document_id"])

    with ThreadPoolExecutor(1) as pool:
        traffic = pool.submit(use)
        try:
            said = make(deployment.emulator, "deploy", "-c retain=false -c memory_mb=1769")
        finally:
            ended.set()
        traffic.result()
    assert answers
    assert set(answers) == {"p1"}
    assert deployment.outputs["ApiUrl"] in said
    # It has keys already: none is made beside them.
    assert "sk_" not in said
    functions = deployment.client("lambda").list_functions()["Functions"]
    assert 1769 in [function["MemorySize"] for function in functions]
    assert images.scan([file])["status"] == "completed"


def test_a_destroy_removes_all_of_it(deployment: Deployment) -> None:
    s3 = deployment.client("s3")
    names = [deployment.outputs[f"{kind}BucketName"] for kind in ("Assets", "Index", "Results")]
    # CloudFormation deletes no bucket that holds anything: emptying it is the owner's decision.
    for name in names:
        for found in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
            for one in found.get("Contents", ()):
                s3.delete_object(Bucket=name, Key=one["Key"])
    make(deployment.emulator, "destroy")
    assert get(f"{deployment.base_url}/v1/health")[0] in (403, 404)
    left = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    assert not left & set(names)
    with pytest.raises(ClientError, match="ResourceNotFound"):
        deployment.client("dynamodb").describe_table(TableName=deployment.outputs["TableName"])
    functions = deployment.client("lambda").list_functions()["Functions"]
    assert [f["FunctionName"] for f in functions if "trawl" in f["FunctionName"]] == []
