"""Pages of one execution's rows, by the contract's four methods."""

import base64
import binascii
from collections.abc import Sequence

import orjson

from core.errors import InvalidRequestError, Problem
from core.models.execution import (
    CursorPagination,
    ExecuteRequest,
    KeysetPagination,
    OffsetPagination,
    Pagination,
    ScrollPagination,
)
from core.plan.compile import CompiledPlan
from core.rows.row import Row
from core.types import JsonObject

DEFAULT_LIMIT = 10  # documents of a query that says nothing else


def choose_pagination(request: ExecuteRequest, plan: CompiledPlan) -> Pagination:
    """Return the pagination asked for; by default a cursor of as many as a search keeps."""
    if request.pagination is not None:
        return request.pagination
    declared = [stage.node.parameters.get("final_top_k") for stage in plan.stages]
    sizes = [size for size in declared if isinstance(size, int)]
    size = request.limit or request.settings.limit or (sizes[-1] if sizes else DEFAULT_LIMIT)
    return CursorPagination(limit=min(size, 500))


def ignored_sizes(request: ExecuteRequest, size: int) -> list[str]:
    """Return a warning for each other place that asked for another number of documents."""
    asked = {"limit": request.limit, "settings.limit": request.settings.limit}
    return [
        f"{name} {other} is not used: the page asked for has {size}"
        for name, other in asked.items()
        if other not in (None, size)
    ]


def page_size(asked: Pagination) -> int:
    """Return how many rows a page may hold."""
    return asked.page_size if asked.method == "offset" else asked.limit


def first_rows(rows: Sequence[Row], *, limit: int) -> tuple[Sequence[Row], JsonObject]:
    """Return the first rows, as a batch shows them, and nothing to say about them."""
    return rows[:limit], {}


def show_page(rows: Sequence[Row], *, asked: Pagination) -> tuple[Sequence[Row], JsonObject]:
    """Return one page, as a single execution shows it, and what its answer says about it."""
    page, body = page_rows(rows, asked)
    return page, {"pagination": body}


def page_rows(rows: Sequence[Row], asked: Pagination) -> tuple[Sequence[Row], JsonObject]:
    """Return one page of the rows and the contract's `pagination` object for it.

    Every call runs the pipeline again on its own snapshot: a cursor is a position in the result,
    not a frozen copy of it. Raises `InvalidRequestError` for a cursor that is none of ours.
    """
    match asked:
        case OffsetPagination():
            size, start = asked.page_size, (asked.page_number - 1) * asked.page_size
            body: JsonObject = {"page_number": asked.page_number, "page_size": size}
        case CursorPagination():
            size, start = asked.limit, _read_position(asked.cursor, "pagination.cursor")
            body = {"limit": size}
        case ScrollPagination():
            size, start = asked.limit, _read_position(asked.scroll_id, "pagination.scroll_id")
            body = {"limit": size}
        case KeysetPagination():
            size, start = asked.limit, _position_after(rows, asked.after)
            body = {"limit": size}
    page = rows[start : start + size]
    end = start + len(page)
    more = end < len(rows)
    body |= {"method": asked.method, "returned": len(page), "total": len(rows), "has_next": more}
    if isinstance(asked, CursorPagination):
        body["cursor"] = _write_position(end) if more else None
    elif isinstance(asked, ScrollPagination):
        body["scroll_id"] = _write_position(end) if more else None
    elif isinstance(asked, KeysetPagination):
        body["after"] = _key_of(rows, end - 1) if more and page else None
    return page, body


def _write_position(offset: int) -> str:
    return base64.urlsafe_b64encode(orjson.dumps({"offset": offset})).decode()


def _read_position(token: str | None, path: str) -> int:
    if token is None:
        return 0
    try:
        offset = orjson.loads(base64.urlsafe_b64decode(token))["offset"]
        if isinstance(offset, int) and not isinstance(offset, bool) and offset >= 0:
            return offset
    except (binascii.Error, ValueError, KeyError, TypeError):
        pass
    problem = Problem(path, "not a position that an earlier answer gave", "invalid_cursor")
    raise InvalidRequestError(problem.message, [problem])


def _key_of(rows: Sequence[Row], last: int) -> JsonObject:
    """Return what names the row at `last`: an id alone may stand in two collections, and a stage
    that takes documents apart makes several rows of one."""
    row = rows[last]
    key = {"score": row.fields.get("score"), **_identity(row)}
    return {**key, "occurrence": sum(_identity(one) == _identity(row) for one in rows[:last])}


def _identity(row: Row) -> JsonObject:
    collection = None if row.source is None else row.source.collection_id
    return {"document_id": row.document_id, "collection_id": collection}


def _position_after(rows: Sequence[Row], after: JsonObject | None) -> int:
    if after is None:
        return 0
    skip, found = after.get("occurrence", 0), []
    if "document_id" in after or "collection_id" in after:
        found = [n for n, row in enumerate(rows) if _is_named(row, after)]
    if isinstance(skip, int) and 0 <= skip < len(found):
        return found[skip] + 1
    problem = Problem("pagination.after", "names no document of this result", "invalid_cursor")
    raise InvalidRequestError(problem.message, [problem])


def _is_named(row: Row, after: JsonObject) -> bool:
    return all(after.get(name, own) == own for name, own in _identity(row).items())
