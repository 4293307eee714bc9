"""Templates of stage parameters and filters: parsed once, rendered per query or per document.

The language is the published one: Jinja's expressions, `if` and `for`, over JSON
data only. It has an interpreter of its own, `core/templating/`, rather than a library's. What was
measured of MiniJinja 3.0.5 under its step limit: `a ~ a` in a loop doubles until the process is
aborted, `'%1000000000d'|format(1)` takes nine seconds, 64,000 minus signs overflow the stack,
`DOC.clear()` empties the caller's dict, `DOC.values` of a document without such a field is a
Python method, and every rendering copies the vectors it passes on.

- `{{INPUT.query}}` alone keeps its native type, and is the very object of the scope, not a copy.
- Among text a string stands as it is and any other value as JSON.
- An undefined name is a `TemplateError` that names it; `|default(x)` and `is defined` accept it.
- Steps and size are limited (`core/templating/values.py`): a template can neither hang nor grow.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from core.errors import Problem, TemplateError
from core.types import JsonValue

if TYPE_CHECKING:
    from core.templating.blocks import Compiled

Path = tuple[str | int, ...]
_STEP = r"""\.[A-Za-z_]\w*|\[-?\d{1,9}\]|\['[^'\\]*'\]|\["[^"\\]*"\]"""
_PLAIN_PATH: Final = re.compile(rf"\{{\{{-?\s*([A-Za-z_]\w*)((?:{_STEP})+)\s*-?\}}\}}", re.ASCII)
_STEPS: Final = re.compile(_STEP, re.ASCII)
_MAX_TREE_DEPTH: Final = 100


def is_template(value: str) -> bool:
    """Say whether a string holds template syntax; single braces are plain text."""
    return "{{" in value or "{%" in value


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template. `names` is what it refers to: `INPUT.query`, `DOC`, `utc_now()`."""

    source: str
    names: frozenset[str]
    path: Path = ()
    compiled: "Compiled | None" = None

    def render(self, scope: Mapping[str, Any]) -> JsonValue:
        """Return the template's value over `scope`, whose keys are `INPUT`, `DOC`, `CONTEXT`,
        `STAGE`, `SECRET` and whatever other top-level names the caller offers.

        The value may be shared with the scope: it is to be read, not changed. Raises
        `TemplateError` for an undefined name, a wrong type, or a limit passed.
        """
        if self.compiled is None:
            return _follow(self.path, scope)
        from core.templating.values import Frame

        frame = Frame(scope)
        try:
            value = self.compiled.evaluate(frame)
            if isinstance(value, list | dict):
                frame.weigh(value)
        except (RecursionError, ValueError) as error:
            raise TemplateError("a value cannot be written as JSON") from error
        return value


def _follow(path: Path, scope: Mapping[str, Any]) -> JsonValue:
    """Return what a plain path reaches, without the interpreter: most templates are one."""
    value: Any = scope
    for key in path:
        if isinstance(value, Mapping):
            if key not in value:
                return _follow_slowly(path, scope)
        elif (
            not isinstance(value, list | str)
            or isinstance(key, str)
            or not -len(value) <= key < len(value)
        ):
            return _follow_slowly(path, scope)
        value = value[key]
    return value


def _follow_slowly(path: Path, scope: Mapping[str, Any]) -> JsonValue:
    """Follow a path over a scope that spells namespaces otherwise, or fail saying where."""
    from core.templating.values import defined, lookup, member

    place = str(path[0])
    value = lookup(scope, place)
    for key in path[1:]:
        place += f"[{key}]" if isinstance(key, int) else f".{key}"
        value = member(value, key, place)
    return defined(value)


def compile_template(source: str) -> Template:
    """Parse a template; raises `TemplateError` with line and column of what is wrong."""
    return _cached(source) if len(source) <= _CACHED_LENGTH else _compile(source)


def _compile(source: str) -> Template:
    path = _plain_path(source)
    if path:
        known = path[0] in _NAMESPACES and isinstance(path[1], str)
        name = f"{path[0]}.{path[1]}" if known else str(path[0])
        return Template(source, frozenset({name}), path)
    from core.templating.blocks import compile_source

    compiled = compile_source(source)
    return Template(source, compiled.names, compiled=compiled)


# The same few sources come again with every query's filters. Bounded: 1,024 of 2,000 characters.
_CACHED_LENGTH: Final = 2_000
_cached = lru_cache(maxsize=1_024)(_compile)
_NAMESPACES: Final = ("INPUT", "DOC", "CONTEXT", "STAGE", "SECRET")


def _plain_path(source: str) -> Path:
    """Return the keys of a template that is nothing but `{{name.key['key'][0]}}`, else ()."""
    found = _PLAIN_PATH.fullmatch(source)
    if found is None:
        return ()
    from core.templating.values import canonical_name

    keys: list[str | int] = [canonical_name(found.group(1))]
    for step in _STEPS.findall(found.group(2)):
        if step[0] == ".":
            keys.append(step[1:])
        elif step[1] in "'\"":
            keys.append(step[2:-2])
        else:
            keys.append(int(step[1:-1]))
    return tuple(keys)


@dataclass(frozen=True, slots=True)
class Tree:
    """A JSON value whose templates are parsed; see `compile_tree`."""

    value: JsonValue
    leaves: tuple[tuple[Path, Template], ...]
    prefix: str = ""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where the templates are."""
        return tuple(path for path, _ in self.leaves)

    @property
    def names(self) -> frozenset[str]:
        """What the templates refer to."""
        return frozenset().union(*(template.names for _, template in self.leaves))

    def render(self, scope: Mapping[str, Any]) -> JsonValue:
        """Return the value with its templates rendered; what holds none is shared, not copied.

        Raises one `TemplateError` whose problems name every template that failed.
        """
        value = self.value
        copied: dict[Path, Any] = {}
        problems: list[Problem] = []
        first: TemplateError | None = None
        for path, template in self.leaves:
            try:
                rendered = template.render(scope)
            except TemplateError as error:
                first = first or error
                problems.append(_problem(self.prefix, path, error))
                continue
            if path:
                value = _copy_to(value, path, copied)
                copied[path[:-1]][path[-1]] = rendered
            else:
                value = rendered
        if first is not None:
            raise TemplateError(f"{problems[0].path}: {first.message}", problems)
        return value


