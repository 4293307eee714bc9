"""Parts of expressions combined into functions of a frame: chains of operators, calls, links."""

from collections.abc import Callable
from typing import Any, Final

from core.templating.functions import Callee, method_of
from core.templating.operations import (
    ARITHMETIC,
    COMPARISONS,
    Evaluate,
    concatenate,
    invoke,
    truth,
)
from core.templating.values import Frame, defined
from core.types import JsonValue

# A link of a postfix chain: what stands before it, to what stands after it.
Link = Callable[[Any, Frame], Any]
# Levels of precedence, loosest first.
OR: Final = 1
AND: Final = 2
NOT: Final = 3
COMPARE: Final = 4
ADD: Final = 5
CONCAT: Final = 6
MULTIPLY: Final = 7
POWER: Final = 8


def constant(value: JsonValue) -> Evaluate:
    """Return the expression of a fixed value."""
    return lambda _frame: value


def call_link(
    callee: Callee, name: str, positional: list[Evaluate], named: dict[str, Evaluate]
) -> Link:
    """Return the link of `|name(...)`."""

    def link(value: Any, frame: Frame) -> Any:
        return invoke(callee, name, [constant(value), *positional], named)(frame)

    return link


def method_link(name: str, positional: list[Evaluate], named: dict[str, Evaluate]) -> Link:
    """Return the link of `.name(...)`."""

    def link(value: Any, frame: Frame) -> Any:
        callee = method_of(defined(value), name)
        return invoke(callee, name, [constant(value), *positional], named)(frame)

    return link


def chain(level: int, first: Evaluate, rest: list[tuple[str, Evaluate]]) -> Evaluate:
    """Combine operands of equal precedence, left to right."""
    if not rest:
        return first
    if level in (OR, AND):
        operands = [first, *(operand for _, operand in rest)]
        return _logical(operands, stop=level == OR)
    if level == COMPARE:
        return _comparison(first, rest)
    if level == CONCAT:
        operands = [first, *(operand for _, operand in rest)]
        return lambda frame: concatenate(frame, [operand(frame) for operand in operands])

    def evaluate(frame: Frame) -> Any:
        value = first(frame)
        for operator, operand in rest:
            frame.step()
            value = ARITHMETIC[operator](frame, defined(value), defined(operand(frame)))
        return value

    return evaluate


def _logical(operands: list[Evaluate], *, stop: bool) -> Evaluate:
    """Return the first operand whose truth is `stop`, else the last: `or` stops at true."""

    def evaluate(frame: Frame) -> Any:
        value: Any = None
        for operand in operands:
            frame.step()
            value = operand(frame)
            if truth(value) is stop:
                break
        return value

    return evaluate


def _comparison(first: Evaluate, rest: list[tuple[str, Evaluate]]) -> Evaluate:
    """`a < b < c` holds if both do."""

    def evaluate(frame: Frame) -> bool:
        left = defined(first(frame))
        for operator, operand in rest:
            frame.step()
            right = defined(operand(frame))
            if not COMPARISONS[operator](frame, left, right):
                return False
            left = right
        return True

    return evaluate
