"""Bedrock and SageMaker: what is asked, against botocore's own description of the services."""

import base64
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from core.adapters.embed_retries import Retries
from core.adapters.embed_transports import AwsTransports
from core.adapters.media_remote import RemoteMediaExtractor
from core.adapters.secret_references import Secrets
from core.deadline import Deadline
from core.errors import (
    InvalidRequestError,
    MediaError,
    MissingExtraError,
    TrawlError,
    UnavailableError,
)
from core.media.rules import ExtractorRules
from core.types import JsonObject
from tests.core.media.pictures import encode, landscape

TITAN = "amazon.titan-embed-image-v1"
NOVA = "amazon.nova-2-multimodal-embeddings-v1:0"
EMBED_3, EMBED_4 = "cohere.embed-multilingual-v3", "us.cohere.embed-v4:0"
RULES = ExtractorRules(
    bedrock_models=(TITAN, NOVA, EMBED_3, EMBED_4), sagemaker_endpoints=("my-clip",)
)
PNG = encode(landscape(1, 24, 24), "PNG")
GIF = encode(landscape(1, 24, 24), "GIF")
IN_64 = base64.b64encode(PNG).decode()


def client_of(service: str) -> Any:
    keys = dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), "none")
    return boto3.client(service, region_name="us-east-1", **keys)  # type: ignore[call-overload] # any service


@contextmanager
def stubbed(service: str = "bedrock-runtime") -> Iterator[tuple[RemoteMediaExtractor, Stubber]]:
    client = client_of(service)
    aws = AwsTransports(lambda name: {service: client}[name])
    transports = {"bedrock": aws.bedrock, "sagemaker": aws.sagemaker}
    tries = Retries(draw=lambda high: 0.0, sleep=lambda _: None)
    extractor = RemoteMediaExtractor(RULES, transports, retries=tries)
    with Stubber(client) as stubber:
        try:
            yield extractor, stubber
            stubber.assert_no_pending_responses()
        finally:
            extractor.close()


def answer(body: JsonObject, key: str = "body") -> JsonObject:
    raw = json.dumps(body).encode()
    return {key: StreamingBody(io.BytesIO(raw), len(raw)), "contentType": "application/json"}


