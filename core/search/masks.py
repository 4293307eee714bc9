"""Filters as row masks: a condition costs one evaluation per distinct value, not per row."""

from collections.abc import Callable

import numpy as np

from core.filtering.nodes import And, Condition, Filter, Or
from core.filtering.operators import predicate_of
from core.search.columns import Column
from core.types import Mask

Columns = Callable[[str], Column]


def mask_for(tree: Filter, columns: Columns, count: int) -> Mask:
    """Return (count,) bool: which rows satisfy the filter.

    `columns(path)` gives the column of a field over the same rows. The predicate is the very
    function that filters single documents, so the mask equals `matches` row by row. The array is
    fresh: the caller may change it.
    """
    if isinstance(tree, Condition):
        return _condition_mask(tree, columns(tree.field))
    if isinstance(tree, And):
        mask = np.ones(count, np.bool_)
        for part in tree.parts:
            # No row is left: the remaining conditions need no column and no evaluation.
            if not mask.any():
                break
            mask &= mask_for(part, columns, count)
        return mask
    mask = np.zeros(count, np.bool_)
    for part in tree.parts:
        if mask.all():
            break
        mask |= mask_for(part, columns, count)
    return mask if isinstance(tree, Or) else ~mask


def _condition_mask(condition: Condition, column: Column) -> Mask:
    predicate = predicate_of(condition)
    values = column.values
    holds = np.fromiter((predicate(value) for value in values), np.bool_, len(values))
    # `take` of nothing fails on an empty table even when there is no row to look up.
    return holds[column.codes] if len(values) else np.zeros(len(column.codes), np.bool_)
