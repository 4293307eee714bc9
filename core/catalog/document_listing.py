"""Lists of documents: filtered by column, in order of ids or of one field, a page at a time.

A file of several chunks is one entry: the row of its first chunk stands for it, under its own id.
"""

import base64
import binascii
import heapq
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.catalog.document_fields import document_json
from core.catalog.paging import Page, page_of, page_size, pagination_json
from core.errors import InvalidRequestError, Problem
from core.filtering.conditions import parse_filter
from core.filtering.nodes import Filter
from core.filtering.paths import MISSING
from core.models.documents import DocumentList
from core.models.listing import Sort
from core.rows.ordering import comparable_column, stable_order
from core.search.columns import Column
from core.search.masks import mask_for
from core.storage.files import (
    count_chunks,
    file_column,
    file_fields,
    live_rows_of,
    root_of,
    shown_rows,
)
from core.storage.id_table import IdTable
from core.storage.snapshot import Part, Ref, Snapshot
from core.types import JsonObject, JsonValue

Found = tuple[str, Ref]
Rows = NDArray[np.intp]  # of one segment


def list_documents(snapshot: Snapshot, request: DocumentList) -> JsonObject:
    """Return one page: `results`, `pagination`, and the total where it was asked for.

    Without a sort documents come by id and a cursor names the last id seen, so that a page is
    found at once however far it is; with one the cursor is a position.
    """
    tree = None if request.filters is None else parse_filter(request.filters, templates=False)
    by_id = request.sort is None
    after = _read_after(request.cursor) if by_id else None
    page = page_of(request) if after is None else Page(0, page_size(request))
    rows = _passing_rows(snapshot, tree)
    found = _matching(snapshot, rows, request, after)
    total = None
    if request.sort is not None:
        everything = _sorted(snapshot, list(found), request.sort)
        total, found = len(everything), iter(everything)
    elif request.include_total and request.search:
        total = sum(1 for _ in _matching(snapshot, rows, request, None))
    elif request.include_total:
        total = sum(map(len, rows))
    window = list(islice(found, page.start, page.start + page.limit + 1))
    shown, more = window[: page.limit], len(window) > page.limit
    pagination = pagination_json(page, shown=len(shown), total=total, more=more)
    if more and by_id:
        pagination["next_cursor"] = _write_after(shown[-1][0])
    body: JsonObject = {
        "results": _answers(snapshot, shown, request),
        "pagination": pagination,
        "snapshot": snapshot.version,
    }
    if request.include_total:
        body["total_documents"] = total
    return body


def matching_ids(snapshot: Snapshot, raw_filter: JsonValue) -> list[str]:
    """Return the ids of the documents and files that pass a filter, ascending.

    A filter that holds no condition is refused: it would mean every document.
    """
    tree = parse_filter(raw_filter, templates=False)
    if tree is None:
        message = "the filter holds no condition; it would mean every document"
        raise InvalidRequestError(message, [Problem("filters", message)])
    found = _refs(snapshot, _passing_rows(snapshot, tree))
    return sorted(root_of(one, snapshot.payload(ref)) or one for one, ref in found)


def _matching(
    snapshot: Snapshot, rows: Sequence[Rows], request: DocumentList, after: str | None
) -> Iterator[Found]:
    found = _refs(snapshot, rows, after)
    wanted = request.search
    if not wanted:
        return found
    exact = request.case_sensitive
    wanted = wanted if exact else wanted.lower()
    return ((one, ref) for one, ref in found if _holds(snapshot.payload(ref), wanted, exact))


def _passing_rows(snapshot: Snapshot, tree: Filter | None) -> list[Rows]:
    """Return, for each part, the rows of entries that pass the filter, ascending."""
    return [_passing_of(snapshot, n, part, tree) for n, part in enumerate(snapshot.parts)]


def _passing_of(snapshot: Snapshot, number: int, part: Part, tree: Filter | None) -> Rows:
    mask = live_rows_of(part)
    shown = shown_rows(snapshot, number)
    if shown is not None:
        mask = mask & shown
    if tree is not None:
        mask = mask & mask_for(tree, partial(_column, snapshot, part), part.segment.count)
    return np.flatnonzero(mask)


def _column(snapshot: Snapshot, part: Part, path: str) -> Column:
    return file_column(part.segment) if path == "document_id" else snapshot.column(part, path)


def _refs(snapshot: Snapshot, rows: Sequence[Rows], after: str | None = None) -> Iterator[Found]:
    """Yield the documents of these rows in ascending order of ids, those past `after`."""
    runs = [_part_refs(snapshot.parts[n].segment.ids, n, rows[n], after) for n in range(len(rows))]
    return heapq.merge(*runs, key=lambda pair: pair[0])


def _part_refs(ids: IdTable, number: int, rows: Rows, after: str | None) -> Iterator[Found]:
    start = 0 if after is None else int(np.searchsorted(rows, ids.after(after)))
    for row in map(int, rows[start:]):
        yield ids[row], Ref(number, row)


def _holds(value: JsonValue, wanted: str, case_sensitive: bool) -> bool:
    """Say whether any text within `value` contains `wanted`; `_internal` is not looked at."""
    if isinstance(value, str):
        return wanted in (value if case_sensitive else value.lower())
    if isinstance(value, dict):
        inner = (item for name, item in value.items() if name != "_internal")
        return any(_holds(item, wanted, case_sensitive) for item in inner)
    return isinstance(value, list) and any(_holds(v, wanted, case_sensitive) for v in value)


def _sorted(snapshot: Snapshot, found: Sequence[Found], sort: Sort) -> list[Found]:
    columns = [_column(snapshot, part, sort.field) for part in snapshot.parts]
    values: list[JsonValue] = []
    for _, ref in found:
        column = columns[ref.part]
        value = column.values[column.codes[ref.row]]
        values.append(None if value is MISSING else value)
    order = stable_order(comparable_column(values), descending=sort.direction == "desc")
    return [found[position] for position in order]


def _answers(snapshot: Snapshot, found: Sequence[Found], request: DocumentList) -> list[JsonObject]:
    fields = [snapshot.payload(ref) for _, ref in found]
    roots = [root_of(one, of_one) for (one, _), of_one in zip(found, fields, strict=True)]
    chunks = count_chunks(snapshot, [root for root in roots if root is not None])
    vectors = _vectors(snapshot, found, roots) if request.return_vectors else {}
    entries = []
    for (one, ref), of_one, root in zip(found, fields, roots, strict=True):
        shown = of_one if root is None else file_fields(of_one, chunks[root])
        entries.append(
            document_json(
                root or one, snapshot.collection_id, shown, vectors.get(ref), request.select
            )
        )
    return entries


def _vectors(
    snapshot: Snapshot, found: Sequence[Found], roots: Sequence[str | None]
) -> dict[Ref, dict[str, NDArray[Any]]]:
    """Return the vectors of those that have some; of a file of several chunks each has its own."""
    own = [ref for (_, ref), root in zip(found, roots, strict=True) if root is None]
    return dict(zip(own, snapshot.vectors_of(own), strict=True))


def _write_after(document_id: str) -> str:
    return base64.urlsafe_b64encode(f"i{document_id}".encode()).decode().rstrip("=")


def _read_after(cursor: str | None) -> str | None:
    """Return the id that a cursor continues after, None for a cursor by position."""
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        plain = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        return None  # page_of refuses it with its own words
    return plain[1:] if plain[:1] == "i" else None
