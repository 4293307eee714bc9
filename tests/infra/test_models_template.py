"""Embedding models elsewhere, read off the template: named ones alone, by those who embed."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.settings import Settings
from infra.settings import ContextError, InfraSettings
from tests.infra.conftest import Resources, function_of, of_type, synthesize, violations

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:embedder-AbCdEf"
PARAMETER = "arn:aws:ssm:us-east-1:123456789012:parameter/embedder/key"
CONTEXT = {
    "bedrock_models": "amazon.titan-embed-image-v1, us.cohere.embed-v4:0",
    "sagemaker_endpoints": "My-Clip",
    "embedder_secrets": f"embed.example.com={SECRET},other.example.com={PARAMETER}",
}
EMBEDDING = ("handlers.api.handler", "handlers.job.handler", "handlers.ingest.handler")
ACTIONS = {
    "bedrock:InvokeModel",
    "sagemaker:InvokeEndpoint",
    "secretsmanager:GetSecretValue",
    "ssm:GetParameter",
}


@pytest.fixture(scope="module")
def named_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template's path, with models named."""
    return synthesize(tmp_path_factory.mktemp("models"), **CONTEXT)


@pytest.fixture(scope="module")
def named(named_file: Path) -> Resources:
    """The resources, with models named."""
    found: Resources = json.loads(named_file.read_text())["Resources"]
    return found


def allowed(resources: Resources, handler: str) -> dict[str, Any]:
    """Return what the role of a handler's function may do with models, action -> resources."""
    role = function_of(resources, handler)["Role"]["Fn::GetAtt"][0]
    statements = [
        statement
        for policy in of_type(resources, "AWS::IAM::Policy")
        if {"Ref": role} in policy["Properties"]["Roles"]
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]
    return {s["Action"]: s["Resource"] for s in statements if s["Action"] in list(ACTIONS)}


def test_nobody_may_call_a_model_unless_one_is_named(resources: Resources) -> None:
    text = json.dumps(resources)
    assert not [action for action in ACTIONS if action in text]
    assert "TRAWL_BEDROCK_MODELS" not in text


@pytest.mark.parametrize("handler", EMBEDDING)
def test_who_embeds_may_call_the_named_ones(handler: str, named: Resources) -> None:
    found = allowed(named, handler)
    assert set(found) == ACTIONS
    models = json.dumps(found["bedrock:InvokeModel"])
    for end in (
        "::foundation-model/amazon.titan-embed-image-v1",
        ":inference-profile/us.cohere.embed-v4:0",
        ":bedrock:*::foundation-model/cohere.embed-v4:0",
    ):
        assert end in models
    assert ":endpoint/my-clip" in json.dumps(found["sagemaker:InvokeEndpoint"])
    assert found["secretsmanager:GetSecretValue"] == SECRET
    assert found["ssm:GetParameter"] == PARAMETER


@pytest.mark.parametrize("handler", EMBEDDING)
def test_the_functions_read_what_they_are_told(handler: str, named: Resources) -> None:
    variables = function_of(named, handler)["Environment"]["Variables"]
    told = {k: v for k, v in variables.items() if isinstance(v, str)}
    fixed = {name: "x" for name in variables if name not in told}
    settings = Settings.from_environment({**told, **fixed})
    assert settings.bedrock_models == ("amazon.titan-embed-image-v1", "us.cohere.embed-v4:0")
    assert settings.sagemaker_endpoints == ("My-Clip",)
    assert ("embed.example.com", SECRET) in settings.embedder_secrets


def test_who_decodes_and_who_sweeps_may_not(named: Resources) -> None:
    for handler in ("handlers.media.handler", "handlers.upkeep.handler"):
        assert allowed(named, handler) == {}


def test_cdk_nag_finds_nothing(named_file: Path) -> None:
    assert violations(named_file) == []


class Context:
    """A node's context."""

    def __init__(self, **given: str) -> None:
        self.given = given

    def try_get_context(self, key: str) -> Any:
        return self.given.get(key)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bedrock_models", "*"),
        ("bedrock_models", "amazon.titan-*"),
        ("sagemaker_endpoints", "clip/*"),
        ("embedder_secrets", SECRET),
        ("embedder_secrets", "embed.example.com=env:KEY"),
        ("embedder_secrets", f"embed.example.com={SECRET}*"),
        ("embedder_secrets", "embed.example.com=hush-hush"),
    ],
)
def test_wildcards_and_secrets_themselves_are_refused(name: str, value: str) -> None:
    with pytest.raises(ContextError, match=name):
        InfraSettings.from_context(Context(**{name: value}))
