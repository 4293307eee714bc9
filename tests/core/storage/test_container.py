"""The blob format: what goes in comes out, and nothing else is ever taken for it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.errors import CorruptBlobError
from core.storage.container import (
    ALIGNMENT,
    ContainerReader,
    encode_container,
    open_container,
)

ARRAYS: dict[str, NDArray[Any]] = {
    "bytes": np.arange(7, dtype=np.uint8),
    "empty": np.empty((0, 4), np.float32),
    "matrix": np.arange(12, dtype=np.float32).reshape(3, 4),
    "codes": np.arange(-6, 6, dtype=np.int8).reshape(3, 4),
    "rows": np.arange(5, dtype=np.int32),
    "offsets": np.arange(5, dtype=np.int64),
    "hashes": np.array([0, 2**64 - 1], np.uint64),
}
ENCODED = encode_container({"format": 1, "names": ["ü"]}, ARRAYS)


def test_arrays_come_back_in_place_aligned_and_read_only() -> None:
    container = open_container(memoryview(ENCODED.data), ENCODED.digest)
    assert container.meta == {"format": 1, "names": ["ü"]}
    assert list(container.sections) == list(ARRAYS)
    base = np.frombuffer(ENCODED.data, np.uint8).ctypes.data
    for name, array in container.sections.items():
        assert array.dtype == ARRAYS[name].dtype
        assert array.shape == ARRAYS[name].shape
        assert np.array_equal(array, ARRAYS[name])
        assert not array.flags.writeable
        if array.size:
            assert (array.ctypes.data - base) % ALIGNMENT == 0
            assert base < array.ctypes.data < base + len(ENCODED.data)


def test_the_bytes_are_the_same_each_time() -> None:
    assert encode_container({"format": 1, "names": ["ü"]}, ARRAYS) == ENCODED


def test_a_transposed_array_is_stored_by_its_values() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    encoded = encode_container({}, {"a": array})
    opened = open_container(memoryview(encoded.data), encoded.digest)
    assert np.array_equal(opened.sections["a"], array)


@pytest.mark.parametrize("dtype", [object, np.float64, "U3", ">f4"])
def test_other_types_are_not_stored(dtype: str) -> None:
    with pytest.raises(TypeError):
        encode_container({}, {"a": np.zeros(2, dtype)})


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.integers(0, len(ENCODED.data) - 1), st.integers(1, 255))
def test_any_altered_byte_is_found(place: int, change: int) -> None:
    data = bytearray(ENCODED.data)
    data[place] ^= change
    with pytest.raises(CorruptBlobError):
        open_container(memoryview(data), ENCODED.digest)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.integers(0, len(ENCODED.data) - 1))
def test_any_truncation_is_found(length: int) -> None:
    with pytest.raises(CorruptBlobError):
        open_container(memoryview(ENCODED.data)[:length], ENCODED.digest)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04N.",
        b"PK\x03\x04" + bytes(200),
        b"TRAWLSG1",
        b"TRAWLSG1" + b"\xff" * 200,
        b"TRAWLSG1" + bytes(200),
        ENCODED.data + b"\0",
        ENCODED.data + bytes(64),
    ],
)
def test_foreign_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(CorruptBlobError):
        open_container(memoryview(data), ENCODED.digest)


def test_a_whole_container_under_anothers_digest_is_refused() -> None:
    other = encode_container({"format": 1, "names": ["u"]}, ARRAYS)
    with pytest.raises(CorruptBlobError):
        open_container(memoryview(other.data), ENCODED.digest)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(st.integers(0, len(ENCODED.data)), max_size=6))
def test_a_container_that_comes_in_pieces_is_the_same(ends: list[int]) -> None:
    data = memoryview(ENCODED.data)
    reader = ContainerReader(ENCODED.digest)
    for end in sorted(ends):
        reader.follow(data[:end])
    container = reader.open(data)
    assert container.meta == {"format": 1, "names": ["ü"]}
    for name, array in container.sections.items():
        assert np.array_equal(array, ARRAYS[name])


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    st.integers(0, len(ENCODED.data) - 1),
    st.integers(1, 255),
    st.lists(st.integers(0, len(ENCODED.data)), max_size=6),
)
def test_an_altered_byte_is_found_in_pieces_too(place: int, change: int, ends: list[int]) -> None:
    data = bytearray(ENCODED.data)
    data[place] ^= change
    reader = ContainerReader(ENCODED.digest)
    with pytest.raises(CorruptBlobError):
        for end in sorted(ends):
            reader.follow(memoryview(data)[:end])
        reader.open(memoryview(data))


def test_a_container_that_ends_early_is_found_whatever_was_followed() -> None:
    for end in range(0, len(ENCODED.data), 40):
        reader = ContainerReader(ENCODED.digest)
        part = memoryview(ENCODED.data)[:end]
        reader.follow(part)
        with pytest.raises(CorruptBlobError):
            reader.open(part)


def _written_before_blake3() -> tuple[bytes, str]:
    """Return the bytes of a container as the version wrote it whose sections had a SHA-256."""
    directory = (
        b'{"meta":{"format":1},"sections":[{"name":"a","dtype":"<i4","shape":[5],"offset":0,'
        b'"length":20,"sha256":"1dfd629e90ab4f05513e9902d623849ebb922f46f6d756e62a88045c8f6c8e1f"},'
        b'{"name":"b","dtype":"<f4","shape":[2],"offset":64,"length":8,"sha256":'
        b'"8b9212435b4b683acd3bed145da4b6635eb898013a06c4d5b5d30c1aec29d35d"}],"bytes":128}'
    )
    header = (b"TRAWLSG1" + len(directory).to_bytes(8, "little") + directory).ljust(384, b"\0")
    a, b = np.arange(5, dtype="<i4").tobytes(), np.array([1.5, 2.5], "<f4").tobytes()
    digest = "fd919dd99b8c18848d85f844851fd2647022e57a7ff69a83827a0c95e0ea5e91"
    return header + a.ljust(64, b"\0") + b.ljust(64, b"\0"), digest


def test_a_container_of_before_blake3_is_read() -> None:
    data, digest = _written_before_blake3()
    sections = open_container(memoryview(data), digest).sections
    assert sections["a"].tolist() == [0, 1, 2, 3, 4]
    assert sections["b"].tolist() == [1.5, 2.5]


@pytest.mark.parametrize("place", range(512))
def test_any_altered_byte_of_a_container_of_before_blake3_is_found(place: int) -> None:
    data, digest = _written_before_blake3()
    altered = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
    with pytest.raises(CorruptBlobError):
        open_container(memoryview(altered), digest)
