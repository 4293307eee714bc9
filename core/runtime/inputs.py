"""A query's inputs against the retriever's input schema: defaults in, faults out, all at once."""

from collections.abc import Callable, Mapping
from typing import Any

from core.errors import InvalidRequestError, Problem
from core.models.base import summarize
from core.types import JsonObject, JsonValue, ReadOnlyObject


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: JsonValue) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_string(value: JsonValue) -> bool:
    return isinstance(value, str)


def _is_reference(value: JsonValue) -> bool:
    return isinstance(value, dict) and {"collection_id", "document_id"} <= set(value)


_CHECKS: dict[str, Callable[[JsonValue], bool]] = {
    "number": _is_number,
    "float": _is_number,
    "integer": _is_integer,
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "document_reference": _is_reference,
}  # every other declared type arrives as a string: text, dates, and media by URL or base64


def prepare_inputs(schema: ReadOnlyObject, given: JsonObject, path: str = "inputs") -> JsonObject:
    """Return the inputs with defaults filled in.

    A missing required input, a wrong type, or a value outside `enum` is `InvalidRequestError`
    with every problem. Inputs that the schema does not name pass: templates may use them.
    """
    if not schema:
        return given
    ready = dict(given)
    problems: list[Problem] = []
    for name, declared in schema.items():
        where = f"{path}.{name}"
        if ready.get(name) is None:
            if declared.get("default") is not None:
                ready[name] = declared["default"]
            elif declared.get("required"):
                problems.append(Problem(where, "this input is required", "missing"))
        else:
            problems.extend(_check(declared, ready[name], where))
    if problems:
        raise InvalidRequestError(summarize(problems), problems)
    return ready


def _check(declared: Mapping[str, Any], value: JsonValue, where: str) -> list[Problem]:
    expected = declared["type"]
    if not _CHECKS.get(expected, _is_string)(value):
        message = f"expected {expected}, got {type(value).__name__}"
        return [Problem(where, message, "type_error")]
    allowed = declared.get("enum")
    if allowed is not None and value not in allowed:
        return [Problem(where, f"must be one of {allowed}", "enum")]
    return []
