"""What a route is, and finding the one that a request means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any, Literal
from urllib.parse import unquote

from core.auth.principals import Permission
from handlers.http.statuses import MethodNotAllowedError, RouteNotFoundError

# open: no key. account: a key, no namespace. namespace: the header's. path: the path's own.
Scope = Literal["open", "account", "namespace", "path"]
Kind = Literal["string", "integer", "boolean"]


@dataclass(frozen=True, slots=True)
class Param:
    """A query parameter. With `field` it sets that key of the body, which it wins over; a true
    `either` is or-ed with it instead."""

    name: str
    kind: Kind = "string"
    description: str = ""
    field: str | None = None
    either: bool = False


@dataclass(frozen=True)
class Route:
    """One operation. `function`, `body` and `answer` are `module:name`, imported at first use, so
    that a cold start pays only for the route it serves; a test imports them all."""

    method: str
    path: str
    function: str
    summary: str
    scope: Scope = "namespace"
    permission: Permission = "read"
    body: str | None = None
    answer: str | None = None
    # The model of a 202, for work that is not done yet.
    accepted: str | None = None
    query: tuple[Param, ...] = ()
    # Problems of type too_long at a path tell the limit under this name.
    limits: Mapping[str, tuple[str, int]] | None = None
    streams: bool = False

    @property
    def operation_id(self) -> str:
        """The function's own name: unique among the routes."""
        return self.function.partition(":")[2]

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """The path's parts, `{name}` where anything may stand."""
        return tuple(self.path.strip("/").split("/"))

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """The names in the path, in order."""
        return tuple(part[1:-1] for part in self.segments if part.startswith("{"))

    def run(self) -> Any:
        """Return the operation's function."""
        return load(self.function)

    def body_model(self) -> Any:
        """Return the model of the body, None if it takes none."""
        return None if self.body is None else load(self.body)


def load(reference: str) -> Any:
    """Return what `module:name` names."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)


class RouteTable:
    """Finds routes by method and path; a fixed part of a path wins over a variable one."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._by_length: dict[int, list[Route]] = {}
        for route in routes:
            self._by_length.setdefault(len(route.segments), []).append(route)
        for group in self._by_length.values():
            group.sort(key=lambda route: [part.startswith("{") for part in route.segments])

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """Return the route and the values of its path; `RouteNotFoundError` or
        `MethodNotAllowedError`, which tells the methods there are."""
        parts = tuple(path.strip("/").split("/"))
        allowed: list[str] = []
        for route in self._by_length.get(len(parts), ()):
            values = _match(route.segments, parts)
            if values is None:
                continue
            if route.method == method:
                return route, values
            allowed.append(route.method)
        if allowed:
            methods = sorted(set(allowed))
            raise MethodNotAllowedError(
                f"{method} is not allowed here; {', '.join(methods)} is", allowed=methods
            )
        raise RouteNotFoundError(f"no such path: {path[:200]}")


def _match(segments: Sequence[str], parts: Sequence[str]) -> dict[str, str] | None:
    values: dict[str, str] = {}
    for segment, part in zip(segments, parts, strict=True):
        if segment.startswith("{"):
            if not part:
                return None
            values[segment[1:-1]] = unquote(part)
        elif segment != part:
            return None
    return values
