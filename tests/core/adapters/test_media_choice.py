"""Who reads a file, on a deployment with functions of their own for extras."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.adapters.blobs_directory import DirectoryBlobStores
from core.adapters.fetch_rules import FetchRules
from core.adapters.media_choice import choose_extractors
from core.adapters.media_lambda import LambdaMediaExtractor
from core.deadline import Deadline
from core.errors import InvalidRequestError, MissingExtraError
from core.media.rules import ExtractorRules
from core.ports.media import Extraction, MediaExtractor
from handlers import media
from tests.core.adapters.test_media_lambda import payload
from tests.core.media.onnx_file import mean_colour_model
from tests.core.media.pictures import encode

COLOURS = {"model": "colours", "dimension": 3, "input_size": 32}
ORANGE = encode(Image.new("RGB", (60, 40), (255, 128, 0)), "PNG")


class Named:
    """Lambda's client: tells which function was called, and answers as that would."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def invoke(self, *, FunctionName: str, InvocationType: str, Payload: bytes) -> Any:
        """As boto3's."""
        event = json.loads(Payload)
        self.calls.append((FunctionName, event["extractor"]))
        if event["extractor"] != "image.onnx@v1":
            missing = {"code": MissingExtraError.code, "message": "not in this test"}
            return {"Payload": payload({"error": missing})}
        return {"Payload": payload(media.handler(event, None))}


@pytest.fixture
def client() -> Named:
    return Named()


@pytest.fixture
def extractor(tmp_path: Path, client: Named) -> Any:
    stores = DirectoryBlobStores(tmp_path, signing_key=b"k" * 32, base_url="http://127.0.0.1:1")

    def function(name: str) -> MediaExtractor:
        return LambdaMediaExtractor(name, stores.bucket("results"), client=client)

    made = choose_extractors(
        ExtractorRules(
            decodes_here=False, deployed_extras=("logo", "onnx"), onnx_models=("colours",)
        ),
        FetchRules(max_bytes=1, max_seconds=1),
        decoding=function("media"),
        deployed={"logo": lambda: function("media-logo"), "onnx": lambda: function("media-onnx")},
    )
    yield made
    made.close()


def run(extractor: MediaExtractor, name: str, **params: Any) -> Extraction:
    return extractor.extract(name, ORANGE, deadline=Deadline.after(60), params=params)


@pytest.mark.parametrize(
    ("name", "function"),
    [("image.pdq", "media"), ("video.vpdq", "media"), ("logo.sift", "media-logo")],
)
def test_each_extra_has_a_function_of_its_own(
    extractor: MediaExtractor, client: Named, name: str, function: str
) -> None:
    with pytest.raises(MissingExtraError, match="not in this test"):
        run(extractor, name)
    assert [called for called, _ in client.calls] == [function]


def test_an_extra_that_is_not_deployed_any_more_is_refused_by_its_settings_name(
    extractor: MediaExtractor, client: Named
) -> None:
    with pytest.raises(MissingExtraError, match="face in context media_extras"):
        run(extractor, "face.dlib")
    assert client.calls == []


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model as it lies in the function's zip, and the variable that names it."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "colours.onnx").write_bytes(mean_colour_model())
    monkeypatch.setattr(media, "_ZIP", tmp_path)
    monkeypatch.setenv("TRAWL_ONNX_MODELS", "colours=models/colours.onnx")
    media._model_files.cache_clear()


@pytest.mark.usefixtures("model")
def test_a_model_is_named_and_its_file_found_where_it_lies(extractor: MediaExtractor) -> None:
    pytest.importorskip("onnxruntime", reason="the extra [onnx] is not installed")
    plain = {**COLOURS, "mean": [0, 0, 0], "std": [1, 1, 1]}
    (chunk,) = run(extractor, "image.onnx", **plain).chunks
    wanted = np.array([255, 128, 0]) / np.linalg.norm([255, 128, 0])
    np.testing.assert_allclose(chunk.vector, wanted, atol=1e-3)


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("name", ["/etc/passwd", "models/colours.onnx", "other", None, 7])
def test_an_event_names_no_file(name: Any) -> None:
    event = {
        "extractor": "image.onnx",
        "data_base64": base64.b64encode(ORANGE).decode(),
        "params": {**COLOURS, "model": name},
    }
    error = media.handler(event, None)["error"]
    assert (error["code"], error["blame"]) == (InvalidRequestError.code, "caller")
