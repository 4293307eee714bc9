"""Pages: every method shows every row once, and what is no position is refused."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidRequestError
from core.models.execution import (
    CursorPagination,
    KeysetPagination,
    OffsetPagination,
    Pagination,
    ScrollPagination,
)
from core.rows.row import Row, Source
from core.runtime.pages import page_rows
from core.types import JsonObject

Turn = Callable[[JsonObject | None, int], Pagination]

TURNS: dict[str, Turn] = {
    "offset": lambda last, size: OffsetPagination(
        method="offset", page_size=size, page_number=1 if last is None else last["page_number"] + 1
    ),
    "cursor": lambda last, size: CursorPagination(limit=size, cursor=last and last["cursor"]),
    "scroll": lambda last, size: ScrollPagination(
        method="scroll", limit=size, scroll_id=last and last["scroll_id"]
    ),
    "keyset": lambda last, size: KeysetPagination(
        method="keyset", limit=size, after=last and last["after"]
    ),
}


def make_rows(identities: Sequence[tuple[str, str | None]]) -> list[Row]:
    return [
        Row(name, {"n": n, "score": 0.5}, None if place is None else Source(place, 0, 0))
        for n, (name, place) in enumerate(identities)
    ]


# Few names: an id stands in two collections, and an unwound document has several rows.
identities = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["col_1", "col_2", None])), max_size=12
)


@settings(derandomize=True, deadline=None, max_examples=80)
@given(identities, st.integers(1, 5), st.sampled_from(sorted(TURNS)))
def test_turning_all_pages_shows_every_row_once(
    names: list[tuple[str, str | None]], size: int, method: str
) -> None:
    rows = make_rows(names)
    seen: list[Row] = []
    last: JsonObject | None = None
    while last is None or last["has_next"]:
        page, last = page_rows(rows, TURNS[method](last, size))
        assert last["returned"] == len(page)
        assert last["total"] == len(rows)
        assert len(page) > 0 or not rows
        seen += page
    assert seen == rows


@pytest.mark.parametrize(
    "after",
    [
        {},
        {"document_id": "z"},
        {"document_id": ["a"]},
        {"document_id": "a", "collection_id": "col_9"},
        {"document_id": "a", "occurrence": 1},
        {"document_id": "a", "occurrence": -1},
        {"document_id": "a", "occurrence": "0"},
        {"document_id": "a", "occurrence": None},
        {"occurrence": 0},
        {"score": 0.5},
    ],
)
def test_a_place_after_nothing_that_is_there_is_refused(after: dict[str, Any]) -> None:
    rows = make_rows([("a", "col_1"), ("b", "col_1")])
    with pytest.raises(InvalidRequestError) as caught:
        page_rows(rows, KeysetPagination(method="keyset", after=after))
    assert caught.value.problems[0].path == "pagination.after"


def test_the_contracts_own_key_is_enough_where_it_is_clear() -> None:
    rows = make_rows([("a", "col_1"), ("b", "col_1")])
    after = {"score": 0.5, "document_id": "a"}
    page, _ = page_rows(rows, KeysetPagination(method="keyset", after=after))
    assert [row.document_id for row in page] == ["b"]


@pytest.mark.parametrize(
    "token", ["", "x", "é", "e30=", "W10=", "eyJvZmZzZXQiOi0xfQ==", "bnVsbA=="]
)
def test_a_cursor_of_somewhere_else_is_refused(token: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        page_rows([], CursorPagination(cursor=token))
    assert caught.value.problems[0].path == "pagination.cursor"
