"""Evaluating a filter on one document."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from core.errors import FilterError
from core.filtering.nodes import And, Condition, Filter, Or
from core.filtering.paths import resolve
from core.filtering.predicates import OPERATORS, Predicate


@lru_cache(maxsize=256)
def predicate_of(condition: Condition) -> Predicate:
    """Return the condition as a pure function of one stored value (or MISSING).

    Cached, since a query asks once per document and a batch repeats its filters. Raises
    `FilterError` for a condition whose templates were not rendered.
    """
    if condition.templated:
        raise FilterError(
            f"{condition.field_path}: the condition on {condition.field!r} is not rendered"
        )
    return OPERATORS[condition.operator].build(condition.value, condition.case_sensitive)


def matches(tree: Filter, document: Mapping[str, Any]) -> bool:
    """Say whether `document` satisfies the filter."""
    if isinstance(tree, Condition):
        return predicate_of(tree)(resolve(document, tree.field))
    if isinstance(tree, And):
        return all(matches(part, document) for part in tree.parts)
    if isinstance(tree, Or):
        return any(matches(part, document) for part in tree.parts)
    return not any(matches(part, document) for part in tree.parts)
