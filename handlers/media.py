"""Untrusted media in, features out: the Lambda entry of a function with no data permissions."""

import base64
import binascii
from typing import Any

from core.errors import InvalidRequestError, MediaError, TrawlError, describe_error
from core.media.extraction import extract
from core.media.wire import pack_extraction

_ACCEPTED: dict[str, tuple[type, ...]] = {
    "extractor": (str,),
    "data_base64": (str,),
    "params": (dict, type(None)),
    "max_chunks": (int, type(None)),
    "as_query": (bool,),
    "declared_type": (str, type(None)),
}


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer `{extractor, data_base64, …}` with `{extraction, vectors_base64}` or `{error}`.

    `error` is the per-query error object. It is answered, not raised: a bad file is no failure
    of the function, and must not be retried by whoever invokes it.
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
    missing = sorted({"extractor", "data_base64"} - set(event))
    # By class: true is no number.
    wrong = [
        name for name in _ACCEPTED if name in event and type(event[name]) not in _ACCEPTED[name]
    ]
    if unknown or missing or wrong:
        raise InvalidRequestError(
            f"missing: {missing}; unknown: {unknown}; of a wrong type: {wrong};"
            f" accepted: {sorted(_ACCEPTED)}"
        )
    try:
        data = base64.b64decode(event["data_base64"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequestError("data_base64 is not base64") from error
    request = {name: value for name, value in event.items() if name != "data_base64"}
    return {"data": data, **request}
