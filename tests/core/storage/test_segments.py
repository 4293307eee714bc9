"""Segments: documents in, the same documents out, in order, and readable in place."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import CorruptBlobError, InvalidRequestError
from core.filtering.paths import MISSING
from core.search.columns import build_column
from core.storage.container import encode_container
from core.storage.segments import (
    MIN_CODED_ROWS,
    Segment,
    StoredDocument,
    decode_segment,
    encode_segment,
)
from core.types import VectorSpec

SPECS = {"clip": VectorSpec("clip", 4, "cosine"), "pdq": VectorSpec("pdq", 16, "hamming")}


def _roundtrip(documents: list[StoredDocument], deletes: tuple[str, ...] = ()) -> Segment:
    encoded = encode_segment(documents, SPECS, deletes)
    return decode_segment(memoryview(encoded.data), encoded.digest)


def _clip(value: float) -> Any:
    return np.full(4, value, np.float32)


def test_documents_are_in_order_of_their_ids_whatever_order_they_came_in() -> None:
    ids = ["b", "a", "～", "😀", "é", "Z", "10", "9", "a/b"]
    segment = _roundtrip([StoredDocument(one, {"id": one}) for one in ids])
    assert list(segment.ids) == sorted(ids)
    assert segment.count == 9
    for one in ids:
        assert segment.payload(segment.ids.find(one)) == {"id": one}


def test_payloads_are_made_anew_each_time() -> None:
    segment = _roundtrip([StoredDocument("a", {"list": [1]})])
    segment.payload(0)["list"].append(2)
    assert segment.payload(0) == {"list": [1]}
    with pytest.raises(IndexError):
        segment.payload(1)


def test_vectors_know_their_documents() -> None:
    pdq = np.array([1, 2], np.uint8)
    segment = _roundtrip(
        [
            StoredDocument("d", {}, {"clip": _clip(4)}),
            StoredDocument("a", {}, {"clip": _clip(1), "pdq": pdq}),
            StoredDocument("c", {}),
            StoredDocument("b", {}, {"pdq": pdq}),
        ]
    )
    clip, hashes = segment.vectors["clip"], segment.vectors["pdq"]
    assert clip.rows.tolist() == [0, 3]
    assert clip.block.originals[:, 0].tolist() == [1.0, 4.0]
    assert (clip.block.metric, clip.block.dimension, clip.block.codes) == ("cosine", 4, None)
    assert hashes.rows.tolist() == [0, 1]
    assert hashes.block.originals.dtype == np.uint8
    assert (hashes.block.metric, hashes.block.dimension) == ("hamming", 16)


def test_names_without_a_vector_have_no_block() -> None:
    assert _roundtrip([StoredDocument("a", {})]).vectors == {}


def test_large_blocks_have_codes_of_their_originals() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((MIN_CODED_ROWS, 4)).astype(np.float32)
    documents = [StoredDocument(f"{n:05}", {}, {"clip": vectors[n]}) for n in range(MIN_CODED_ROWS)]
    codes = _roundtrip(documents).vectors["clip"].block.codes
    assert codes is not None
    assert codes.values.shape == (MIN_CODED_ROWS, 4)
    decoded = codes.values * codes.scales[:, None].astype(np.float64)
    wide = vectors.astype(np.float64)
    unit = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    assert (np.linalg.norm(unit - decoded, axis=1) <= codes.residuals).all()
    assert _roundtrip(documents[1:]).vectors["clip"].block.codes is None


def test_deletes_are_kept_once_each() -> None:
    segment = _roundtrip([], ("b", "a", "b"))
    assert (list(segment.ids), list(segment.deletes)) == ([], ["a", "b"])


@pytest.mark.parametrize("value", [float("nan"), 2**64, object(), "\udfff"])
def test_fields_that_json_cannot_hold_are_refused(value: object) -> None:
    with pytest.raises(InvalidRequestError, match="'bad-one'"):
        _roundtrip([StoredDocument("bad-one", {"deep": [{"f": value}]})])


FIELDS = st.dictionaries(
    st.sampled_from(["brand", "n", "flag", "tags", "a.b", "a", "_internal", "ü"]),
    st.sampled_from([1, 1.0, True, None, "x", "1", ["x"], {"b": 2}, []]),
)


@settings(derandomize=True, deadline=None, max_examples=80)
@given(st.lists(FIELDS, max_size=12))
def test_columns_are_the_same_stored_or_built(documents: list[dict[str, Any]]) -> None:
    segment = _roundtrip([StoredDocument(f"{n:03}", one) for n, one in enumerate(documents)])
    for path in ["brand", "n", "flag", "tags", "a.b", "a", "_internal.b", "ü", "tags.0", "none"]:
        column, wanted = segment.column(path), build_column(documents, path)
        assert [repr(column.values[code]) for code in column.codes] == [
            repr(wanted.values[code]) for code in wanted.codes
        ]
        assert (
            segment.column(path).codes is column.codes
            or not documents
            or (column.values == (MISSING,))
        )


def test_a_name_with_a_dot_is_also_a_path() -> None:
    segment = _roundtrip([StoredDocument("1", {"a.b": 1}), StoredDocument("2", {"a": {"b": 2}})])
    column = segment.column("a.b")
    assert [column.values[code] for code in column.codes] == [1, 2]


def test_cheap_fields_are_stored_and_dear_ones_are_not() -> None:
    documents = [
        StoredDocument(f"{n:05}", {"brand": f"b{n % 7}", "title": f"t{n}", "tags": ["x"]})
        for n in range(3000)
    ]
    stored = _roundtrip(documents).stored_columns
    assert set(stored.columns) == {"brand"}
    assert stored.fields == frozenset({"brand", "title", "tags"})


@pytest.mark.parametrize("text", ["a" * 5_000, ["a" * 5_000], {"b": ["a"] * 2_000}])
def test_built_columns_are_bounded_by_what_they_really_hold(
    monkeypatch: pytest.MonkeyPatch, text: Any
) -> None:
    monkeypatch.setattr("core.storage.column_cache.MAX_BUILT_BYTES", 100_000)
    documents = [
        StoredDocument(f"{n}", {name: [n, text] for name in ("one", "two")}) for n in range(15)
    ]
    segment = _roundtrip(documents)
    segment.column("one")
    segment.column("two")
    assert segment.held_column("two") is not None
    assert segment.held_column("one") is None


def test_many_fields_are_no_problem() -> None:
    fields = {f"f{n}": n for n in range(400)}
    segment = _roundtrip([StoredDocument("a", fields), StoredDocument("b", {"g": 1})])
    assert segment.stored_columns.fields is None
    assert segment.column("f399").values == (399, MISSING)
    assert segment.column("g").values == (MISSING, 1)
    assert segment.column("none").values == (MISSING,)


@pytest.mark.parametrize("meta", [{}, {"format": 2}, {"format": 1}, {"format": 1, "vectors": []}])
def test_containers_of_something_else_are_corrupt(meta: dict[str, Any]) -> None:
    encoded = encode_container(meta, {"x": np.zeros(1, np.uint8)})
    with pytest.raises(CorruptBlobError):
        decode_segment(memoryview(encoded.data), encoded.digest)
