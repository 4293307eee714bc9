"""The meaning of every filter operator, as pure functions of one stored value.

Both the filter of single documents and the row masks of a search call these, so there is one
meaning at two speeds. Where the published contract is silent:

- On an array a comparison holds if it does for any element; `ne` and `nin` if it does for none.
- A missing field satisfies `exists: false`, `is_null: true`, `ne` and `nin`, nothing else.
- Types are never coerced: 1 is neither true nor "1"; 1 and 1.0 are the same number.
- `gt gte lt lte` compare numbers with numbers and strings with strings. If the operand is an ISO
  date or datetime (`2024-05-01`, `2024-05-01T10:00:00Z`; UTC unless it says otherwise) only ISO
  values compare with it, by time; `eq` and `in` compare strings as written.
- `case_sensitive` defaults to false for operators that look into a text (contains, starts_with,
  ends_with, regex, text, phrase), and to true for `eq ne in nin`, which compare identifiers.
"""

import json
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, Literal

from core.filtering import geo
from core.filtering.paths import MISSING, Missing
from core.filtering.words import has_run, split_words, stems
from core.types import JsonValue

Predicate = Callable[[JsonValue | Missing], bool]
# How `case_sensitive` bears on an operator: its default, or None where case has no meaning.
CaseDefault = bool | None
MAX_PATTERN = 1_000
MAX_OPERANDS = 100_000
# Per compiled expression, bytes. RE2 answers in linear time within it and never more.
_REGEX_MEMORY = 1 << 20


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator: what is wrong with an operand (None if nothing), and its predicate."""

    problem: Callable[[JsonValue], str | None]
    build: Callable[[JsonValue, bool], Predicate]
    case_default: CaseDefault = None
    default_value: JsonValue | Missing = MISSING


def _is_number(value: JsonValue | Missing) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(a: JsonValue | Missing, b: JsonValue) -> bool:
    """Say whether two JSON values are equal and of one type, all the way down."""
    if isinstance(b, list):
        return isinstance(a, list) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(b, dict):
        return (
            isinstance(a, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in b)
        )
    if _is_number(b):
        return _is_number(a) and bool(a == b)
    return type(a) is type(b) and bool(a == b)


def fold(value: JsonValue | Missing) -> JsonValue | Missing:
    """Return `value` with its case folded if it is a string; anything else as it is."""
    return value.casefold() if isinstance(value, str) else value


def _any_node(test: Predicate) -> Predicate:
    """Lift a test to arrays: the value itself, or anything in it, nested lists included."""

    def holds(value: JsonValue | Missing) -> bool:
        if not isinstance(value, list):
            return test(value)
        pending = [value]
        while pending:
            node = pending.pop()
            if test(node):
                return True
            if isinstance(node, list):
                pending.extend(node)
        return False

    return holds


def _none_of(
    build: Callable[[JsonValue, bool], Predicate],
) -> Callable[[JsonValue, bool], Predicate]:
    def build_negated(operand: JsonValue, case_sensitive: bool) -> Predicate:
        holds = build(operand, case_sensitive)
        return lambda value: not holds(value)

    return build_negated


def _equal(operand: JsonValue, case_sensitive: bool) -> Predicate:
    if isinstance(operand, str | bool) and case_sensitive:
        # `same` for the commonest operands: columns ask this of every distinct value.
        kind = type(operand)
        return _any_node(lambda value: value.__class__ is kind and value == operand)
    if case_sensitive or not isinstance(operand, str):
        return _any_node(lambda value: same(value, operand))
    folded = operand.casefold()
    return _any_node(lambda value: isinstance(value, str) and value.casefold() == folded)


def _scalar_key(value: JsonValue | Missing) -> tuple[str, JsonValue]:
    # True == 1 in Python, and both hash alike: the kind keeps them apart.
    return ("number" if _is_number(value) else type(value).__name__, value)


def _member(operands: JsonValue, case_sensitive: bool) -> Predicate:
    items = operands if case_sensitive else [fold(item) for item in operands]
    compound = [item for item in items if isinstance(item, list | dict)]
    scalars = frozenset(_scalar_key(item) for item in items if not isinstance(item, list | dict))

    def test(value: JsonValue | Missing) -> bool:
        if isinstance(value, list | dict):
            return any(same(value, item) for item in compound)
        return _scalar_key(value if case_sensitive else fold(value)) in scalars

    return _any_node(test)


_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ][0-9]{2}:[0-9]{2}.*)?")


def read_time(value: JsonValue | Missing) -> datetime | None:
    """Return the moment of an ISO 8601 date or datetime in its extended form, else None."""
    if not isinstance(value, str) or not _ISO.fullmatch(value):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _ordered(
    compare: Callable[[JsonValue, JsonValue], bool],
) -> Callable[[JsonValue, bool], Predicate]:
    def build(operand: JsonValue, _case_sensitive: bool) -> Predicate:
        if _is_number(operand):
            return _any_node(lambda value: _is_number(value) and bool(compare(value, operand)))
        moment = read_time(operand)
        if moment is None:
            return _any_node(lambda value: isinstance(value, str) and bool(compare(value, operand)))

        def test(value: JsonValue | Missing) -> bool:
            stored = read_time(value)
            return stored is not None and bool(compare(stored, moment))

        return _any_node(test)

    return build


def _text(test: Callable[[str, str], bool]) -> Callable[[JsonValue, bool], Predicate]:
    def build(operand: JsonValue, case_sensitive: bool) -> Predicate:
        if case_sensitive:
            return _any_node(lambda value: isinstance(value, str) and test(value, operand))
        folded = operand.casefold()
        return _any_node(lambda value: isinstance(value, str) and test(value.casefold(), folded))

    return build


def _search_regex(pattern: str, case_sensitive: bool) -> Callable[[str], bool]:
    import re2  # here: only filters with expressions pay for it

    options = re2.Options()
    options.max_mem = _REGEX_MEMORY
    options.log_errors = False
    options.case_sensitive = case_sensitive
    # Bytes: with text, the binding maps every match position back to characters for nothing.
    search = re2.compile(pattern.encode(), options).search
    return lambda text: search(text.encode(errors="replace")) is not None


def _regex(operand: JsonValue, case_sensitive: bool) -> Predicate:
    search = _search_regex(operand, case_sensitive)
    return _any_node(lambda value: isinstance(value, str) and search(value))


def _phrase(operand: JsonValue, case_sensitive: bool) -> Predicate:
    run = split_words(operand if case_sensitive else operand.casefold())

    def test(value: JsonValue | Missing) -> bool:
        if not isinstance(value, str):
            return False
        return has_run(split_words(value if case_sensitive else value.casefold()), run)

    return _any_node(test)


def _words(operand: JsonValue, _case_sensitive: bool) -> Predicate:
    wanted = stems(operand)
    return _any_node(lambda value: isinstance(value, str) and wanted <= stems(value))


def _exists(operand: JsonValue, _case_sensitive: bool) -> Predicate:
    return lambda value: (value is not MISSING) is operand


def _is_null(operand: JsonValue, _case_sensitive: bool) -> Predicate:
    return lambda value: (value is MISSING or value is None) is operand


def _area(read: Callable[[JsonValue], geo.Contains | str]) -> Operator:
    def problem(operand: JsonValue) -> str | None:
        area = read(operand)
        return area if isinstance(area, str) else None

    def build(operand: JsonValue, _case_sensitive: bool) -> Predicate:
        area = read(operand)
        if isinstance(area, str):
            raise ValueError(area)
        return lambda value: any(area(point) for point in geo.stored_points(value))

    return Operator(problem, build)


def _any_value(_operand: JsonValue) -> str | None:
    return None


def _need_list(operand: JsonValue) -> str | None:
    if not isinstance(operand, list):
        return f"takes a list of values, not {_kind(operand)}"
    return None if len(operand) <= MAX_OPERANDS else f"takes at most {MAX_OPERANDS} values"


def _need_comparable(operand: JsonValue) -> str | None:
    if _is_number(operand) or isinstance(operand, str):
        return None
    return f"takes a number, a string or an ISO datetime, not {_kind(operand)}"


def _need_text(operand: JsonValue) -> str | None:
    return None if isinstance(operand, str) else f"takes a string, not {_kind(operand)}"


def _need_words(operand: JsonValue) -> str | None:
    if not isinstance(operand, str):
        return _need_text(operand)
    return None if split_words(operand) else "takes a string with at least one word"


def _need_flag(operand: JsonValue) -> str | None:
    return None if isinstance(operand, bool) else f"takes true or false, not {_kind(operand)}"


def _need_pattern(operand: JsonValue) -> str | None:
    if not isinstance(operand, str):
        return _need_text(operand)
    if len(operand) > MAX_PATTERN:
        return f"takes an expression of at most {MAX_PATTERN} characters"
    import re2

    try:
        _search_regex(operand, True)
    except UnicodeEncodeError:
        return "is not valid Unicode"
    except re2.error as error:
        reason = error.args[0] if error.args else "invalid"
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        return f"is not an RE2 expression: {text} (RE2 has no look-around or back-references)"
    return None


_KINDS: Final = MappingProxyType(
    {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
)


def _kind(value: JsonValue) -> str:
    return _KINDS.get(type(value), "a number")


OperatorName = Literal[
    "eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "contains", "starts_with", "ends_with",
    "regex", "exists", "is_null", "text", "phrase", "words", "geo_radius", "geo_bounding_box",
    "geo_polygon",
]  # fmt: skip  # one line per operator would say no more

OPERATORS: Final = MappingProxyType[str, Operator](
    {
        "eq": Operator(_any_value, _equal, case_default=True),
        "ne": Operator(_any_value, _none_of(_equal), case_default=True),
        "gt": Operator(_need_comparable, _ordered(operator.gt)),
        "gte": Operator(_need_comparable, _ordered(operator.ge)),
        "lt": Operator(_need_comparable, _ordered(operator.lt)),
        "lte": Operator(_need_comparable, _ordered(operator.le)),
        "in": Operator(_need_list, _member, case_default=True),
        "nin": Operator(_need_list, _none_of(_member), case_default=True),
        "contains": Operator(_need_text, _text(operator.contains), case_default=False),
        "starts_with": Operator(_need_text, _text(str.startswith), case_default=False),
        "ends_with": Operator(_need_text, _text(str.endswith), case_default=False),
        "regex": Operator(_need_pattern, _regex, case_default=False),
        "exists": Operator(_need_flag, _exists, default_value=True),
        "is_null": Operator(_need_flag, _is_null, default_value=True),
        # The typed models define `text` as a substring match; the guide's "full text" is `words`.
        "text": Operator(_need_text, _text(operator.contains), case_default=False),
        "phrase": Operator(_need_words, _phrase, case_default=False),
        "words": Operator(_need_words, _words),
        "geo_radius": _area(geo.circle),
        "geo_bounding_box": _area(geo.box),
        "geo_polygon": _area(geo.polygon),
    }
)


def canonical(value: JsonValue) -> str:
    """Return one text per JSON value, object keys sorted; 1, 1.0 and true stay different."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=True)
