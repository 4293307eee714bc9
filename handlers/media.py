"""Untrusted media in, features out: the Lambda entry of a function with no data permissions."""

import base64
import binascii
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from core.errors import InvalidRequestError, MediaError, TrawlError, describe_error
from core.media.extraction import extract
from core.media.extractors import IMAGE_ONNX, find_extractor
from core.media.wire import pack_extraction
from core.settings import Settings
from handlers.presigned import read_presigned

_ACCEPTED: dict[str, tuple[type, ...]] = {
    "extractor": (str,),
    "data_base64": (str,),
    "presigned_url": (str,),
    "params": (dict, type(None)),
    "max_chunks": (int, type(None)),
    "as_query": (bool,),
    "declared_type": (str, type(None)),
}
# Where the bytes come from: exactly one of them is given.
_SOURCES: Final = frozenset({"data_base64", "presigned_url"})
# Where paths of model files begin: the zip lies unpacked around this file.
_ZIP: Final = Path(__file__).resolve().parents[1]


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer `{extractor, data_base64 | presigned_url, …}` with features or `{error}`.

    Features are `{extraction, vectors_base64}`. `error` is the per-query error object. It is
    answered, not raised: a bad file is no failure of the function, and must not be retried by
    whoever invokes it.
    """
    try:
        request = _read_request(event)
        header, vectors = pack_extraction(extract(**request))
    except MemoryError:
        too_large = MediaError("the file needs more memory than decoding may use")
        return {"error": describe_error(too_large)}
    except TrawlError as error:
        return {"error": describe_error(error)}
    return {"extraction": header, "vectors_base64": base64.b64encode(vectors).decode()}


def _read_request(event: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(event) - set(_ACCEPTED))
    missing = sorted({"extractor"} - set(event))
    sources = sorted(_SOURCES & set(event))
    # By class: true is no number.
    wrong = [
        name for name in _ACCEPTED if name in event and type(event[name]) not in _ACCEPTED[name]
    ]
    if unknown or missing or wrong or len(sources) != 1:
        raise InvalidRequestError(
            f"missing: {missing}; unknown: {unknown}; of a wrong type: {wrong};"
            f" sources: {sources}, want one of {sorted(_SOURCES)}; accepted: {sorted(_ACCEPTED)}"
        )
    rest = {name: value for name, value in event.items() if name not in _SOURCES}
    if find_extractor(event["extractor"]) is IMAGE_ONNX:
        rest["params"] = _with_model_file(event.get("params") or {})
    return {"data": _read_source(event), **rest}


def _with_model_file(params: dict[str, Any]) -> dict[str, Any]:
    """Name the file that stands for a model's name: no event names a file."""
    path = _model_files().get(str(params.get("model")))
    if path is None:
        raise InvalidRequestError(f"{IMAGE_ONNX.name} needs the name of a model of this function")
    return {**params, "model": path}


@lru_cache(maxsize=1)
def _model_files() -> dict[str, str]:
    models = Settings.from_environment(os.environ).onnx_models
    return {name: str(_ZIP / path) for name, path in models}


def _read_source(event: dict[str, Any]) -> bytes:
    if "presigned_url" in event:
        return read_presigned(event["presigned_url"])
    try:
        return base64.b64decode(event["data_base64"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequestError("data_base64 is not base64") from error