class Body:
    """Equal to the bytes of that JSON: what is sent, not how it is spelt."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, bytes) and json.loads(other) == self.value

    __hash__ = None  # type: ignore[assignment] # never a key


def expected(model: str, body: JsonObject) -> JsonObject:
    both = dict.fromkeys(("accept", "contentType"), "application/json")
    return {"modelId": model, "body": Body(body), **both}


def embed(
    extractor: RemoteMediaExtractor, name: str, data: bytes, *, seconds: float = 20, **params: Any
) -> Any:
    declared = None if data in (PNG, GIF) else "text/plain"
    as_query = params.pop("as_query", False)
    found = extractor.extract(
        name,
        data,
        deadline=Deadline.after(seconds),
        params=params,
        declared_type=declared,
        as_query=as_query,
    )
    return found.chunks[0].vector


def numbers(count: int) -> list[float]:
    return [round(0.5 + n / count, 3) for n in range(count)]


@pytest.mark.parametrize(
    ("data", "given"), [(PNG, {"inputImage": IN_64}), (b"a red fox", {"inputText": "a red fox"})]
)
def test_titan(data: bytes, given: JsonObject) -> None:
    body = {**given, "embeddingConfig": {"outputEmbeddingLength": 256}}
    with stubbed() as (extractor, stubber):
        reply = answer({"embedding": numbers(256), "inputTextTokenCount": 3})
        stubber.add_response("invoke_model", reply, expected(TITAN, body))
        vector = embed(extractor, "bedrock.titan-multimodal", data, dimension=256)
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector, numbers(256), rtol=1e-6)


@pytest.mark.parametrize("as_query", [True, False])
@pytest.mark.parametrize(
    ("data", "given"),
    [
        (PNG, {"image": {"format": "png", "source": {"bytes": IN_64}}}),
        (b"a red fox", {"text": {"truncationMode": "NONE", "value": "a red fox"}}),
    ],
)
def test_nova(data: bytes, given: JsonObject, as_query: bool) -> None:
    purpose = "GENERIC_RETRIEVAL" if as_query else "GENERIC_INDEX"
    params = {"embeddingPurpose": purpose, "embeddingDimension": 384, **given}
    body = {"schemaVersion": "nova-multimodal-embed-v1", "taskType": "SINGLE_EMBEDDING"}
    with stubbed() as (extractor, stubber):
        reply = answer({"embeddings": [{"embeddingType": "IMAGE", "embedding": numbers(384)}]})
        wanted = expected(NOVA, {**body, "singleEmbeddingParams": params})
        stubber.add_response("invoke_model", reply, wanted)
        name = "bedrock.nova-multimodal"
        assert len(embed(extractor, name, data, dimension=384, as_query=as_query)) == 384


@pytest.mark.parametrize(
    ("model", "data", "as_query", "given"),
    [
        (EMBED_4, b"a fox", True, {"input_type": "search_query", "texts": ["a fox"]}),
        (EMBED_4, PNG, False, {"input_type": "search_document"}),
        (EMBED_3, b"a fox", False, {"input_type": "search_document", "texts": ["a fox"]}),
        (EMBED_3, PNG, True, {"input_type": "image"}),
    ],
)
def test_cohere(model: str, data: bytes, as_query: bool, given: JsonObject) -> None:
    body = {"embedding_types": ["float"], "truncate": "NONE", **given}
    if model == EMBED_4:
        body["output_dimension"] = 1024
    if data == PNG:
        body["images"] = [f"data:image/png;base64,{IN_64}"]
    by_type = {"response_type": "embeddings_by_type", "embeddings": {"float": [numbers(1024)]}}
    with stubbed() as (extractor, stubber):
        stubber.add_response("invoke_model", answer(by_type), expected(model, body))
        vector = embed(extractor, "bedrock.cohere", data, model=model, as_query=as_query)
    assert vector.shape == (1024,)


def test_sagemaker_takes_the_documented_contract() -> None:
    body = {
        "purpose": "document",
        "dimension": 3,
        "inputs": [{"type": "image", "content_type": "image/png", "base64": IN_64}],
    }
    wanted = {
        "EndpointName": "my-clip",
        "Body": Body(body),
        "ContentType": "application/json",
        "Accept": "application/json",
    }
    raw = json.dumps({"embeddings": [[1, 2, 3]]}).encode()
    with stubbed("sagemaker-runtime") as (extractor, stubber):
        reply = {"Body": StreamingBody(io.BytesIO(raw), len(raw))}
        stubber.add_response("invoke_endpoint", reply, wanted)
        vector = embed(extractor, "sagemaker.endpoint", PNG, endpoint="my-clip", dimension=3)
    assert vector.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "code",
    [
        "ThrottlingException",
        "ServiceUnavailableException",
        "ModelNotReadyException",
        "ModelTimeoutException",
        "InternalServerException",
    ],
)
def test_a_busy_model_is_asked_again(code: str) -> None:
    with stubbed() as (extractor, stubber):
        stubber.add_client_error("invoke_model", code, http_status_code=429)
        stubber.add_response("invoke_model", answer({"embedding": numbers(1024)}))
        assert embed(extractor, "bedrock.titan-multimodal", PNG).shape == (1024,)


def test_a_model_that_stays_busy_is_unavailable() -> None:
    with stubbed() as (extractor, stubber):
        for _ in range(6):
            stubber.add_client_error("invoke_model", "ThrottlingException", http_status_code=429)
        with pytest.raises(UnavailableError, match="ThrottlingException"):
            embed(extractor, "bedrock.titan-multimodal", PNG)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("ValidationException", MediaError),
        ("AccessDeniedException", TrawlError),
        ("ResourceNotFoundException", TrawlError),
    ],
)
def test_a_refusal_is_not_tried_again(code: str, error: type[TrawlError]) -> None:
    with stubbed() as (extractor, stubber):
        stubber.add_client_error("invoke_model", code, "said why", http_status_code=400)
        with pytest.raises(TrawlError) as caught:
            embed(extractor, "bedrock.titan-multimodal", PNG)
    assert type(caught.value) is error and not caught.value.retryable


def test_the_dimension_is_checked() -> None:
    with stubbed() as (extractor, stubber):
        stubber.add_response("invoke_model", answer({"embedding": numbers(384)}))
        with pytest.raises(TrawlError, match="384.*1024"):
            embed(extractor, "bedrock.titan-multimodal", PNG)


def test_a_type_or_a_length_that_no_model_takes_is_not_sent() -> None:
    with stubbed() as (extractor, _):
        with pytest.raises(MediaError, match="image/gif"):
            embed(extractor, "bedrock.titan-multimodal", GIF)
        with pytest.raises(MediaError, match="characters"):
            embed(extractor, "bedrock.titan-multimodal", b"word " * 1000)


def test_a_model_that_the_operator_does_not_name_is_not_called() -> None:
    refused = pytest.raises(InvalidRequestError, match="TRAWL_BEDROCK_MODELS")
    with stubbed() as (extractor, _), refused:
        embed(extractor, "bedrock.titan-multimodal", PNG, model="amazon.titan-other")
    with pytest.raises(MissingExtraError, match="TRAWL_BEDROCK_MODELS"):
        embed(RemoteMediaExtractor(ExtractorRules(), {}), "bedrock.cohere", PNG)


SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:embedder-AbCdEf"
PARAMETER = "arn:aws:ssm:us-east-1:123456789012:parameter/embedder/key"


def test_secrets_come_from_aws_and_are_kept_for_minutes() -> None:
    manager, store, now = client_of("secretsmanager"), client_of("ssm"), [0.0]
    found = Secrets(
        make=lambda name: {"secretsmanager": manager, "ssm": store}[name], clock=lambda: now[0]
    )
    with Stubber(manager) as first, Stubber(store) as second:
        first.add_response("get_secret_value", {"SecretString": "one\n"}, {"SecretId": SECRET})
        wanted = {"Name": PARAMETER, "WithDecryption": True}
        second.add_response("get_parameter", {"Parameter": {"Value": "two"}}, wanted)
        assert [found.get(SECRET), found.get(PARAMETER), found.get(SECRET)] == ["one", "two", "one"]
        now[0] = 301.0
        first.add_response("get_secret_value", {"SecretString": "new"}, {"SecretId": SECRET})
        assert found.get(SECRET) == "new"
        found.forget(SECRET)
        first.add_client_error("get_secret_value", "AccessDeniedException", "no")
        with pytest.raises(TrawlError, match="AccessDenied") as caught:
            found.get(SECRET)
        assert "new" not in str(caught.value)


@pytest.mark.parametrize("value", ["", "  ", "a\nb", "naïve"])
def test_a_secret_that_cannot_stand_in_a_header_is_refused(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_EMBEDDER_KEY", value)
    with pytest.raises(TrawlError, match="env:TEST_EMBEDDER_KEY"):
        Secrets().get("env:TEST_EMBEDDER_KEY")
