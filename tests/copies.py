"""Pictures over HTTP, and a service set up to find copies of them: how many journeys begin."""

import base64
import io
from typing import Any, Protocol

import numpy as np
from PIL import Image

from core.types import JsonObject

FIND_COPIES: JsonObject = {
    "stage_name": "same",
    "config": {
        "stage_id": "feature_search",
        "parameters": {
            "searches": [
                {
                    "feature_uri": "mixpeek://image.pdq@v2/hash",
                    "query": {"input_mode": "content", "value": "{{INPUT.file}}"},
                    "top_k": 1,
                }
            ],
            "final_top_k": 1,
        },
    },
}


class Calls(Protocol):
    """Whoever makes calls to the API in a namespace."""

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON of a call that must succeed."""


def picture(seed: int) -> Image.Image:
    """Return a smooth random picture: PDQ wants structure, not noise."""
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return Image.fromarray(small).resize((256, 256), Image.Resampling.BICUBIC)


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> str:
    """Return an image as a data URI."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    text = base64.b64encode(buffer.getvalue()).decode()
    return f"data:image/{kind.lower()};base64,{text}"


def make_collection(client: Calls, name: str) -> None:
    """Make a collection of pictures."""
    extractor = {"feature_extractor_name": "image.pdq"}
    body = {"collection_name": name, "feature_extractor": extractor}
    client.ok("POST", "/v1/collections", body)


def make_retriever(client: Calls, collection: str, name: str = "copies", **more: Any) -> None:
    """Make a retriever that finds the copies of its input `file`."""
    retriever = {
        "retriever_name": name,
        "collection_identifiers": [collection],
        "stages": [FIND_COPIES],
        "input_schema": {"file": {"type": "image", "required": True}},
        **more,
    }
    client.ok("POST", "/v1/retrievers", retriever)
