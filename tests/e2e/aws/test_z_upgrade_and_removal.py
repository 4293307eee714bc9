"""The last of the deployed service: upgraded under traffic, then removed. Sorted last by its name.

In the order of the file: the second test leaves nothing for others.
"""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.core.media.pictures import encode, landscape
from tests.e2e.aws.deployment import STAGE, Deployment, make
from tests.e2e.aws.images import Images, as_uri, get

ORIGIN = "https://app.example"


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
            changed = f"-c retain=false -c memory_mb=1769 -c cors_origins={ORIGIN}"
            said = make(deployment.emulator, "deploy", changed)
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


def test_the_alias_names_the_new_version_alone(deployment: Deployment) -> None:
    client = deployment.client("lambda")
    functions = client.list_functions()["Functions"]
    [name] = [f["FunctionName"] for f in functions if f["Handler"] == "handlers.api.handler"]
    alias = client.get_alias(FunctionName=name, Name="live")
    versions = client.list_versions_by_function(FunctionName=name)["Versions"]
    numbered = {v["Version"]: v for v in versions if v["Version"] != "$LATEST"}
    # The one before is gone, and its snapshot with it.
    assert set(numbered) == {alias["FunctionVersion"]}
    [version] = numbered.values()
    assert version["MemorySize"] == 1769
    # Published with a snapshot, so the hooks of that have run.
    assert version["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}
    assert version["State"] == "Active"


def apply_cors_as_deployed(deployment: Deployment) -> None:
    """Set what the stack's template says of CORS by a call of the API's own.

    The emulator keeps it as CloudFormation spells it, and does not find it then.
    """
    stack = f"trawl-{STAGE}"
    template = deployment.client("cloudformation").get_template(StackName=stack)["TemplateBody"]
    parsed = template if isinstance(template, dict) else json.loads(template)
    [cors] = [
        resource["Properties"]["CorsConfiguration"]
        for resource in parsed["Resources"].values()
        if resource["Type"] == "AWS::ApiGatewayV2::Api"
    ]
    api = deployment.base_url.rpartition("/")[0].rpartition("/")[2]
    deployment.client("apigatewayv2").update_api(ApiId=api, CorsConfiguration=cors)


def test_pages_of_the_origin_that_was_named_may_call(deployment: Deployment) -> None:
    apply_cors_as_deployed(deployment)
    with httpx.Client(base_url=deployment.base_url, timeout=60) as http:
        for origin, allowed in ((ORIGIN, ORIGIN), ("https://evil.example", None)):
            headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            preflight = http.options("/v1/retrievers", headers=headers)
            assert preflight.headers.get("Access-Control-Allow-Origin") == allowed
            if allowed:
                named = preflight.headers["Access-Control-Allow-Headers"].lower().split(",")
                assert {"authorization", "x-namespace"} <= set(named)
        # Errors too: a page that may not read one cannot say what is wrong.
        for path, status in (("/v1/health", 200), ("/v1/nothing", 404), ("/v1/namespaces", 401)):
            answer = http.get(path, headers={"Origin": ORIGIN})
            assert answer.status_code == status
            assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


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
