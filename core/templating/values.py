"""What template expressions work on: JSON data, undefined names, and a rendering's budget."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any, Final, NoReturn

from core.errors import TemplateError
from core.types import JsonValue

# One rendering may take this many steps (an operation, or a loop's turn) and bring forth this
# many characters and items. Together they bound time and memory whatever a template says.
MAX_STEPS: Final = 100_000
MAX_SIZE: Final = 16_000_000
MAX_DEPTH: Final = 100
# A step reads about this many characters; a longer text costs more steps.
_CHARS_PER_STEP: Final = 256
_ITEMS_PER_STEP: Final = 8
# What one item of a list or object counts for beside its text: a pointer is 8 characters.
_ITEM_SIZE: Final = 8
# What JSON readers agree on; beyond it an answer could not be written.
_LEAST_INTEGER: Final = -(2**63)
_MOST_INTEGER: Final = 2**64 - 1
_WEIGHTLESS: Final = frozenset({int, float, bool, type(None)})

NAMESPACES: Final[Mapping[str, str]] = {
    "input": "INPUT",
    "inputs": "INPUT",
    "doc": "DOC",
    "context": "CONTEXT",
    "stage": "STAGE",
    "secret": "SECRET",
    "secrets": "SECRET",
}


def canonical_name(name: str) -> str:
    """Return the one spelling of a namespace (`INPUT` for `inputs`); other names as they are."""
    return NAMESPACES.get(name.lower(), name)


@dataclass(frozen=True, slots=True)
class Undefined:
    """A name that is not there: `default` and `is defined` accept it, all else fails on it."""

    name: str
    # The object that the name was looked for in: its keys are listed only if it comes to that.
    parent: Mapping[str, Any] | None = None

    def fail(self) -> NoReturn:
        """Raise the error that names what is missing and what there is instead."""
        message = f"{self.name} is undefined"
        # The names of secrets are nobody's hint.
        secret = self.parent is None or self.name.startswith("SECRET")
        available = [] if secret else nsmallest(20, map(str, self.parent or ()))
        if available:
            message += f"; there is: {', '.join(available)}"
        raise TemplateError(message, name=self.name, available=available)


def undefined(path: str, parent: JsonValue) -> Undefined:
    """Return the undefined value at `path`, which was looked for in `parent`."""
    return Undefined(path, parent if isinstance(parent, Mapping) else None)


def lookup(scope: Mapping[str, Any], name: str) -> JsonValue | Undefined:
    """Return what a canonical name stands for in a scope, whose namespaces may use any alias."""
    if name in scope:
        return scope[name]
    for key, value in scope.items():
        if canonical_name(key) == name:
            return value
    return undefined(name, scope)


def member(value: JsonValue | Undefined, key: JsonValue, path: str) -> JsonValue | Undefined:
    """Return `value[key]` for an object's key or a list's or string's index, else Undefined.

    Only data is ever reached, never an attribute or method of the Python object that holds it.
    """
    if isinstance(value, Undefined):
        return value
    if isinstance(value, Mapping):
        if isinstance(key, str) and key in value:
            return value[key]
    elif (
        isinstance(value, list | str)
        and isinstance(key, int)
        and not isinstance(key, bool)
        and -len(value) <= key < len(value)
    ):
        return value[key]
    return undefined(path, value)


class Frame:
    """The state of one rendering: its data, local variables, and what is left of its budget."""

    __slots__ = ("_size", "_steps", "scope", "variables")

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self.scope = scope
        self.variables: dict[str, Any] = {}
        self._steps = MAX_STEPS
        self._size = MAX_SIZE

    def step(self, count: int = 1) -> None:
        """Spend steps; raises `TemplateError` once the budget is gone."""
        self._steps -= count
        if self._steps < 0:
            raise TemplateError(f"the template takes more than {MAX_STEPS} steps")

    def read(self, *texts: JsonValue) -> None:
        """Spend the steps of scanning texts or lists once."""
        for text in texts:
            if isinstance(text, str):
                self.step(1 + len(text) // _CHARS_PER_STEP)
            elif isinstance(text, list | Mapping):
                self.step(1 + len(text) // _ITEMS_PER_STEP)

    def bind(self, variables: Mapping[str, Any]) -> None:
        """Set variables beside those there are; what holds the dict of before still sees that."""
        self.produce(_ITEM_SIZE * (len(self.variables) + len(variables)))
        self.variables = {**self.variables, **variables}

    def produce(self, size: int) -> None:
        """Spend size, before the text or list is made; raises `TemplateError`."""
        self.step(1 + size // _CHARS_PER_STEP // 16)
        self._size -= size
        if self._size < 0:
            raise TemplateError(f"the template produces more than {MAX_SIZE} characters")

    def weigh(self, value: JsonValue) -> None:
        """Spend the size of a value all the way down, as written out.

        Lists built from themselves ([a, a] of [b, b] of …) share memory, yet comparing or writing
        them takes exponential time: they must be weighed first. Also refuses deep nesting.
        """
        level: list[JsonValue] = [value] if isinstance(value, list | Mapping) else []
        for _ in range(MAX_DEPTH):
            inner: list[JsonValue] = []
            for node in level:
                if isinstance(node, Mapping):
                    self.produce(_ITEM_SIZE * len(node) + sum(map(len, node)))
                    inner.extend(node.values())
                else:
                    self.produce(_ITEM_SIZE * len(node))
                    inner.extend(node)
            # By class: most values are the numbers of vectors, and Mapping is slow to ask for.
            inner = [node for node in inner if node.__class__ not in _WEIGHTLESS]
            self.produce(sum(len(node) for node in inner if isinstance(node, str)))
            level = [node for node in inner if isinstance(node, list | Mapping)]
            if not level:
                return
        raise TemplateError(f"a value is nested more than {MAX_DEPTH} levels deep")

    def to_json(self, value: JsonValue) -> str:
        """Return the JSON text of a value."""
        value = defined(value)
        if isinstance(value, list | Mapping):
            self.weigh(value)
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_as_object)
        self.produce(len(text))
        return text

    def to_text(self, value: JsonValue | Undefined) -> str:
        """Return a value as it stands in text: a string as it is, anything else as JSON."""
        return value if isinstance(value, str) else self.to_json(value)


def _as_object(value: object) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TemplateError(f"a {type(value).__name__} cannot be written as JSON")


def defined(value: JsonValue | Undefined) -> JsonValue:
    """Return the value, or raise if it is undefined."""
    if isinstance(value, Undefined):
        value.fail()
    return value


def is_number(value: JsonValue) -> bool:
    """Say whether a value is a JSON number (a boolean is not)."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def bounded(value: JsonValue) -> JsonValue:
    """Return the value, or raise if it is a number that JSON cannot carry: infinite, NaN, or a
    whole one beyond 64 bits."""
    if isinstance(value, float):
        fits = math.isfinite(value)
    else:
        fits = not isinstance(value, int) or _LEAST_INTEGER <= value <= _MOST_INTEGER
    if not fits:
        raise TemplateError("a number grows too large")
    return value


def kind(value: JsonValue) -> str:
    """Return a value's JSON type with its article, for messages."""
    if value is None:
        return "null"
    if is_number(value):
        return "a number"
    names = {bool: "a boolean", str: "a string", list: "a list"}
    return names.get(type(value), "an object")


def items_of(value: JsonValue, what: str) -> list[JsonValue]:
    """Return the items of a list, or the keys of an object; raises for anything else."""
    value = defined(value)
    if isinstance(value, list):
        return value
    if isinstance(value, Mapping):
        return list(value)
    raise TemplateError(f"{what} takes a list, not {kind(value)}")


def numbers_of(values: Iterable[JsonValue], what: str) -> list[int | float]:
    """Return the values if all are numbers; raises for anything else."""
    numbers = [defined(value) for value in values]
    for value in numbers:
        if not is_number(value):
            raise TemplateError(f"{what} takes numbers, not {kind(value)}")
    return numbers


def text_of(value: JsonValue, what: str) -> str:
    """Return the value if it is a string; raises for anything else."""
    value = defined(value)
    if not isinstance(value, str):
        raise TemplateError(f"{what} takes a string, not {kind(value)}")
    return value
