"""One page of a list: filters, order and cursor over things that fit in memory."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import InvalidRequestError, Problem
from core.models.listing import ListRequest, Sort
from core.types import JsonObject

DEFAULT_PAGE = 10


@dataclass(frozen=True, slots=True)
class Page:
    """Where a page begins and how many it may hold."""

    start: int
    limit: int


def page_of(request: ListRequest, *, default: int = DEFAULT_PAGE) -> Page:
    """Return the page that a request means; a cursor wins over an offset, that over a number."""
    limit = page_size(request, default)
    if request.cursor:
        return Page(_read_cursor(request.cursor), limit)
    if request.offset is not None:
        return Page(request.offset, limit)
    return Page(((request.page or 1) - 1) * limit, limit)


def page_size(request: ListRequest, default: int = DEFAULT_PAGE) -> int:
    """Return how many a page may hold."""
    return request.limit or default


def write_cursor(start: int) -> str:
    """Return the opaque text that continues a list at `start`."""
    return base64.urlsafe_b64encode(f"o{start}".encode()).decode().rstrip("=")


def _read_cursor(text: str) -> int:
    try:
        padded = text + "=" * (-len(text) % 4)
        plain = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
        start = int(plain[1:]) if plain[:1] == "o" and plain[1:].isdigit() else -1
    except (ValueError, binascii.Error):
        start = -1
    if not 0 <= start <= 10**9:
        message = "not a cursor of this list; start again without one"
        raise InvalidRequestError(f"cursor: {message}", [Problem("cursor", message)])
    return start


def pagination_json(page: Page, *, shown: int, total: int | None, more: bool) -> JsonObject:
    """Return what a list says about its page; `total` only where it was counted."""
    following = page.start + page.limit
    body: JsonObject = {
        "page": page.start // page.limit + 1,
        "page_size": page.limit,
        "returned": shown,
        "has_next": more,
        "next_cursor": write_cursor(following) if more else None,
    }
    if total is not None:
        body["total"] = total
        body["total_pages"] = -(-total // page.limit)
    return body


def list_items(
    items: Sequence[JsonObject],
    request: ListRequest,
    *,
    name_field: str,
    id_field: str,
) -> tuple[list[JsonObject], JsonObject, int]:
    """Return the page's items, its pagination, and how many there are in all.

    Without a sort the newest stand first, as a dashboard wants them; ties go by id.
    """
    kept = [item for item in items if _matches_search(item, request, name_field)]
    kept = _filtered(kept, request)
    kept.sort(key=lambda item: str(item[id_field]))
    if request.sort is None:
        kept.sort(key=lambda item: str(item.get("created_at", "")), reverse=True)
    else:
        kept = [kept[i] for i in sorted_positions(kept, request.sort)]
    page = page_of(request)
    shown = kept[page.start : page.start + page.limit]
    more = page.start + page.limit < len(kept)
    return shown, pagination_json(page, shown=len(shown), total=len(kept), more=more), len(kept)


def _matches_search(item: JsonObject, request: ListRequest, name_field: str) -> bool:
    if not request.search:
        return True
    name, wanted = str(item[name_field]), request.search
    return wanted in name if request.case_sensitive else wanted.lower() in name.lower()


def _filtered(items: list[JsonObject], request: ListRequest) -> list[JsonObject]:
    if request.filters is None:
        return items
    from core.filtering.conditions import parse_filter
    from core.filtering.operators import matches

    tree = parse_filter(request.filters, templates=False)
    if tree is None:
        return items
    return [item for item in items if matches(tree, item)]


def sorted_positions(items: Sequence[JsonObject], sort: Sort) -> list[int]:
    """Return the positions of documents in the asked order; equal ones stay as they came."""
    from core.filtering.paths import MISSING, resolve
    from core.rows.ordering import comparable_column, stable_order

    values = [resolve(item, sort.field) for item in items]
    keys = comparable_column([None if value is MISSING else value for value in values])
    return stable_order(keys, descending=sort.direction == "desc")
