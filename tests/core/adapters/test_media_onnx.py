"""image.onnx in its children: a real model file, a real picture; skipped without the extra."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.adapters.media_onnx import OnnxMediaExtractor
from core.deadline import Deadline
from core.errors import InvalidRequestError, MediaError, MissingExtraError, TrawlError
from core.media.extractors import IMAGE_ONNX
from core.media.rules import ExtractorRules
from core.models.base import parse_model
from core.models.collections import CollectionCreate
from core.ports.media import Extraction
from tests.core.media.onnx_file import mean_colour_model
from tests.core.media.pictures import encode
from tests.core.service import make_namespace, running_app

PARAMS = {"model": "colours", "dimension": 3, "input_size": 32, "mean": [0, 0, 0], "std": [1, 1, 1]}
ORANGE = encode(Image.new("RGB", (60, 40), (255, 128, 0)), "PNG")


def test_a_collection_names_a_model_of_the_operators() -> None:
    rules = ExtractorRules(onnx_models=("colours",), absent=frozenset({"onnxruntime"}))
    with pytest.raises(MissingExtraError, match=r"trawl-retriever\[onnx\]"):
        rules.check(IMAGE_ONNX, PARAMS)
    for wrong in (
        {**PARAMS, "model": "/etc/passwd"},
        {**PARAMS, "model": "other"},
        {**PARAMS, "std": [1, 0, 1]},
        {**PARAMS, "mean": "abc"},
        {**PARAMS, "input_size": 9000},
    ):
        with pytest.raises(InvalidRequestError):
            rules.check(IMAGE_ONNX, wrong)


class TestWithOnnxruntime:
    """What needs onnxruntime."""

    @pytest.fixture(autouse=True)
    def _onnxruntime(self) -> None:
        pytest.importorskip("onnxruntime", reason="the extra [onnx] is not installed")

    @pytest.fixture
    def model(self, tmp_path: Path) -> Path:
        path = tmp_path / "colours.onnx"
        path.write_bytes(mean_colour_model())
        return path

    @pytest.fixture
    def extractor(self, model: Path) -> Iterator[OnnxMediaExtractor]:
        made = OnnxMediaExtractor({"colours": str(model)})
        yield made
        made.close()

    def run(self, extractor: OnnxMediaExtractor, data: bytes, **changes: Any) -> Extraction:
        params = {**PARAMS, **changes}
        return extractor.extract("image.onnx", data, deadline=Deadline.after(60), params=params)

    def test_the_vector_is_the_models_at_length_one(self, extractor: OnnxMediaExtractor) -> None:
        found = self.run(extractor, ORANGE)
        (chunk,) = found.chunks
        wanted = np.array([255, 128, 0]) / np.linalg.norm([255, 128, 0])
        np.testing.assert_allclose(chunk.vector, wanted, atol=1e-3)
        assert (found.media.width, found.media.height) == (60, 40)
        moved = self.run(extractor, ORANGE, mean=[0.5, 0.5, 0.5], std=[0.5, 1, 1]).chunks[0]
        wanted = np.array([1.0, 0.00196, -0.5])
        np.testing.assert_allclose(moved.vector, wanted / np.linalg.norm(wanted), atol=1e-3)

    def test_what_goes_wrong_is_an_error_and_the_next_file_is_read(
        self, extractor: OnnxMediaExtractor
    ) -> None:
        with pytest.raises(TrawlError, match="3 numbers"):
            self.run(extractor, ORANGE, dimension=4)
        with pytest.raises(MediaError, match="direction"):
            self.run(extractor, encode(Image.new("RGB", (40, 40), "black"), "PNG"))
        with pytest.raises(MediaError):
            self.run(extractor, ORANGE[:60])
        with pytest.raises(InvalidRequestError):
            self.run(extractor, ORANGE, model="/etc/passwd")
        assert len(self.run(extractor, ORANGE).chunks) == 1

    def test_a_file_that_is_no_model_is_named_without_its_place(self, tmp_path: Path) -> None:
        path = tmp_path / "broken.onnx"
        path.write_bytes(b"no model")
        extractor = OnnxMediaExtractor({"colours": str(path)})
        with pytest.raises(TrawlError) as caught:
            self.run(extractor, ORANGE)
        extractor.close()
        assert str(tmp_path) not in caught.value.message

    def test_a_collection_is_made_by_its_name(self, tmp_path: Path, model: Path) -> None:
        with running_app(tmp_path / "data", onnx_models=(("colours", str(model)),)) as app:
            namespace = make_namespace(app)
            extractor = {"feature_extractor_name": "image.onnx", "parameters": PARAMS}
            body = {"collection_name": "by-colour", "feature_extractor": extractor}
            made = app.collections.create(
                namespace.namespace_id, parse_model(CollectionCreate, body)
            )
            specs = app.store.describe(namespace.namespace_id, made.collection_id).specs
            assert specs["image_onnx_v1_embedding"].dimension == 3