def _copy_to(value: Any, path: Path, copied: dict[Path, Any]) -> Any:
    """Copy the containers above `path` that are not copied yet; return the root's copy."""
    if () not in copied:
        copied[()] = value.copy()
    for depth in range(1, len(path)):
        above, key = path[: depth - 1], path[depth - 1]
        if path[:depth] not in copied:
            copied[path[:depth]] = copied[above][key] = copied[above][key].copy()
    return copied[()]


def _problem(prefix: str, path: Path, error: TemplateError) -> Problem:
    return Problem(_place(prefix, path), error.message, error.code)


def _place(prefix: str, path: Path) -> str:
    return ".".join([prefix] * bool(prefix) + [str(key) for key in path])


def compile_tree(value: JsonValue, path: str = "") -> Tree:
    """Parse every template in a JSON value.

    Raises one `TemplateError` whose problems name every template that does not parse, their
    places prefixed with `path`. Keys hold no templates.
    """
    leaves: list[tuple[Path, Template]] = []
    problems: list[Problem] = []
    pending: list[tuple[Path, JsonValue]] = [((), value)] if _may_hold(value) else []
    while pending:
        place, node = pending.pop()
        if len(place) > _MAX_TREE_DEPTH:
            message = f"nested more than {_MAX_TREE_DEPTH} levels deep"
            problems.append(Problem(path, message, TemplateError.code))
            break
        if isinstance(node, str):
            try:
                leaves.append((place, compile_template(node)))
            except TemplateError as error:
                problems.append(_problem(path, place, error))
            continue
        if isinstance(node, dict):
            for key in filter(is_template, node):
                message = "a key may not hold a template, only a value"
                problems.append(Problem(_place(path, (*place, key)), message, TemplateError.code))
        pending.extend(((*place, key), inner) for key, inner in _inner(node) if _may_hold(inner))
    if problems:
        first = problems[0]
        raise TemplateError(f"{first.path}: {first.message}", problems)
    return Tree(value, tuple(leaves), path)


def _inner(node: JsonValue) -> Iterable[tuple[str | int, JsonValue]]:
    """Return the keys and values of a container, last first: a stack gives them back in order."""
    if isinstance(node, dict):
        return reversed(node.items())
    return zip(reversed(range(len(node))), reversed(node), strict=True)


def _may_hold(value: JsonValue) -> bool:
    return isinstance(value, dict | list) or (isinstance(value, str) and is_template(value))


def render_value(value: JsonValue, scope: Mapping[str, Any], path: str = "") -> JsonValue:
    """Parse and render a JSON value in one go: what `render_filter` wants, scope given."""
    return compile_tree(value, path).render(scope)
