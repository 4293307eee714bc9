"""The functions, filters, tests and string methods that templates may call: a closed list."""

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from core.errors import TemplateError
from core.templating.values import (
    Frame,
    Undefined,
    bounded,
    defined,
    is_number,
    items_of,
    kind,
    member,
    numbers_of,
    text_of,
)
from core.types import JsonValue

# Called with the frame, then the piped value (for filters and methods), then the arguments.
Callee = Callable[..., Any]


def _utc_text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _utc_now(_frame: Frame) -> str:
    return _utc_text(datetime.now(UTC))


def _time_ago(
    _frame: Frame,
    *,
    seconds: float = 0,
    minutes: float = 0,
    hours: float = 0,
    days: float = 0,
    weeks: float = 0,
) -> str:
    numbers_of([seconds, minutes, hours, days, weeks], "time_ago")
    age = timedelta(seconds=seconds, minutes=minutes, hours=hours, days=days, weeks=weeks)
    return _utc_text(datetime.now(UTC) - age)


def _range(frame: Frame, *bounds: int) -> list[int]:
    if not 1 <= len(bounds) <= 3 or not all(type(bound) is int for bound in bounds):
        raise TemplateError("range takes one to three integers")
    numbers = range(*bounds)
    # Each number weighs as a turn of a loop would.
    frame.step(min(_length(numbers), 1 << 40))
    return list(numbers)


def _length(numbers: range) -> int:
    # len() refuses ranges past the machine's word.
    span = (numbers.stop - numbers.start) // numbers.step
    return max(0, span + 1)


def _extreme(choose: Callable[[list[Any]], Any], name: str) -> Callee:
    def call(frame: Frame, *values: JsonValue) -> JsonValue:
        frame.read(*values)
        items = items_of(values[0], name) if len(values) == 1 else list(values)
        if not items:
            return Undefined(f"{name} of an empty list")
        if not all(isinstance(item, str) for item in items):
            numbers_of(items, name)
        return choose(items)

    return call


def _numeric(compute: Callable[[Any], Any], name: str) -> Callee:
    def call(_frame: Frame, value: JsonValue) -> JsonValue:
        return compute(numbers_of([value], name)[0])

    return call


def _round(_frame: Frame, value: JsonValue, digits: JsonValue = None) -> JsonValue:
    (number,) = numbers_of([value], "round")
    if digits is None:
        return round(number)
    if type(digits) is not int or abs(digits) > 100:
        raise TemplateError("round takes a number of digits within ±100")
    return round(number, digits)


FUNCTIONS: Final[Mapping[str, Callee]] = MappingProxyType(
    {
        "abs": _numeric(abs, "abs"),
        "ceil": _numeric(math.ceil, "ceil"),
        "floor": _numeric(math.floor, "floor"),
        "max": _extreme(max, "max"),
        "min": _extreme(min, "min"),
        "range": _range,
        "round": _round,
        "time_ago": _time_ago,
        "utc_now": _utc_now,
    }
)


def _end(index: int, name: str) -> Callee:
    def call(frame: Frame, value: JsonValue) -> JsonValue:
        value = defined(value)
        frame.read(value if isinstance(value, Mapping) else None)
        items = value if isinstance(value, str) else items_of(value, name)
        return items[index] if items else Undefined(f"{name} of an empty list")

    return call


def _map(
    frame: Frame,
    value: JsonValue,
    name: JsonValue = None,
    *arguments: JsonValue,
    attribute: JsonValue = None,
    **options: JsonValue,
) -> list[JsonValue]:
    items = items_of(value, "map")
    frame.step(len(items))
    frame.produce(len(items))
    if attribute is not None:
        fallback = options.pop("default", Undefined(f"{attribute} of an item"))
        found = [_attribute(item, attribute) for item in items]
        return [defined(fallback if isinstance(v, Undefined) else v) for v in found]
    call = FILTERS.get(name) if isinstance(name, str) else None
    if call is None:
        raise TemplateError(f"map takes attribute= or the name of a filter, not {name!r}")
    return [bounded(defined(call(frame, item, *arguments, **options))) for item in items]


def _attribute(item: JsonValue, attribute: JsonValue) -> JsonValue | Undefined:
    for key in str(attribute).split("."):
        item = member(item, int(key) if key.isdecimal() and len(key) < 9 else key, str(attribute))
    return item


