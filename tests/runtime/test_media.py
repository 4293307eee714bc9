"""The media function under AWS's own runtime client: files that take its memory or its process."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from core.adapters.blobs_directory import DirectoryBlobStores
from core.adapters.media_lambda import LambdaMediaExtractor
from core.deadline import Deadline
from core.errors import MediaError
from tests.core.media.pictures import encode, landscape
from tests.runtime.emulator import Function
from tests.runtime.functions import DEADLY

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
MEMORY_MB = 400


class Invoked:
    """Lambda's client, as far as it is used, over an emulated function."""

    def __init__(self, function: Function) -> None:
        self._function = function

    def invoke(self, *, FunctionName: str, InvocationType: str, Payload: bytes) -> Any:
        """As boto3's."""
        answer = self._function.invoke(json.loads(Payload))
        told: dict[str, Any] = {"Payload": io.BytesIO(answer.payload)}
        return told if answer.error is None else {**told, "FunctionError": "Unhandled"}


@pytest.fixture(scope="module")
def function() -> Iterator[Function]:
    name = "tests.runtime.functions.media"
    with Function(name, ONE_THREAD, timeout_s=20, memory_mb=MEMORY_MB) as function:
        yield function


@pytest.fixture
def extractor(function: Function, tmp_path: Path) -> Iterator[LambdaMediaExtractor]:
    stores = DirectoryBlobStores(tmp_path, signing_key=b"k" * 32, base_url="http://127.0.0.1:1")
    extractor = LambdaMediaExtractor("media", stores.bucket("results"), client=Invoked(function))
    yield extractor
    extractor.close()


def read(extractor: LambdaMediaExtractor, data: bytes) -> int:
    deadline = Deadline.after(60)
    return len(extractor.extract("image.pdq", data, deadline=deadline, as_query=True).chunks)


WHOLE = encode(landscape(1), "JPEG")


def test_a_file_that_needs_more_memory_than_there_is_fails_alone(
    function: Function, extractor: LambdaMediaExtractor
) -> None:
    assert read(extractor, WHOLE) == 8
    pid = function.pid
    vast = encode(Image.new("RGB", (9_990, 9_990)), "PNG", compress_level=1)
    with pytest.raises(MediaError):
        read(extractor, vast)
    assert read(extractor, WHOLE) == 8
    assert function.pid == pid


def test_a_file_that_kills_the_process_fails_alone(
    function: Function, extractor: LambdaMediaExtractor
) -> None:
    assert read(extractor, WHOLE) == 8
    pid = function.pid
    with pytest.raises(MediaError, match="crashed"):
        read(extractor, DEADLY)
    assert read(extractor, WHOLE) == 8
    assert function.pid != pid
