"""JSON as stored bytes: what is written reads back equal, or is refused by name."""

import math

import orjson

from core.errors import InvalidRequestError
from core.types import JsonValue

# Left to itself orjson would write dates and dataclasses as text that reads back as strings.
_STRICT = (
    orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def dump_json(value: JsonValue, *, what: str) -> bytes:
    """Return `value` as compact UTF-8 JSON; `what` names it in the error.

    Raises `InvalidRequestError` for what JSON cannot hold: NaN and infinity, integers beyond 64
    bits, lone surrogates, other types, nesting past 250 levels.
    """
    try:
        data = orjson.dumps(value, option=_STRICT)
    except orjson.JSONEncodeError as error:
        raise InvalidRequestError(f"{what} cannot be stored as JSON: {error}") from error
    # orjson writes NaN as null without a word; only a text with a null can hide one.
    if b"null" in data and _holds_non_finite(value):
        raise InvalidRequestError(f"{what} cannot be stored as JSON: NaN or infinity")
    return data


def _holds_non_finite(value: JsonValue) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(_holds_non_finite, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_holds_non_finite, value))
    return False