def _join(
    frame: Frame, value: JsonValue, separator: JsonValue = "", attribute: JsonValue = None
) -> str:
    items = items_of(value, "join")
    frame.step(len(items))
    glue = text_of(separator, "join")
    if attribute is not None:
        items = [_attribute(item, attribute) for item in items]
    texts = [frame.to_text(item) for item in items]
    frame.produce(sum(map(len, texts)) + len(glue) * len(texts))
    return glue.join(texts)


def _count(_frame: Frame, value: JsonValue) -> int:
    value = defined(value)
    if not isinstance(value, str | list | Mapping):
        raise TemplateError(f"length takes a string, a list or an object, not {kind(value)}")
    return len(value)


def _default(
    _frame: Frame, value: JsonValue, fallback: JsonValue = "", falsy: JsonValue = False
) -> JsonValue:
    return fallback if isinstance(value, Undefined) or (falsy and not value) else value


def _slugify(frame: Frame, value: JsonValue) -> str:
    text = text_of(value, "slugify")
    frame.produce(len(text))
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


_TRUTH = {"true": True, "1": True, "yes": True, "on": True}
_FALSITY = {"false": False, "0": False, "no": False, "off": False, "": False, "null": False}


def _bool(frame: Frame, value: JsonValue) -> bool:
    value = defined(value)
    frame.read(value)
    if not isinstance(value, str):
        return bool(value)
    truth = (_TRUTH | _FALSITY).get(value.strip().lower())
    if truth is None:
        raise TemplateError("bool takes true, false, yes, no, on, off, 1 or 0 as a text")
    return truth


def _number(convert: Callable[[Any], Any], name: str) -> Callee:
    def call(frame: Frame, value: JsonValue, fallback: JsonValue = None) -> JsonValue:
        value = defined(value)
        frame.read(value)
        try:
            # Length first: reading very long digits takes quadratic time.
            if isinstance(value, str) and len(value) < 400:
                number = convert(float(value)) if name == "int" and "." in value else convert(value)
            else:
                number = convert(numbers_of([value], name)[0])
            if math.isfinite(number):
                return number
        except (ValueError, OverflowError, TemplateError):
            pass
        if fallback is None:
            raise TemplateError(f"{name} cannot read {kind(value)} as a number")
        return fallback

    return call


def _text_filter(change: Callable[[str], str], name: str) -> Callee:
    def call(frame: Frame, value: JsonValue) -> str:
        text = text_of(value, name)
        frame.produce(len(text))
        return change(text)

    return call


def _replace(frame: Frame, value: JsonValue, old: JsonValue, new: JsonValue) -> str:
    text, old, new = (text_of(part, "replace") for part in (value, old, new))
    if not old:
        raise TemplateError("replace takes a text to look for, not an empty one")
    frame.read(text)
    frame.produce(len(text) + text.count(old) * max(0, len(new) - len(old)))
    return text.replace(old, new)


def _split(frame: Frame, value: JsonValue, separator: JsonValue = None) -> list[str]:
    text = text_of(value, "split")
    frame.produce(len(text))
    if separator is None:
        return text.split()
    if not text_of(separator, "split"):
        raise TemplateError("split takes a separator, not an empty one")
    return text.split(separator)


def _truncate(frame: Frame, value: JsonValue, length: JsonValue = 255, end: JsonValue = "…") -> str:
    text, end = text_of(value, "truncate"), text_of(end, "truncate")
    if type(length) is not int or length < len(end):
        raise TemplateError("truncate takes a length that its ending fits in")
    frame.produce(min(len(text), length))
    return text if len(text) <= length else text[: length - len(end)] + end


def _list(frame: Frame, value: JsonValue) -> list[JsonValue]:
    value = defined(value)
    frame.produce(len(value) if isinstance(value, str | list | Mapping) else 1)
    return list(value) if isinstance(value, str) else list(items_of(value, "list"))


def _sort(frame: Frame, value: JsonValue, reverse: JsonValue = False) -> list[JsonValue]:
    items = items_of(value, "sort")
    frame.step(2 * len(items))
    if not all(isinstance(item, str) for item in items):
        numbers_of(items, "sort")
    return sorted(items, reverse=bool(reverse))


def _unique(frame: Frame, value: JsonValue) -> list[JsonValue]:
    items = items_of(value, "unique")
    frame.step(len(items))
    return list({frame.to_json(item): item for item in reversed(items)}.values())[::-1]


