"""Rows: the documents on their way through the stages."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.types import ReadOnlyObject


@dataclass(frozen=True, slots=True)
class Source:
    """Where a row's stored document lies in the pinned snapshots of this execution."""

    collection_id: str
    part: int
    row: int


@dataclass(frozen=True, slots=True)
class Row:
    """One document on its way through the stages.

    `fields` is what stages read and write: the payload's fields loaded so far, everything that
    stages computed, and `document_id`, `collection_id`, `score` where there is one. It is never
    changed in place. `source` is None for rows that stand for no stored document. `partial` says
    that stored fields may be missing from `fields` until the row is hydrated.
    """

    document_id: str
    fields: ReadOnlyObject
    source: Source | None = None
    partial: bool = False

    def with_fields(self, changes: ReadOnlyObject) -> "Row":
        """Return the row with these fields set."""
        # Not dataclasses.replace, which takes five times as long: this runs per row and stage.
        return Row(self.document_id, {**self.fields, **changes}, self.source, self.partial)


Rows = Sequence[Row]
