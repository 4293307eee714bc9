"""The filter language: reading a filter into a frozen, hashable tree, and rendering its templates.

The language is the reference's, with every undefined shape settled: see `parse_filter`.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from core.errors import FilterError, Problem, TemplateError
from core.filtering.nodes import (
    And,
    Condition,
    Filter,
    Not,
    Or,
    conditions_of,
    conjoin,
    fields_of,
    filter_key,
    filter_to_json,
    is_templated,
)
from core.filtering.paths import MISSING
from core.filtering.predicates import OPERATORS, canonical
from core.templates import is_template
from core.types import JsonObject, JsonValue

# The tree's names are part of this module's face: who reads filters imports one module.
__all__ = [
    "And",
    "Condition",
    "Filter",
    "Not",
    "Or",
    "conditions_of",
    "conjoin",
    "fields_of",
    "filter_key",
    "filter_to_json",
    "is_templated",
    "parse_filter",
    "render_filter",
]

MAX_DEPTH: Final = 32  # logical nodes within each other
MAX_CONDITIONS: Final = 1_000
MAX_FIELD: Final = 500  # characters of a path
# JSON levels: two for each logical node (object and list), the rest for a value.
_MAX_JSON_DEPTH: Final = 2 * MAX_DEPTH + 32


def parse_filter(raw: JsonValue, path: str = "filters", *, templates: bool = True) -> Filter | None:
    """Read a filter as the wire spells it; None for one that is absent or empty.

    Accepted: a node with any of AND, OR, NOT (NOT takes an object or a list and means none of
    them) beside `case_sensitive` and equality shorthand (`{"brand": "acme"}`), everything in it
    conjoined; a bare condition `{field, operator, value}`; a list, which means AND. `{type:
    "dynamic", field: "inputs.x"}` as a value is the template `{{inputs.x}}`. Templates stay
    until `render_filter`; with `templates=False` braces are plain text.

    Raises `FilterError` whose `problems` name every fault at once, with paths below `path`.
    """
    reader = _Reader(templates)
    if not _within_depth(raw, _MAX_JSON_DEPTH):
        reader.report(path, f"the filter is nested too deep: at most {MAX_DEPTH} levels")
        tree = None
    else:
        tree = reader.read(raw, path, case_sensitive=None, depth=1)
    if reader.count > MAX_CONDITIONS:
        reader.report(path, f"the filter has {reader.count} conditions, at most {MAX_CONDITIONS}")
    _raise_any(reader.problems)
    return tree


def _raise_any(problems: list[Problem]) -> None:
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        first = problems[0]
        raise FilterError(f"invalid filter: {first.path}: {first.message}{more}", problems)


def _within_depth(raw: JsonValue, limit: int) -> bool:
    """Say whether JSON is at most `limit` levels deep; level by level, so never recursing."""
    level = [raw] if isinstance(raw, dict | list) else []
    for _ in range(limit):
        inner: list[JsonValue] = []
        for node in level:
            inner.extend(node.values() if isinstance(node, dict) else node)
        level = [node for node in inner if isinstance(node, dict | list)]
        if not level:
            return True
    return False


_LOGICAL: Final = ("AND", "OR", "NOT")
_CONDITION_KEYS: Final = ("field", "operator", "value", "case_sensitive")


class _Reader:
    """One pass over a raw filter that collects problems instead of stopping at the first."""

    def __init__(self, templates: bool) -> None:
        self.templates = templates
        self.problems: list[Problem] = []
        self.count = 0

    def report(self, path: str, message: str, accepted: Iterable[str] = ()) -> None:
        self.problems.append(Problem(path, message, "filter_error", tuple(accepted)))

    def read(
        self, raw: JsonValue, path: str, *, case_sensitive: bool | None, depth: int
    ) -> Filter | None:
        if raw is None:
            return None
        if depth > MAX_DEPTH:
            self.report(path, f"the filter is nested too deep: at most {MAX_DEPTH} levels")
            return None
        if isinstance(raw, list):
            return conjoin(self._read_list(raw, path, case_sensitive, depth))
        if not isinstance(raw, dict):
            self.report(path, "a filter is an object or a list of objects")
            return None
        if "field" in raw:
            return self._read_condition(raw, path, case_sensitive)
        return self._read_node(raw, path, case_sensitive, depth)

    def _read_list(
        self, raw: JsonValue, path: str, case_sensitive: bool | None, depth: int
    ) -> list[Filter]:
        parts = []
        for index, item in enumerate(raw):
            part = self.read(
                item, f"{path}.{index}", case_sensitive=case_sensitive, depth=depth + 1
            )
            if part is not None:
                parts.append(part)
            elif item is None or item == {}:
                self.report(f"{path}.{index}", "a condition may not be empty here")
        return parts

    def _read_node(
        self, raw: JsonObject, path: str, case_sensitive: bool | None, depth: int
    ) -> Filter | None:
        flag = self._read_flag(raw, path, case_sensitive)
        parts: list[Filter | None] = []
        for key, value in raw.items():
            place = f"{path}.{key}"
            if key == "case_sensitive" or (key in _LOGICAL and value is None):
                continue
            if key in _LOGICAL:
                parts.append(self._read_logical(key, value, place, flag, depth))
            elif self._is_shorthand(key, value, place):
                parts.append(self._make(key, "eq", value, None, field_path=place, value_path=place))
        return conjoin(parts)

    def _read_logical(
        self, key: str, value: JsonValue, path: str, flag: bool | None, depth: int
    ) -> Filter | None:
        faults = len(self.problems)
        if key == "NOT" and isinstance(value, dict):
            inner = self.read(value, path, case_sensitive=flag, depth=depth + 1)
            parts = [] if inner is None else [inner]
        elif isinstance(value, list):
            parts = self._read_list(value, path, flag, depth)
            if key != "AND" and len(parts) < len(value) and len(self.problems) == faults:
                # Of an empty condition, which always holds, OR is everything and NOT nothing.
                self.report(path, f"a condition within {key} may not be empty")
        else:
            self.report(path, f"{key} takes a list of conditions")
            return None
        if key == "AND":
            return conjoin(parts)
        if key == "OR":
            if not value:
                # By logic it would match nothing: an empty answer that looks like "no match".
                self.report(path, "OR needs at least one condition")
            return parts[0] if len(parts) == 1 else Or(tuple(parts))
        return Not(tuple(parts)) if parts else None

    def _read_flag(self, raw: JsonObject, path: str, inherited: bool | None) -> bool | None:
        flag = raw.get("case_sensitive")
        if flag is None or isinstance(flag, bool):
            return inherited if flag is None else flag
        self.report(f"{path}.case_sensitive", "case_sensitive takes true or false")
        return inherited

    def _is_shorthand(self, key: str, value: JsonValue, path: str) -> bool:
        """Refuse what reads as equality but surely means something else, and would find nothing."""
        if key.upper() in _LOGICAL and isinstance(value, dict | list):
            self.report(path, f"write {key.upper()} in capitals", _LOGICAL)
        elif key in ("operator", "value"):
            self.report(path, "a condition needs a field", _CONDITION_KEYS)
        elif key.startswith("$"):
            self.report(path, f"unknown operator {key!r}", (*_LOGICAL, *OPERATORS))
        elif isinstance(value, dict) and value and all(k.lstrip("$") in OPERATORS for k in value):
            self.report(path, f"write {{field: {key!r}, operator, value}}", OPERATORS)
        else:
            return True
        return False

    def _read_condition(self, raw: JsonObject, path: str, inherited: bool | None) -> Filter | None:
        unknown = [key for key in raw if key not in _CONDITION_KEYS]
        for key in unknown:
            self.report(f"{path}.{key}", f"unknown key {key!r} in a condition", _CONDITION_KEYS)
        name = raw.get("operator")
        name = "eq" if name is None else name
        if not isinstance(name, str) or name not in OPERATORS:
            self.report(f"{path}.operator", f"unknown operator {name!r}", OPERATORS)
            return None
        own = self._read_flag(raw, path, None)
        default = OPERATORS[name].case_default
        if own is not None and default is None and own:
            self.report(f"{path}.case_sensitive", f"{name} does not depend on case")
        # A node's flag reaches only operators that look into texts: typed clients always send
        # `case_sensitive: false` on nodes, which must not loosen the equality of identifiers.
        flag = inherited if own is None and default is False else own
        value = raw.get("value", OPERATORS[name].default_value)
        if value is MISSING:
            self.report(f"{path}.value", f"{name} needs a value")
            return None
        return self._make(
            raw["field"], name, value, flag, field_path=f"{path}.field", value_path=f"{path}.value"
        )

    def _make(
        self,
        name: JsonValue,
        operator: str,
        value: JsonValue,
        flag: bool | None,
        *,
        field_path: str,
        value_path: str,
    ) -> Filter | None:
        self.count += 1
        faults = len(self.problems)
        if not isinstance(name, str) or not 0 < len(name) <= MAX_FIELD:
            self.report(field_path, f"field takes a path of 1 to {MAX_FIELD} characters")
        value = self._expand_dynamic(value, value_path)
        templated = self.templates and (_holds_template(name) or _holds_template(value))
        if not (self.templates and _holds_template(value)):
            message = value_problem(operator, value)
            if message:
                self.report(value_path, f"{operator} {message}")
        if len(self.problems) > faults:
            return None
        default = OPERATORS[operator].case_default
        sensitive = default is not False if flag is None or default is None else flag
        return Condition(str(name), operator, value, sensitive, templated, field_path, value_path)

    def _expand_dynamic(self, value: JsonValue, path: str) -> JsonValue:
        if isinstance(value, list):
            return [self._expand_dynamic(item, f"{path}.{i}") for i, item in enumerate(value)]
        if not isinstance(value, dict) or value.get("type") != "dynamic" or "field" not in value:
            return value
        source = value["field"]
        segments = source.split(".") if isinstance(source, str) else []
        if len(segments) < 2 or segments[0].lower() not in ("input", "inputs") or len(value) > 2:
            self.report(path, 'a dynamic value is {type: "dynamic", field: "inputs.<name>"}')
            return None
        keys = "".join(f"[{canonical(segment)}]" for segment in segments[1:])
        return f"{{{{INPUT{keys}}}}}"


def value_problem(operator: str, value: JsonValue) -> str | None:
    """Say what is wrong with a rendered operand ("takes a list …"), None if nothing."""
    if not _is_finite(value):
        return "takes no NaN or infinity"
    return OPERATORS[operator].problem(value)


def _is_finite(value: JsonValue) -> bool:
    if isinstance(value, dict | list):
        return all(map(_is_finite, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, float) or math.isfinite(value)


def _holds_template(value: JsonValue) -> bool:
    if isinstance(value, dict | list):
        return any(map(_holds_template, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and is_template(value)


Render = Callable[[JsonValue, str], JsonValue]


def render_filter(tree: Filter, render: Render) -> Filter:
    """Return the filter with every templated field and value rendered and checked again.

    `render(value, path)` renders one JSON value. Untemplated parts are shared, not copied. Every
    failing condition is named at once: `TemplateError` if its template failed (an input that was
    not given never widens a search), `FilterError` if what it gave is no fit operand.
    """
    problems: list[Problem] = []
    failed: list[TemplateError] = []
    rendered = _render(tree, render, problems, failed)
    if failed:
        raise TemplateError(failed[0].message, problems)
    _raise_any(problems)
    return rendered


def _render(
    tree: Filter, render: Render, problems: list[Problem], failed: list[TemplateError]
) -> Filter:
    if not isinstance(tree, Condition):
        parts = tuple(_render(part, render, problems, failed) for part in tree.parts)
        unchanged = all(new is old for new, old in zip(parts, tree.parts, strict=True))
        return tree if unchanged else type(tree)(parts)
    if not tree.templated:
        return tree
    try:
        name = render(tree.field, tree.field_path)
        value = render(tree.value, tree.value_path)
    except TemplateError as error:
        failed.append(error)
        problems.extend(error.problems or [Problem(tree.value_path, error.message, error.code)])
        return tree
    if not isinstance(name, str) or not 0 < len(name) <= MAX_FIELD:
        message = f"field takes a path of 1 to {MAX_FIELD} characters"
        problems.append(Problem(tree.field_path, message, "filter_error"))
        return tree
    fault = value_problem(tree.operator, value) if _within_depth([value], 33) else "is too deep"
    if fault:
        problems.append(Problem(tree.value_path, f"{tree.operator} {fault}", "filter_error"))
        return tree
    return replace(tree, field=name, value=value, templated=False)
