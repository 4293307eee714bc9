"""Ids in place: the table against Python's own sorting and sets."""

from bisect import bisect_right
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.storage.id_table import IdTable, encode_id

IDS = st.sets(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), max_size=40)
# Short ids of few letters meet often, which random ones would not.
DENSE = st.sets(st.text("ab😀～", max_size=3), max_size=40)


def _build(ids: set[str]) -> IdTable:
    return IdTable.build([encode_id(one) for one in sorted(ids)])


@settings(derandomize=True, deadline=None, max_examples=150)
@given(IDS | DENSE, IDS | DENSE)
def test_finding_and_paging_are_those_of_a_sorted_list(ids: set[str], asked: set[str]) -> None:
    table, ordered = _build(ids), sorted(ids)
    assert list(table) == ordered
    assert len(table) == len(ordered)
    for one in ids | asked:
        assert table.find(one) == (ordered.index(one) if one in ids else -1)
        assert table.after(one) == bisect_right(ordered, one)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(DENSE, DENSE, st.booleans())
def test_common_ids_are_those_of_the_sets(mine: set[str], other: set[str], collide: bool) -> None:
    table, others = _build(mine), _build(other)
    if collide:
        # Every id with one hash: only the bytes can tell them apart.
        table = replace(table, hashes=np.zeros(len(table), np.uint64))
        others = replace(others, hashes=np.zeros(len(others), np.uint64))
    found = {table[row] for row in table.rows_of(others).tolist()}
    assert found == mine & other


@settings(derandomize=True, deadline=None, max_examples=50)
@given(IDS)
def test_a_stored_table_is_the_same(ids: set[str]) -> None:
    sections = _build(ids).to_sections("ids")
    assert list(IdTable.from_sections("ids", sections)) == sorted(ids)


@pytest.mark.parametrize("row", [-1, 2, 99])
def test_rows_outside_are_an_error_not_another_document(row: int) -> None:
    with pytest.raises(IndexError):
        _build({"a", "b"})[row]


def test_what_is_no_text_is_not_found() -> None:
    assert _build({"a", "b"}).find("\ud800") == -1
