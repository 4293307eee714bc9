"""What a filter is once it was read: a frozen, hashable tree."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from dataclasses import field as attribute

from core.filtering.predicates import OPERATORS, canonical
from core.types import JsonObject, JsonValue


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """One comparison. `case_sensitive` is resolved: the operator's default is already applied.

    `templated` says that field or value still hold templates: such a condition cannot be
    evaluated. A rendered value may contain braces that came from data, so this is a fact, not
    something to sniff. The paths say where the request held it; they take no part in equality.
    """

    field: str
    operator: str
    value: JsonValue
    case_sensitive: bool = True
    templated: bool = False
    field_path: str = "filters.field"
    value_path: str = "filters.value"
    key: str = attribute(init=False, repr=False)

    def __post_init__(self) -> None:
        parts = [self.field, self.operator, self.value, self.case_sensitive, self.templated]
        object.__setattr__(self, "key", canonical(parts))

    # By key: as Python values True == 1 == 1.0, and lists have no hash.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Condition) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True, slots=True)
class And:
    """Holds if every part does; with no part, always."""

    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Holds if at least one part does."""

    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Holds if none of the parts does."""

    parts: tuple["Filter", ...]


Filter = Condition | And | Or | Not


def conjoin(filters: Iterable[Filter | None]) -> Filter | None:
    """Return the filter that holds where all do; None if there is none. Nested Ands are merged
    and equal parts kept once, so that filters which mean the same more often compare equal.
    """
    parts: dict[Filter, None] = {}
    for part in filters:
        if part is not None:
            parts.update(dict.fromkeys(part.parts if isinstance(part, And) else (part,)))
    if len(parts) == 1:
        return next(iter(parts))
    return And(tuple(parts)) if parts else None


def conditions_of(tree: Filter) -> Iterator[Condition]:
    """Yield every condition of the tree, left to right."""
    pending: list[Filter] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, Condition):
            yield node
        else:
            pending.extend(reversed(node.parts))


def fields_of(tree: Filter) -> frozenset[str]:
    """Return the paths that the filter reads; templated ones appear as written."""
    return frozenset(condition.field for condition in conditions_of(tree))


def is_templated(tree: Filter) -> bool:
    """Say whether the filter must be rendered before it can be evaluated."""
    return any(condition.templated for condition in conditions_of(tree))


def filter_to_json(tree: Filter) -> JsonObject:
    """Return the wire form; `parse_filter` of it gives an equal tree."""
    if isinstance(tree, Condition):
        body = {"field": tree.field, "operator": tree.operator, "value": tree.value}
        default = OPERATORS[tree.operator].case_default
        if default is not None and tree.case_sensitive != default:
            body["case_sensitive"] = tree.case_sensitive
        return body
    return {type(tree).__name__.upper(): [filter_to_json(part) for part in tree.parts]}


def filter_key(tree: Filter | None) -> str:
    """Return a text that equal filters share: a cache key."""
    return "" if tree is None else _key(tree)


def _key(tree: Filter) -> str:
    if isinstance(tree, Condition):
        return tree.key
    return f"{type(tree).__name__}({','.join(_key(part) for part in tree.parts)})"
