"""The operators of expressions on JSON data: typed, bounded, and never Python's own coercions."""

import operator
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from core.errors import TemplateError
from core.templating.values import (
    Frame,
    Undefined,
    bounded,
    defined,
    is_number,
    kind,
    member,
    numbers_of,
)
from core.types import JsonValue

Evaluate = Callable[[Frame], Any]
# A power of more bits than this, by the size of its base, is beyond `bounded` for certain.
_MOST_POWER_BITS: Final = 128


def truth(value: JsonValue | Undefined) -> bool:
    """Return whether a value counts as true; raises if it is undefined."""
    return bool(defined(value))


def invoke(
    callee: Callable[..., Any],
    name: str,
    positional: Sequence[Evaluate],
    named: Mapping[str, Evaluate],
) -> Evaluate:
    """Return the call with evaluated arguments; only a piped value may be undefined."""

    def evaluate(frame: Frame) -> Any:
        frame.step()
        values = [argument(frame) for argument in positional]
        for value in values[1:]:
            defined(value)
        options = {key: defined(argument(frame)) for key, argument in named.items()}
        try:
            return bounded(callee(frame, *values, **options))
        except (TypeError, ValueError, ArithmeticError) as error:
            # A wrong number of arguments, or a number out of a function's range.
            raise TemplateError(f"{name} does not take these arguments") from error

    return evaluate


def concatenate(frame: Frame, values: Sequence[JsonValue]) -> str:
    """Return the texts of values one after another."""
    texts = [frame.to_text(value) for value in values]
    frame.produce(sum(map(len, texts)))
    return "".join(texts)


def _add(frame: Frame, left: JsonValue, right: JsonValue) -> JsonValue:
    joined = isinstance(left, str) and isinstance(right, str)
    if joined or (isinstance(left, list) and isinstance(right, list)):
        frame.produce(len(left) + len(right))
        return left + right
    if not (is_number(left) and is_number(right)):
        raise TemplateError(f"+ cannot add {kind(left)} and {kind(right)}; ~ joins texts")
    return bounded(left + right)


def _arithmetic(symbol: str, compute: Callable[[Any, Any], Any]) -> Callable[..., JsonValue]:
    def call(_frame: Frame, left: JsonValue, right: JsonValue) -> JsonValue:
        numbers_of([left, right], symbol)
        try:
            return bounded(compute(left, right))
        except ArithmeticError as error:
            raise TemplateError(f"cannot compute {left} {symbol} {right}") from error

    return call


def _multiply(frame: Frame, left: JsonValue, right: JsonValue) -> JsonValue:
    if isinstance(left, str) and type(right) is int:
        frame.produce(len(left) * max(0, right))
        return left * right
    numbers_of([left, right], "*")
    return _arithmetic("*", operator.mul)(frame, left, right)


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(base, int) and isinstance(exponent, int) and exponent > 0:
        if abs(base) > 1 and base.bit_length() * exponent > _MOST_POWER_BITS:
            raise OverflowError
        return base**exponent
    result = float(base) ** float(exponent)
    if isinstance(result, complex):
        raise ArithmeticError
    return result


ARITHMETIC: Final[Mapping[str, Callable[[Frame, JsonValue, JsonValue], JsonValue]]] = (
    MappingProxyType(
        {
            "+": _add,
            "-": _arithmetic("-", operator.sub),
            "*": _multiply,
            "/": _arithmetic("/", operator.truediv),
            "//": _arithmetic("//", operator.floordiv),
            "%": _arithmetic("%", operator.mod),
            "**": _arithmetic("**", _power),
        }
    )
)


def _same(frame: Frame, left: JsonValue, right: JsonValue) -> bool:
    """Equality without coercion at the top: 1 is not true. Lists and objects compare by value."""
    if isinstance(left, str) and isinstance(right, str):
        frame.read(left)
    elif isinstance(left, list | Mapping) and isinstance(right, list | Mapping):
        # Equal values weigh the same, so the lighter one bounds the work; weigh both to be safe.
        frame.weigh(left)
        frame.weigh(right)
    elif isinstance(left, bool) is not isinstance(right, bool):
        return False
    return bool(left == right)


def _ordered(symbol: str, compare: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    def call(frame: Frame, left: JsonValue, right: JsonValue) -> bool:
        texts = isinstance(left, str) and isinstance(right, str)
        if not texts and not (is_number(left) and is_number(right)):
            raise TemplateError(f"{symbol} cannot compare {kind(left)} with {kind(right)}")
        frame.read(left)
        return compare(left, right)

    return call


def _contains(frame: Frame, left: JsonValue, right: JsonValue) -> bool:
    if isinstance(right, str):
        if not isinstance(left, str):
            raise TemplateError(f"in looks for a string in a string, not {kind(left)}")
        frame.read(right)
        return left in right
    if isinstance(right, Mapping):
        return isinstance(left, str) and left in right
    if not isinstance(right, list):
        raise TemplateError(f"in looks into a list, an object or a string, not {kind(right)}")
    frame.step(1 + len(right) // 4)
    return any(_same(frame, left, item) for item in right)


COMPARISONS: Final[Mapping[str, Callable[[Frame, JsonValue, JsonValue], bool]]] = MappingProxyType(
    {
        "==": _same,
        "!=": lambda frame, left, right: not _same(frame, left, right),
        "<": _ordered("<", operator.lt),
        "<=": _ordered("<=", operator.le),
        ">": _ordered(">", operator.gt),
        ">=": _ordered(">=", operator.ge),
        "in": _contains,
        "not in": lambda frame, left, right: not _contains(frame, left, right),
    }
)


def index_of(index: Evaluate, path: str) -> Callable[[Any, Frame], Any]:
    """Return the link of `value[index]`."""

    def link(value: Any, frame: Frame) -> Any:
        key = defined(index(frame))
        return member(value, key, f"{path}[{key!r}]")

    return link


def slice_of(start: Evaluate | None, stop: Evaluate | None) -> Callable[[Any, Frame], Any]:
    """Return the link of `value[start:stop]`, either of which may be absent."""

    def bound(end: Evaluate | None, frame: Frame) -> int | None:
        value = defined(end(frame)) if end else None
        if value is not None and type(value) is not int:
            raise TemplateError(f"a slice takes whole numbers, not {kind(value)}")
        return value

    def link(value: Any, frame: Frame) -> Any:
        value = defined(value)
        if not isinstance(value, list | str):
            raise TemplateError(f"only a list or a string can be sliced, not {kind(value)}")
        part = value[bound(start, frame) : bound(stop, frame)]
        frame.produce(len(part))
        return part

    return link
