"""Manifests are read whole, whatever the sizes of reads and lines, and cut into bounded chunks."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidRequestError
from core.jobs import manifest
from core.jobs.manifest import Chunk, cut_chunks, parse_line, read_lines
from tests.core.jobs.doubles import MemoryBlobs

line = st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b"x"))


def stored(data: bytes) -> MemoryBlobs:
    blobs = MemoryBlobs(lambda _what: None)
    blobs.stored["m"] = data
    return blobs


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.lists(line, max_size=30), st.booleans(), st.integers(1, 50))
def test_lines_are_those_of_the_file(lines: list[bytes], ended: bool, size: int) -> None:
    data = b"\n".join(lines) + (b"\n" if ended else b"")
    wanted = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    while wanted and not wanted[-1].strip():
        wanted.pop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest, "_READ_BYTES", max(3, size))
        found = list(read_lines(stored(data), "m"))
    assert [one.strip() for one in found] == [one.strip() for one in wanted]


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.lists(line, max_size=300), st.integers(200, 5000), st.integers(1, 60))
def test_chunks_hold_every_line_once(lines: list[bytes], most: int, count: int) -> None:
    size = sum(map(len, lines)) + len(lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest, "_CHUNK_BYTES", most)
        patch.setattr(manifest, "_MOST_CHUNKS", count)
        cut = list(cut_chunks(iter(lines), size))
    assert b"".join(data for _, data in cut) == b"".join(one + b"\n" for one in lines)
    position, number = 0, 1
    for index, (chunk, data) in enumerate(cut):
        assert Chunk.from_json(chunk.to_json()) == chunk
        assert (chunk.number, chunk.start, chunk.first_line) == (index, position, number)
        assert (chunk.length, chunk.lines) == (len(data), data.count(b"\n"))
        assert len(data) < most + 42
        position, number = position + len(data), number + chunk.lines
    assert len(cut) <= count + 1 + size // most


def test_a_line_without_end_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_READ_BYTES", 100)
    monkeypatch.setattr(manifest, "MAX_LINE_BYTES", 50)
    found = list(read_lines(stored(b"a" * 1000 + b"\n{}\n"), "m"))
    assert [one for one in found if len(one) <= 50] == [b"{}"]
    assert len(found) == 2
    assert len(found[0]) <= 151
    error = parse_line(1, found[0]).error
    assert error is not None
    assert "longer than 50" in error.message


def test_limits_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "MAX_MANIFEST_LINES", 3)
    assert len(list(read_lines(stored(b"1\n2\n3\n\n\n"), "m"))) == 3
    with pytest.raises(InvalidRequestError, match="more than 3 lines"):
        list(read_lines(stored(b"1\n2\n3\n4"), "m"))
    monkeypatch.setattr(manifest, "MAX_MANIFEST_BYTES", 4)
    with pytest.raises(InvalidRequestError, match="at most 4"):
        list(read_lines(stored(b"1\n2\n3"), "m"))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "empty"),
        (b"{", "not JSON"),
        (b"[]", "valid dictionary"),
        (b"{}", "either inputs or a file"),
        (b'{"inputs": {}, "file": "x"}', "either inputs or a file"),
        (b'{"inputs": {}, "id": 3}', "valid string"),
        (b'{"inputs": {}, "more": 3}', "unknown key 'more'"),
        (b"[" * 10_000, "not JSON"),
        # Could be read, and not be written again.
        (b'{"inputs": {"v": ' + b"[" * 300 + b"]" * 300 + b"}}", "deeper than 100"),
        (b'{"inputs": {"v": ' + b'{"a":' * 99 + b"1" + b"}" * 99 + b"}}", "deeper than 100"),
        (b'{"inputs": {"v": NaN}}', "not JSON"),
        (b"\xff", "not JSON"),
    ],
)
def test_what_is_no_item_is_said(raw: bytes, said: str) -> None:
    line = parse_line(7, raw)
    assert line.item is None
    assert line.error is not None
    assert said in line.error.message


def test_what_is_deep_and_long_is_an_item() -> None:
    deep = b'{"inputs": {"v": ' + b"[" * 98 + b"1, 2" + b"]" * 98 + b"}}"
    assert parse_line(1, deep).item is not None
    assert parse_line(1, orjson.dumps({"inputs": {"v": [None, 1.5] * 1000}})).item is not None


def test_an_id_is_kept_beside_what_is_wrong() -> None:
    assert parse_line(1, b'{"id": "a", "nonsense": 1}').id == "a"
