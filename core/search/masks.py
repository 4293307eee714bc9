"""Filters as row masks: a condition costs one evaluation per distinct value, not per row."""

from collections.abc import Callable
from typing import Final

import numpy as np

from core.arrays import Mask
from core.errors import DeadlineError
from core.filtering.nodes import And, Condition, Filter, Or
from core.filtering.operators import predicate_of
from core.search.columns import Column

Columns = Callable[[str], Column]

# A regular expression takes a microsecond a value, an English stem fifty.
_VALUES_BETWEEN_STOPS: Final = 512


def mask_for(
    tree: Filter, columns: Columns, count: int, stop: Callable[[], bool] = lambda: False
) -> Mask:
    """Return (count,) bool: which rows satisfy the filter.

    `columns(path)` gives the column of a field over the same rows. The predicate is the very
    function that filters single documents, so the mask equals `matches` row by row. The array is
    fresh: the caller may change it. `stop` is asked now and then; once true, `DeadlineError`.
    """
    if isinstance(tree, Condition):
        return _condition_mask(tree, columns(tree.field), stop)
    if isinstance(tree, And):
        mask = np.ones(count, np.bool_)
        for part in tree.parts:
            # No row is left: the remaining conditions need no column and no evaluation.
            if not mask.any():
                break
            mask &= mask_for(part, columns, count, stop)
        return mask
    mask = np.zeros(count, np.bool_)
    for part in tree.parts:
        if mask.all():
            break
        mask |= mask_for(part, columns, count, stop)
    return mask if isinstance(tree, Or) else ~mask


def _condition_mask(condition: Condition, column: Column, stop: Callable[[], bool]) -> Mask:
    predicate = predicate_of(condition)
    values = column.values
    holds = np.zeros(len(values), np.bool_)
    for start in range(0, len(values), _VALUES_BETWEEN_STOPS):
        if stop():
            raise DeadlineError("time ran out while a filter was evaluated")
        part = values[start : start + _VALUES_BETWEEN_STOPS]
        holds[start : start + len(part)] = [predicate(value) for value in part]
    # `take` of nothing fails on an empty table even when there is no row to look up.
    return holds[column.codes] if len(values) else np.zeros(len(column.codes), np.bool_)
