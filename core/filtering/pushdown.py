"""Filters that a vector index may apply by itself: coarser than ours, and never stricter.

An index knows a few fields of each document, declared with the collection, as tokens (`v`) and as
the least and greatest of their numbers and times. Tokens keep types apart, so what the index's own
rules say about mixed types and missing fields does not matter. Of a list its documentation says
one thing only, that `$eq` meets any of its elements: so documents of several tokens are marked
(`m`), and pass whatever else is asked. What passes is filtered again, exactly; what cannot be said
is left out.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

from core.filtering.nodes import And, Condition, Filter, Or
from core.filtering.paths import MISSING, Missing, resolve
from core.filtering.predicates import read_time
from core.types import JsonObject, JsonValue

# Longer lists of operands are not pushed: a filter's size is bounded, by how much is not said.
MAX_PUSHED_OPERANDS: Final = 100
_ABSENT, _COMPOUND, _NULL = "-", "o", "z"
_LONGEST_TOKEN: Final = 64
_HASHED: Final = "h"
# Times are compared as seconds in floating point, which is coarser than their text.
_TIME_SLACK_S: Final = 0.001
_NEGATED: Final = {"eq": "ne", "ne": "eq", "in": "nin", "nin": "in"}


def metadata_of(document: Mapping[str, Any], fields: Sequence[str]) -> JsonObject:
    """Return what the index is told of a document; field n is under the names `v{n}` (its token, or
    several), `m{n}` (whether there are several), `a{n}` and `b{n}` (least and greatest number),
    `s{n}` and `t{n}` (times, Unix seconds)."""
    metadata: JsonObject = {}
    for n, path in enumerate(fields):
        value = resolve(document, path)
        scalars = [] if value is MISSING else list(_scalars(value))
        tokens = list(dict.fromkeys(map(_token, scalars))) or [_empty_token(value)]
        metadata[f"v{n}"] = tokens if len(tokens) > 1 else tokens[0]
        if len(tokens) > 1:
            metadata[f"m{n}"] = True
        numbers = [v for v in scalars if isinstance(v, int | float) and not isinstance(v, bool)]
        if numbers:
            metadata[f"a{n}"] = min(map(_rounded_down, numbers))
            metadata[f"b{n}"] = max(map(_rounded_up, numbers))
        times = [moment.timestamp() for moment in map(read_time, scalars) if moment is not None]
        if times:
            metadata[f"s{n}"], metadata[f"t{n}"] = min(times), max(times)
    return metadata


def push_down(tree: Filter | None, fields: Sequence[str]) -> JsonObject | None:
    """Return a filter over `metadata_of` that everything passes which passes `tree`, None for one
    that everything passes."""
    if tree is None:
        return None
    if isinstance(tree, Condition):
        return _condition(tree.operator, tree, fields)
    if isinstance(tree, And):
        return _all_of([push_down(part, fields) for part in tree.parts])
    if isinstance(tree, Or):
        parts = [push_down(part, fields) for part in tree.parts]
        known = [part for part in parts if part is not None]
        if not known or len(known) < len(parts):
            return None
        return _any_of(known)
    return _all_of([_negated(part, fields) for part in tree.parts])


def _negated(part: Filter, fields: Sequence[str]) -> JsonObject | None:
    """Return a filter that everything passes which does not pass `part`.

    The opposite of a coarser filter would be a stricter one, so only conditions are turned whose
    opposite has a name of its own.
    """
    if not isinstance(part, Condition):
        return None
    if part.operator in _NEGATED:
        return _condition(_NEGATED[part.operator], part, fields)
    if part.operator in ("exists", "is_null") and part.field in fields:
        return _presence(part.operator, not part.value, fields.index(part.field))
    return None


def _all_of(parts: Sequence[JsonObject | None]) -> JsonObject | None:
    known = [part for part in parts if part is not None]
    if len(known) < 2:
        return known[0] if known else None
    return {"$and": known}


def _condition(operator: str, condition: Condition, fields: Sequence[str]) -> JsonObject | None:
    """Return a condition on the index's fields, with an operator that may be another's opposite."""
    if condition.field not in fields:
        return None
    n = fields.index(condition.field)
    if operator in ("exists", "is_null"):
        return _presence(operator, condition.value, n)
    if operator in ("gt", "gte", "lt", "lte"):
        return _range(operator, condition.value, n)
    return _membership(operator, condition, n) if operator in _NEGATED else None


def _membership(operator: str, condition: Condition, n: int) -> JsonObject | None:
    operands = condition.value if operator in ("in", "nin") else [condition.value]
    if not 0 < len(operands) <= MAX_PUSHED_OPERANDS or any(
        isinstance(operand, list | dict) for operand in operands
    ):
        return None
    tokens = list(dict.fromkeys(map(_token, operands)))
    if operator in ("eq", "in"):
        # Tokens keep case.
        if not condition.case_sensitive and any(isinstance(one, str) for one in operands):
            return None
        return _any_of({f"v{n}": {"$eq": token}} for token in tokens)
    # Two long texts may share a token: it may exclude neither.
    if any(token.startswith(_HASHED) for token in tokens):
        return None
    return _other_than({"$nin": tokens} if len(tokens) > 1 else {"$ne": tokens[0]}, n)


def _presence(operator: str, wanted: bool, n: int) -> JsonObject:
    if wanted is (operator == "exists"):
        return _other_than({"$ne": _ABSENT}, n)
    # [null] is not null, and has null's token.
    tokens = (_ABSENT,) if operator == "exists" else (_ABSENT, _NULL)
    return _any_of({f"v{n}": {"$eq": token}} for token in tokens)


def _any_of(parts: Iterable[JsonObject]) -> JsonObject:
    known = list(parts)
    return known[0] if len(known) == 1 else {"$or": known}


def _other_than(test: JsonObject, n: int) -> JsonObject:
    """Return a condition on a single token, which documents of several pass in any case."""
    return _any_of([{f"v{n}": test}, {f"m{n}": {"$eq": True}}])


def _range(operator: str, operand: JsonValue, n: int) -> JsonObject | None:
    """Return the bound that some element of an array keeps: its greatest or its least does."""
    above = operator in ("gt", "gte")
    if isinstance(operand, int | float) and not isinstance(operand, bool):
        if above:
            return {f"b{n}": {"$gte": _rounded_down(operand)}}
        return {f"a{n}": {"$lte": _rounded_up(operand)}}
    moment = read_time(operand)
    if moment is None:
        return None
    seconds = moment.timestamp()
    if above:
        return {f"t{n}": {"$gte": seconds - _TIME_SLACK_S}}
    return {f"s{n}": {"$lte": seconds + _TIME_SLACK_S}}


def _scalars(value: JsonValue) -> Iterator[JsonValue]:
    """Yield the value's scalars: itself, or those in a list, however deep."""
    pending = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(node)
        elif not isinstance(node, dict):
            yield node


