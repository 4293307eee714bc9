"""The length that an mp3 says it has: whose frames were counted, and where nobody counted."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.media.mp3_length import stated_length_ms

MPEG_1_STEREO = b"\xff\xfb\x90\x00"  # 44,100 Hz, 1152 samples a frame
MPEG_1_MONO = b"\xff\xfb\x90\xc0"
MPEG_2_STEREO = b"\xff\xf3\x90\x00"  # 22,050 Hz, 576 samples a frame
MPEG_2_MONO = b"\xff\xf3\x90\xc0"
SIDES = {MPEG_1_STEREO: 32, MPEG_1_MONO: 17, MPEG_2_STEREO: 17, MPEG_2_MONO: 9}


def counted(header: bytes, frames: int, *, name: bytes = b"Xing", flags: int = 3) -> bytes:
    fields = flags.to_bytes(4, "big") + frames.to_bytes(4, "big")
    return header + bytes(SIDES[header]) + name + fields + bytes(200)


def tag(size: int, *, footer: bool = False) -> bytes:
    """Return an ID3v2 tag of `size` bytes, and what each holds is another's mark."""
    length = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    end = bytes(10) if footer else b""
    return b"ID3\x04\x00" + bytes([0x10 * footer]) + length + (b"Xing" * size)[:size] + end


@pytest.mark.parametrize("header", SIDES)
@pytest.mark.parametrize("name", [b"Xing", b"Info"])
def test_frames_that_were_counted(header: bytes, name: bytes) -> None:
    data = counted(header, 1000, name=name)
    assert stated_length_ms(data) == 26_122
    assert stated_length_ms(tag(300) + tag(70_000, footer=True) + data) == 26_122
    assert stated_length_ms(bytes(100) + data) == 26_122


def test_the_header_of_other_encoders() -> None:
    vbri = b"VBRI" + bytes(10) + (1000).to_bytes(4, "big") + bytes(100)
    assert stated_length_ms(MPEG_1_STEREO + bytes(32) + vbri) == 26_122
    protected = b"\xff\xfa\x90\x00" + bytes(2 + 32) + counted(MPEG_1_STEREO, 1000)[36:]
    assert stated_length_ms(protected) == 26_122


def test_where_nobody_counted() -> None:
    for data in (
        b"",
        b"Xing",
        MPEG_1_STEREO + bytes(400),
        counted(MPEG_1_STEREO, 0),
        counted(MPEG_1_STEREO, 1000, flags=2),
        MPEG_1_STEREO + bytes(31) + b"Xing" + b"\x00\x00\x00\x03" * 3,
        b"\xff\xfd" + counted(MPEG_1_STEREO, 1000)[2:],  # layer II has no such header
        bytes(70_000) + counted(MPEG_1_STEREO, 1000),
    ):
        assert stated_length_ms(data) is None


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.binary(max_size=60), st.integers(0, 60))
def test_no_bytes_are_a_fault(tail: bytes, kept: int) -> None:
    for start in (b"", tag(5), MPEG_1_STEREO + bytes(32) + b"Xing", MPEG_1_MONO, b"ID3" * 9):
        found = stated_length_ms((start + tail)[:kept])
        assert found is None or found >= 0
