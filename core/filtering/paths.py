"""Dot paths into documents: read, and copies with one value changed; inputs are never mutated."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, Literal

from core.errors import StageError
from core.types import JsonObject, JsonValue


class _Missing(Enum):
    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


Missing = Literal[_Missing.MISSING]
# What `resolve` returns where a document has no such field. Distinct from a stored null.
MISSING: Final = _Missing.MISSING


def resolve(document: Mapping[str, Any], path: str) -> JsonValue | Missing:
    """Return the value at `path`, or MISSING.

    A key that literally contains dots wins, longest first. On a list a numeric segment indexes;
    any other maps over the elements and gives the list of values found, MISSING if none.
    """
    if path in document:
        return document[path]
    if "." not in path:
        return MISSING
    return _descend(document, path.split("."))


def _descend(node: JsonValue, segments: list[str]) -> JsonValue | Missing:
    while segments:
        if isinstance(node, Mapping):
            taken = _literal_key(node, segments)
            if not taken:
                return MISSING
            node = node[".".join(segments[:taken])]
            segments = segments[taken:]
        elif isinstance(node, list):
            index = _index(segments[0])
            if index is None:
                found = [_descend(element, segments) for element in node]
                return [value for value in found if value is not MISSING] or MISSING
            if index >= len(node):
                return MISSING
            node, segments = node[index], segments[1:]
        else:
            return MISSING
    return node


def _literal_key(node: Mapping[str, Any], segments: list[str]) -> int:
    """Return how many segments the longest present key takes, 0 if none is present."""
    for taken in range(len(segments), 0, -1):
        if ".".join(segments[:taken]) in node:
            return taken
    return 0


def _index(segment: str) -> int | None:
    # ASCII only, and short: int() would take other scripts' digits and refuse 5,000 of them.
    return int(segment) if segment.isascii() and segment.isdigit() and len(segment) < 10 else None


def assign(document: Mapping[str, Any], path: str, value: JsonValue) -> JsonObject:
    """Return a copy of `document` with `value` at `path`; objects on the way are made as needed.

    On a list a numeric segment replaces that element and any other is set in every element.
    Raises `StageError` where a scalar stands in the way or an index is out of range: overwriting
    would lose a stored value in silence.
    """
    changed: JsonObject = _assign(document, path.split("."), value, path)
    return changed


def _assign(node: JsonValue, segments: list[str], value: JsonValue, path: str) -> JsonValue:
    if not segments:
        return value
    if isinstance(node, Mapping):
        taken = _literal_key(node, segments) or 1
        key = ".".join(segments[:taken])
        return {**node, key: _assign(node.get(key, {}), segments[taken:], value, path)}
    if isinstance(node, list):
        index = _index(segments[0])
        if index is None:
            return [_assign(element, segments, value, path) for element in node]
        if index < len(node):
            changed = _assign(node[index], segments[1:], value, path)
            return [*node[:index], changed, *node[index + 1 :]]
        raise StageError(f"cannot set {path!r}: index {index} of a list of {len(node)}")
    if node is None:
        return _assign({}, segments, value, path)
    raise StageError(f"cannot set {path!r}: a {type(node).__name__} stands before {segments[0]!r}")


def remove(document: Mapping[str, Any], path: str) -> JsonObject:
    """Return a copy of `document` without the value at `path`; a missing path changes nothing."""
    changed: JsonObject = _remove(document, path.split("."))
    return changed


def _remove(node: JsonValue, segments: list[str]) -> JsonValue:
    if isinstance(node, Mapping):
        taken = _literal_key(node, segments)
        key = ".".join(segments[:taken])
        if taken == len(segments):
            return {name: kept for name, kept in node.items() if name != key}
        return {**node, key: _remove(node[key], segments[taken:])} if taken else node
    if isinstance(node, list):
        index = _index(segments[0])
        if index is None:
            return [_remove(element, segments) for element in node]
        if index < len(node):
            rest = [_remove(node[index], segments[1:])] if len(segments) > 1 else []
            return [*node[:index], *rest, *node[index + 1 :]]
    return node
