"""The vector bucket, read off the template: there when asked for, and reached by name."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.settings import variable_of
from tests.infra.conftest import Resources, function_of, lint, of_type, synthesize, violations

BUCKET = "AWS::S3Vectors::VectorBucket"
HANDLERS = {
    "handlers.api.handler": {
        *("s3vectors:CreateIndex", "s3vectors:DeleteIndex", "s3vectors:PutVectors"),
        *("s3vectors:DeleteVectors", "s3vectors:GetVectors", "s3vectors:QueryVectors"),
    },
    "handlers.job.handler": {"s3vectors:GetVectors", "s3vectors:QueryVectors"},
    "handlers.ingest.handler": {"s3vectors:DeleteVectors", "s3vectors:PutVectors"},
    "handlers.upkeep.handler": {"s3vectors:DeleteVectors", "s3vectors:ListVectors"},
}


@pytest.fixture(scope="module")
def with_vectors_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template's path, with the flag on."""
    return synthesize(tmp_path_factory.mktemp("vectors"), s3vectors="true")


@pytest.fixture(scope="module")
def with_vectors(with_vectors_file: Path) -> Resources:
    """The resources, with the flag on."""
    found: Resources = json.loads(with_vectors_file.read_text())["Resources"]
    return found


def statements_of(resources: Resources, handler: str) -> list[dict[str, Any]]:
    """Return what the role of a handler's function may do on vectors."""
    role = function_of(resources, handler)["Role"]["Fn::GetAtt"][0]
    found = []
    for policy in of_type(resources, "AWS::IAM::Policy"):
        properties = policy["Properties"]
        if {"Ref": role} in properties["Roles"]:
            found += properties["PolicyDocument"]["Statement"]
    return [s for s in found if "s3vectors" in json.dumps(s["Action"])]


def test_there_is_no_vector_bucket_unless_asked_for(resources: Resources) -> None:
    assert all(resource["Type"] != BUCKET for resource in resources.values())
    assert variable_of("vector_bucket") not in json.dumps(resources)


def test_the_bucket_is_encrypted_and_kept(with_vectors: Resources) -> None:
    [bucket] = of_type(with_vectors, BUCKET)
    assert bucket["Properties"]["EncryptionConfiguration"] == {"SseType": "AES256"}
    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"


def test_the_command_line_is_told_of_the_bucket(
    with_vectors_file: Path, template: dict[str, Any]
) -> None:
    assert "VectorBucketName" in json.loads(with_vectors_file.read_text())["Outputs"]
    assert "VectorBucketName" not in template["Outputs"]


@pytest.mark.parametrize("handler", HANDLERS)
def test_each_function_may_do_what_it_does_and_on_our_indexes_alone(
    handler: str, with_vectors: Resources
) -> None:
    [name] = [name for name, one in with_vectors.items() if one["Type"] == BUCKET]
    [statement] = statements_of(with_vectors, handler)
    assert set(statement["Action"]) == HANDLERS[handler]
    arn = {"Fn::GetAtt": [name, "VectorBucketArn"]}
    assert statement["Resource"] == {"Fn::Join": ["", [arn, "/index/trawl-*"]]}


@pytest.mark.parametrize("handler", HANDLERS)
def test_each_function_knows_the_buckets_name(handler: str, with_vectors: Resources) -> None:
    [name] = [name for name, one in with_vectors.items() if one["Type"] == BUCKET]
    variables = function_of(with_vectors, handler)["Environment"]["Variables"]
    arn = {"Fn::GetAtt": [name, "VectorBucketArn"]}
    assert variables[variable_of("vector_bucket")] == {"Fn::Select": [1, {"Fn::Split": ["/", arn]}]}


def test_the_media_function_knows_nothing_of_it(with_vectors: Resources) -> None:
    assert statements_of(with_vectors, "handlers.media.handler") == []


def test_nothing_is_left_unexplained(with_vectors_file: Path) -> None:
    assert violations(with_vectors_file) == []
    assert lint(with_vectors_file) == ""
