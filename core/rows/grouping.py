"""Rows grouped by a field's value, shared by the stages that group, sample and aggregate."""

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from core.rows.ordering import stable_order
from core.rows.row import Row, Rows
from core.rows.values import canonical, number_or_none, value_at
from core.types import JsonValue

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


def gather(items: Iterable[T], key_of: Callable[[T], K]) -> dict[K, list[T]]:
    """Return the items by key: keys by first appearance, items of a key as they came."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key_of(item), []).append(item)
    return groups


def by_score(rows: Rows) -> list[Row]:
    """Return rows by `score`, best first; ties as they came, rows without a score last."""
    scores = [number_or_none(row.fields.get("score")) for row in rows]
    return [rows[i] for i in stable_order(scores, descending=True)]


def group_rows(
    rows: Rows, key_path: str, max_per_group: int | None = None
) -> list[tuple[JsonValue, list[Row]]]:
    """Group rows by the value at a dot path: (value, rows) per group.

    Groups stand by first appearance, so that best hits first means best groups first; within a
    group rows stand by score (`by_score`), the first `max_per_group` of them. A missing value
    and null are one group, of the key None. An array or object is one value: unwind an array
    first to group by its elements.
    """
    groups = gather(rows, lambda row: canonical(value_at(row.fields, key_path)))
    return [
        (value_at(members[0].fields, key_path), by_score(members)[:max_per_group])
        for members in groups.values()
    ]


def group_row(key: JsonValue, members: Rows, documents: Rows) -> Row:
    """Return the row that stands for a group: `{group_key, count, score, documents}`.

    `members` are all its rows, best first; `documents` those to show, with every stored field.
    Its id is `group:` and the key as JSON; it has no stored document.
    """
    name = f"group:{canonical(key)}"
    fields = {
        "document_id": name,
        "group_key": key,
        "count": len(members),
        "score": number_or_none(members[0].fields.get("score")),
        "documents": [{"document_id": row.document_id, **row.fields} for row in documents],
    }
    return Row(name, fields)
