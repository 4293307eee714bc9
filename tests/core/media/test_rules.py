"""What a collection may say of its extractor, and what the operator must have said before."""

from dataclasses import replace
from typing import Any

import pytest

from core.errors import InvalidRequestError, MissingExtraError
from core.media.extractors import EXTRACTORS, IMAGE_PDQ, find_extractor
from core.media.parameters import with_defaults
from core.media.rules import ExtractorRules

ENDPOINT = {"url": "https://embed.example.com/v1", "dimension": 512}
KEY = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:embedder-AbCdEf"
RULES = ExtractorRules(
    bedrock_models=("amazon.titan-embed-image-v1", "cohere.embed-english-v3", "cohere.embed-v4:0"),
    sagemaker_endpoints=("clip",),
    secrets=(("embed.example.com", KEY), ("embed.example.com", "env:EMBED_KEY")),
)


@pytest.mark.parametrize(
    ("name", "parameters", "dimension"),
    [
        ("bedrock.titan-multimodal", {}, 1024),
        ("bedrock.titan-multimodal", {"dimension": 256}, 256),
        ("bedrock.cohere", {"dimension": 1536}, 1536),
        ("bedrock.cohere", {"model": "cohere.embed-english-v3"}, 1024),
        ("sagemaker.endpoint", {"endpoint": "clip", "dimension": 768}, 768),
        ("https.embedder", ENDPOINT, 512),
        ("https.embedder", {**ENDPOINT, "secret": KEY, "secret_header": "X-Key"}, 512),
        ("https.embedder", {**ENDPOINT, "secret": "env:EMBED_KEY"}, 512),
        ("https.embedder", {**ENDPOINT, "url": "https://EMBED.example.com:8443/"}, 512),
        ("image.pdq", {}, 256),
    ],
)
def test_the_dimension_is_the_parameters(
    name: str, parameters: dict[str, Any], dimension: int
) -> None:
    info = RULES.check(find_extractor(name), parameters)
    assert info.vector.dimension == dimension
    assert info.vector.metric == ("hamming" if name == "image.pdq" else "cosine")


@pytest.mark.parametrize(
    ("name", "parameters", "path"),
    [
        ("image.pdq", {"size": 1}, "size"),
        ("bedrock.titan-multimodal", {"dimension": 512}, "dimension"),
        ("bedrock.titan-multimodal", {"dimension": 1024.0}, "dimension"),
        ("bedrock.titan-multimodal", {"dimension": True}, "dimension"),
        ("bedrock.titan-multimodal", {"dimension": None}, "dimension"),
        ("bedrock.titan-multimodal", {"model": "amazon.titan-embed-image-v2"}, "model"),
        ("bedrock.titan-multimodal", {"metric": "dot"}, "metric"),
        ("bedrock.cohere", {"model": "cohere.embed-english-v3", "dimension": 256}, "dimension"),
        ("sagemaker.endpoint", {"endpoint": "other", "dimension": 3}, "endpoint"),
        ("sagemaker.endpoint", {"endpoint": "clip"}, "dimension"),
        ("https.embedder", {"url": ENDPOINT["url"]}, "dimension"),
        ("https.embedder", {"dimension": 3}, "url"),
        ("https.embedder", {**ENDPOINT, "dimension": 0}, "dimension"),
        ("https.embedder", {**ENDPOINT, "url": "http://embed.example.com/"}, "url"),
        ("https.embedder", {**ENDPOINT, "url": "https://user:pass@embed.example.com/"}, "url"),
        ("https.embedder", {**ENDPOINT, "url": "https://"}, "url"),
        ("https.embedder", {**ENDPOINT, "url": "https://[::1"}, "url"),
        ("https.embedder", {**ENDPOINT, "url": "https://a.b/\r\nX: y"}, "url"),
        ("https.embedder", {**ENDPOINT, "url": "file:///etc/passwd"}, "url"),
        ("https.embedder", {**ENDPOINT, "secret": "hush-hush-3141"}, "secret"),
        ("https.embedder", {**ENDPOINT, "secret": "env:AWS_SECRET_ACCESS_KEY"}, "secret"),
        ("https.embedder", {**ENDPOINT, "secret": f"{KEY}-other"}, "secret"),
        ("https.embedder", {"url": "https://evil.test", "dimension": 3, "secret": KEY}, "secret"),
        ("https.embedder", {**ENDPOINT, "secret_header": "X: y\r\nZ"}, "secret_header"),
        ("https.embedder", {**ENDPOINT, "batch": 65}, "batch"),
    ],
)
def test_what_is_wrong_is_named(name: str, parameters: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        RULES.check(find_extractor(name), parameters, "feature_extractor.parameters")
    paths = [problem.path for problem in caught.value.problems]
    assert paths == [f"feature_extractor.parameters.{path}"]


def test_a_secret_given_by_mistake_is_not_repeated() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        RULES.check(find_extractor("https.embedder"), {**ENDPOINT, "secret": "hush-hush-3141"})
    shown = caught.value.message + "".join(p.message for p in caught.value.problems)
    assert "hush" not in shown and "env:NAME" in shown


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        RULES.check(find_extractor("https.embedder"), {"url": 1, "batch": 0, "colour": "red"})
    assert {p.path.partition(".")[2] for p in caught.value.problems} == {
        *("url", "dimension", "batch", "colour")
    }


def test_nothing_is_offered_that_nobody_set_up() -> None:
    rules = ExtractorRules()
    for info in EXTRACTORS:
        if info.family in ("bedrock", "sagemaker"):
            assert "TRAWL_" in (rules.missing(info) or "")
            assert "TRAWL_" not in (RULES.missing(info) or "")
    with pytest.raises(MissingExtraError, match="TRAWL_BEDROCK_MODELS"):
        rules.check(find_extractor("bedrock.titan-multimodal"), {})
    assert rules.missing(find_extractor("https.embedder")) is None


def test_a_missing_library_is_an_error_that_names_the_extra() -> None:
    info = replace(IMAGE_PDQ, extra="logo", modules=("no_such_module",))
    with pytest.raises(MissingExtraError, match=r"trawl-retriever\[logo\]"):
        ExtractorRules().check(info, {})
    there = replace(info, modules=("json",))
    assert ExtractorRules().missing(there) is None


def test_a_deployment_offers_the_extras_that_it_was_made_with() -> None:
    """What is installed where the API runs says nothing of that."""
    logo = replace(IMAGE_PDQ, extra="logo", modules=("json",))
    onnx = find_extractor("image.onnx")
    none = ExtractorRules(decodes_here=False)
    assert "logo in context media_extras" in (none.missing(logo) or "")
    assert none.missing(IMAGE_PDQ) is None
    some = replace(none, deployed_extras=("logo", "onnx"))
    assert some.missing(replace(logo, modules=("no_such_module",))) is None
    assert "context onnx_models" in (some.missing(onnx) or "")
    assert replace(some, onnx_models=("sscd",)).missing(onnx) is None


def test_defaults_stand_for_what_is_not_given() -> None:
    values = with_defaults(find_extractor("https.embedder").parameters, ENDPOINT)
    assert values["secret"] is None and values["secret_header"] == "Authorization"
    assert values["batch"] == 16
