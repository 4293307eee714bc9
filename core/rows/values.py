"""What stages read at a path: when a value is null, a number, an instant, equal to another."""

import json
import math
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from core.filtering.paths import MISSING, resolve
from core.types import JsonValue, ReadOnlyObject

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}.*)?", re.ASCII)
_EPOCH = datetime(1970, 1, 1)


def value_at(fields: ReadOnlyObject, path: str) -> JsonValue:
    """Return the value at a dot path; None if it is missing, null or NaN."""
    value = resolve(fields, path)
    return None if value is MISSING or is_null(value) else value


def is_null(value: JsonValue) -> bool:
    """Say whether a value is null, as which NaN counts: JSON has none, and it has no order."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def number_or_none(value: JsonValue) -> int | float | None:
    """Return a number as it is; None for anything else, booleans and NaN included."""
    if isinstance(value, bool) or not isinstance(value, int | float) or is_null(value):
        return None
    return value


def finite_or_none(value: JsonValue) -> float | None:
    """Return a number as a finite float, for arithmetic; None for anything else."""
    number = number_or_none(value)
    try:
        converted = math.nan if number is None else float(number)
    except OverflowError:  # an integer of more than 308 digits
        return None
    return converted if math.isfinite(converted) else None


def instant_or_none(value: JsonValue) -> timedelta | None:
    """Return the time since 1970 of an ISO 8601 date or datetime; without an offset it is UTC."""
    if not isinstance(value, str) or not _ISO_DATE.fullmatch(value):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    # A timedelta, as an aware datetime of year 1 or 9999 may not convert to UTC.
    return moment.replace(tzinfo=None) - _EPOCH - (moment.utcoffset() or timedelta())


def canonical(value: JsonValue, *, case_sensitive: bool = True) -> str:
    """Return JSON text that is equal for equal values: 1 is 1.0, true is not 1, NaN is null.

    The keys of objects are sorted. Without `case_sensitive`, strings are case-folded at any depth
    (the keys of objects are not).
    """
    normal = _normal(value, case_sensitive)
    return json.dumps(normal, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def text_of(value: JsonValue) -> str:
    """Return a string as it is, anything else as its canonical JSON."""
    return value if isinstance(value, str) else canonical(value)


def labels(values: Sequence[JsonValue]) -> list[str]:
    """Return a readable text for each of several distinct values, no two alike.

    Strings stand for themselves and the rest is JSON, unless two would be alike: then all is JSON.
    """
    texts = [text_of(value) for value in values]
    return texts if len(set(texts)) == len(texts) else [canonical(value) for value in values]


def _normal(value: Any, case_sensitive: bool) -> Any:
    if isinstance(value, str):
        return value if case_sensitive else value.casefold()
    if is_null(value):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, list | tuple):
        return [_normal(item, case_sensitive) for item in value]
    if isinstance(value, dict):
        return {key: _normal(item, case_sensitive) for key, item in value.items()}
    return value