def _empty_token(value: JsonValue | Missing) -> str:
    return _ABSENT if value is MISSING else _COMPOUND


def _token(value: JsonValue) -> str:
    """Return a text for a scalar: equal for equal values, and for no others unless it is long."""
    if value is None:
        return _NULL
    if isinstance(value, bool):
        return f"b{int(value)}"
    if isinstance(value, int | float):
        # 1 and 1.0 are the same number.
        whole = isinstance(value, int) or value.is_integer()
        text = f"n{int(value)}" if whole else f"n{value!r}"
    else:
        text = f"s{value}"
    raw = text.encode(errors="surrogatepass")
    if len(raw) <= _LONGEST_TOKEN:
        return text
    return _HASHED + blake2b(raw, digest_size=16).hexdigest()


def _rounded_down(number: float) -> float:
    return _rounded(number, -math.inf, lambda rounded: rounded <= number)


def _rounded_up(number: float) -> float:
    return _rounded(number, math.inf, lambda rounded: rounded >= number)


def _rounded(number: float, towards: float, holds: Callable[[float], bool]) -> float:
    """Return a finite float on the given side of a number, which may be an int of any size."""
    largest = 1.7976931348623157e308
    try:
        rounded = float(number)
    except OverflowError:
        rounded = math.copysign(math.inf, number)
    if not holds(rounded):
        rounded = math.nextafter(rounded, towards)
    return rounded if math.isfinite(rounded) else math.copysign(largest, rounded)


def size_of(metadata: Mapping[str, JsonValue]) -> int:
    """Return the bytes of metadata as JSON text, which is how services count it at most."""
    return len(json.dumps(metadata, ensure_ascii=False, separators=(",", ":")).encode())
