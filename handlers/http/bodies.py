"""Reading what came in: JSON that is JSON and not too deep, query parameters of their kinds."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from core.errors import BadRequestError, InvalidRequestError, Problem
from core.types import JsonObject, JsonValue
from handlers.http.route import Param

# Answers nest what they return a few levels deeper, and JSON is written to 254 at most.
MAX_DEPTH: Final = 100

_TRUE: Final = frozenset({"true", "1", "yes"})
_FALSE: Final = frozenset({"false", "0", "no", ""})


def read_json(body: bytes) -> JsonValue:
    """Return the parsed body, `{}` for none.

    Raises `BadRequestError` for what is no JSON (NaN and infinities are none), and
    `InvalidRequestError` past `MAX_DEPTH` levels.
    """
    if not body.strip():
        return {}
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if "depth limit" in str(error):  # orjson's own, far past ours
            raise _too_deep() from None
        raise BadRequestError(f"the body is not JSON: {error}", position=error.pos) from None
    # Brackets are counted in C; only a body with many of them is walked.
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and not _within_depth(value):
        raise _too_deep()
    return value


def read_query(query: Mapping[str, Sequence[str]], params: Iterable[Param]) -> JsonObject:
    """Return the parameters that were given, as their kinds.

    An unknown one is refused, as an unknown key of a body is: a misspelt `return_vectors` would
    otherwise be dropped in silence. Of a repeated one the last counts.
    """
    known = {param.name: param for param in params}
    values: JsonObject = {}
    problems: list[Problem] = []
    for name, given in query.items():
        param = known.get(name)
        if param is None:
            message = f"unknown query parameter {name[:100]!r}"
            problems.append(
                Problem(f"query.{name[:100]}", message, "extra_forbidden", sorted(known))
            )
            continue
        try:
            values[name] = _read_param(param, given[-1] if given else "")
        except ValueError as error:
            problems.append(Problem(f"query.{name}", str(error)))
    if problems:
        raise InvalidRequestError(f"{problems[0].path}: {problems[0].message}", problems)
    return values


def merge_query(body: JsonObject, query: JsonObject, params: Iterable[Param]) -> JsonObject:
    """Return the body with the parameters that stand for its keys."""
    merged = dict(body)
    for param in params:
        if param.field is None or param.name not in query:
            continue
        if param.either:
            merged[param.field] = merged.get(param.field) or query[param.name]
        else:
            for alias in params:
                if alias.field == param.field:
                    merged.pop(alias.name, None)
            merged[param.field] = query[param.name]
    return merged


def _read_param(param: Param, text: str) -> Any:
    if param.kind == "boolean":
        lowered = text.lower()
        if lowered not in _TRUE | _FALSE:
            raise ValueError("expected true or false")
        return lowered in _TRUE
    if param.kind == "integer":
        if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) < 16):
            raise ValueError("expected a whole number")
        return int(text)
    return text


def _within_depth(value: JsonValue) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[JsonValue] = []
        for node in level:
            children = node.values() if isinstance(node, dict) else node
            # A vector is recognized at C speed, and not walked.
            if not {dict, list}.isdisjoint(map(type, children)):
                inner += [child for child in children if isinstance(child, dict | list)]
        level = inner
        if not level:
            return True
    return False


def _too_deep() -> InvalidRequestError:
    message = f"the body is nested deeper than {MAX_DEPTH} levels"
    return InvalidRequestError(
        message, [Problem("", message, "too_deep")], limits={"max_depth": MAX_DEPTH}
    )
