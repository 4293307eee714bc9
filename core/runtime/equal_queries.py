"""Equal queries of one batch: found without writing each out, run once, answered each."""

from collections import Counter
from collections.abc import Hashable, Sequence

import orjson

from core.ids import new_id
from core.models.execution import BatchQuery
from core.types import JsonObject, JsonValue


def group_equal(queries: Sequence[BatchQuery], *, dedupe: bool) -> list[list[int]]:
    """Return the indexes of equal queries together, in order of first appearance.

    Equal is what is the same JSON, whatever the order of its keys: 1 is not 1.0, nor true.
    """
    if not dedupe:
        return [[index] for index in range(len(queries))]
    # A vector takes longer to write than to search with: only what looks alike is written out.
    looks = [_look_of(query) for query in queries]
    count = Counter(looks)
    groups: dict[Hashable, list[int]] = {}
    for index, (query, look) in enumerate(zip(queries, looks, strict=True)):
        groups.setdefault(look if count[look] == 1 else _written(query), []).append(index)
    return list(groups.values())


def copies_of(result: JsonObject, indexes: Sequence[int]) -> list[JsonObject]:
    """Return the result for each of the equal queries: the first ran, the others reuse it."""
    first, *others = indexes
    copies = [{**result, "index": first}]
    for index in others:
        execution_id = new_id("exec")
        copies.append(
            {**result, "index": index, "execution_id": execution_id, "duplicate_of": first}
        )
    return copies


def _look_of(query: BatchQuery) -> Hashable:
    """Return something short that equal queries have in common."""
    inputs = query.inputs
    return tuple((name, _glance(inputs[name])) for name in sorted(inputs))


def _glance(value: JsonValue) -> Hashable:
    if isinstance(value, list):
        first = value[0] if value else None
        return len(value), None if isinstance(first, list | dict) else first
    return tuple(sorted(value)) if isinstance(value, dict) else value


def _written(query: BatchQuery) -> bytes:
    return orjson.dumps([query.inputs, query.filters], option=orjson.OPT_SORT_KEYS)