def _reverse(frame: Frame, value: JsonValue) -> JsonValue:
    value = defined(value)
    frame.produce(len(value) if isinstance(value, str | list) else 1)
    return value[::-1] if isinstance(value, str) else items_of(value, "reverse")[::-1]


def _sum(frame: Frame, value: JsonValue) -> JsonValue:
    items = items_of(value, "sum")
    frame.step(1 + len(items) // 16)
    return sum(numbers_of(items, "sum"))


def _items(frame: Frame, value: JsonValue) -> list[JsonValue]:
    value = defined(value)
    if not isinstance(value, Mapping):
        raise TemplateError(f"items takes an object, not {kind(value)}")
    frame.produce(2 * len(value))
    return [[key, item] for key, item in value.items()]


FILTERS: Final[Mapping[str, Callee]] = MappingProxyType(
    {
        "abs": FUNCTIONS["abs"],
        "bool": _bool,
        "capitalize": _text_filter(str.capitalize, "capitalize"),
        "ceil": FUNCTIONS["ceil"],
        "count": _count,
        "default": _default,
        "first": _end(0, "first"),
        "float": _number(float, "float"),
        "floor": FUNCTIONS["floor"],
        "int": _number(int, "int"),
        "items": _items,
        "join": _join,
        "last": _end(-1, "last"),
        "length": _count,
        "list": _list,
        "lower": _text_filter(str.lower, "lower"),
        "map": _map,
        "max": FUNCTIONS["max"],
        "min": FUNCTIONS["min"],
        "replace": _replace,
        "reverse": _reverse,
        "round": _round,
        "slugify": _slugify,
        "sort": _sort,
        "split": _split,
        "string": lambda frame, value: frame.to_text(value),
        "sum": _sum,
        "title": _text_filter(str.title, "title"),
        "tojson": lambda frame, value: frame.to_json(value),
        "trim": _text_filter(str.strip, "trim"),
        "truncate": _truncate,
        "unique": _unique,
        "upper": _text_filter(str.upper, "upper"),
    }
)


def _get(_frame: Frame, value: JsonValue, key: JsonValue, fallback: JsonValue = None) -> JsonValue:
    return value.get(key, fallback)


_TEXT_METHODS: Final[Mapping[str, Callee]] = {
    "capitalize": FILTERS["capitalize"],
    "endswith": lambda _frame, text, end: text.endswith(text_of(end, "endswith")),
    "lower": FILTERS["lower"],
    "replace": _replace,
    "split": _split,
    "startswith": lambda _frame, text, start: text.startswith(text_of(start, "startswith")),
    "strip": FILTERS["trim"],
    "title": FILTERS["title"],
    "upper": FILTERS["upper"],
}
_OBJECT_METHODS: Final[Mapping[str, Callee]] = {
    "get": _get,
    "items": _items,
    "keys": _list,
    "values": lambda frame, value: [pair[1] for pair in _items(frame, value)],
}


def method_of(value: JsonValue, name: str) -> Callee:
    """Return a method of a string or an object; raises `TemplateError` if there is none."""
    methods: Mapping[str, Callee] = {}
    if isinstance(value, str):
        methods = _TEXT_METHODS
    elif isinstance(value, Mapping):
        methods = _OBJECT_METHODS
    if name not in methods:
        offer = f"; there is: {', '.join(methods)}" if methods else ""
        raise TemplateError(f"{kind(value)} has no method {name!r}{offer}")
    return methods[name]


Test = Callable[[Any], bool]

TESTS: Final[Mapping[str, Test]] = MappingProxyType(
    {
        "boolean": lambda value: isinstance(value, bool),
        "defined": lambda value: not isinstance(value, Undefined),
        "even": lambda value: is_number(value) and value % 2 == 0,
        "false": lambda value: value is False,
        "float": lambda value: isinstance(value, float),
        "integer": lambda value: type(value) is int,
        "iterable": lambda value: isinstance(value, list | Mapping),
        "mapping": lambda value: isinstance(value, Mapping),
        "none": lambda value: value is None,
        "number": is_number,
        "odd": lambda value: is_number(value) and value % 2 == 1,
        "sequence": lambda value: isinstance(value, list),
        "string": lambda value: isinstance(value, str),
        "true": lambda value: value is True,
        "undefined": lambda value: isinstance(value, Undefined),
    }
)
