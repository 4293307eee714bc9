"""Attribute columns against the plain reading of each document."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.filtering.paths import MISSING, resolve
from core.search.columns import build_column

VALUES = st.recursive(
    st.sampled_from([0, 1, 1.0, True, False, None, "1", "", "true", -0.5]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=6,
)
DOCUMENTS = st.lists(st.dictionaries(st.sampled_from(["a", "b", "a.b"]), VALUES), max_size=20)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(DOCUMENTS, st.sampled_from(["a", "b", "a.b", "a.0", "a.b.a", "zz"]))
def test_each_row_has_the_value_that_its_document_has(
    documents: list[dict[str, Any]], path: str
) -> None:
    column = build_column(documents, path)
    assert column.codes.dtype == np.int32
    assert column.codes.shape == (len(documents),)
    for document, code in zip(documents, column.codes, strict=True):
        wanted = resolve(document, path)
        # repr tells 1 from 1.0 from True, which == does not. The order of keys is no difference.
        assert repr(column.values[code]) == repr(wanted) or (
            isinstance(wanted, list | dict) and column.values[code] == wanted
        )


@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: [value]])
def test_values_that_filters_tell_apart_stay_apart(wrap: Any) -> None:
    values = [1, 1.0, True, "1", None, 0, False, "", [], {}, "null"]
    column = build_column([{"f": wrap(value)} for value in values] + [{}], "f")
    assert len(column.values) == len(values) + 1
    assert column.values[-1] is MISSING


def test_equal_values_are_kept_once() -> None:
    documents = [{"f": {"x": 1, "y": [2]}}, {"f": {"y": [2], "x": 1}}, {"f": {"x": 1, "y": [2]}}]
    column = build_column(documents, "f")
    assert len(column.values) == 1
    assert column.codes.tolist() == [0, 0, 0]


def test_no_documents_make_an_empty_column() -> None:
    column = build_column([], "f")
    assert column.values == ()
    assert column.codes.shape == (0,)
