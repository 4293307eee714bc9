"""The media function: what it answers to good and to bad events; it raises on neither."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from core.media.extraction import extract
from core.media.extractors import IMAGE_PDQ
from core.media.wire import unpack_extraction
from handlers.media import handler
from tests.core.media.pictures import encode, landscape

FILE = encode(landscape(1), "JPEG", quality=90)
EVENT = {"extractor": "image.pdq", "data_base64": base64.b64encode(FILE).decode()}


def answer(event: dict[str, Any]) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(json.dumps(handler(event, None)))
    return read


def test_a_file_gives_its_features() -> None:
    got = answer({**EVENT, "as_query": True, "declared_type": "image/jpeg"})
    vectors = base64.b64decode(got["vectors_base64"])
    found = unpack_extraction(IMAGE_PDQ, got["extraction"], vectors)
    expected = extract("image.pdq", FILE, as_query=True)
    assert found.media == expected.media
    assert all(
        np.array_equal(a.vector, b.vector)
        for a, b in zip(found.chunks, expected.chunks, strict=True)
    )


@pytest.mark.parametrize(
    ("change", "blame"),
    [
        ({"data_base64": base64.b64encode(FILE[:500]).decode()}, "media"),
        ({"declared_type": "image/png"}, "media"),
        ({"data_base64": "no base64!"}, "caller"),
        ({"data_base64": 7}, "caller"),
        ({"extractor": "image.x"}, "caller"),
        ({"extractor": ["image.pdq"]}, "caller"),
        ({"max_chunks": "3"}, "caller"),
        ({"max_chunks": True}, "caller"),
        ({"params": "none"}, "caller"),
        ({"declared_type": 5}, "caller"),
        ({"as_query": "yes"}, "caller"),
        ({"presigned_url": "https://bucket.s3.amazonaws.com/key"}, "caller"),
    ],
)
def test_a_bad_event_is_answered_with_an_error(change: dict[str, Any], blame: str) -> None:
    error = answer({**EVENT, **change})["error"]
    assert error["blame"] == blame
    assert error["retryable"] is False


def test_a_url_that_is_not_s3s_is_not_opened() -> None:
    event = {"extractor": "image.pdq", "presigned_url": "https://169.254.169.254/"}
    assert "not an https:// address of S3" in answer(event)["error"]["message"]


def test_an_empty_event_names_what_is_missing() -> None:
    assert "data_base64" in answer({})["error"]["message"]
