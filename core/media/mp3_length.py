"""How long an mp3 says it is: the frames its encoder counted, in a header that some leave out.

Without one a demuxer guesses the length from the file's size, which knows of nothing missing.
"""

import re
from typing import Final

# Layouts: http://gabriel.mp3-tech.org/mp3infotag.html, http://mpgedit.org/mpgedit/mpeg_format.
_MARK: Final = re.compile(rb"Xing|Info|VBRI")
# Where the first frame is looked for, behind the tags before it.
_REACH: Final = 65_536
_MAX_TAGS: Final = 16
_HEADER: Final = 4
_CRC: Final = 2
_VBRI_AT: Final = 36
_HAS_FRAMES: Final = 1
# Hz, by the header's two bits, of MPEG 1; of MPEG 2 half, of MPEG 2.5 a quarter.
_RATES: Final = (44_100, 48_000, 32_000)
_MPEG_1: Final = 3
_DIVISORS: Final = {_MPEG_1: 1, 2: 2, 0: 4}
_LAYER_3: Final = 1
_MONO: Final = 3


def stated_length_ms(data: bytes) -> int | None:
    """Return how long the file's own header says its sound is, in ms; None if it has none."""
    begin = _behind_tags(data)
    for found in _MARK.finditer(data, begin, begin + _REACH):
        mark = found.start()
        for at in _frames_before(found[0], mark):
            if at >= begin and (per_frame := _frame_ms(data, at, found[0], mark)) is not None:
                count = _frame_count(data, mark)
                return round(count * per_frame) if count else None
    return None


def _behind_tags(data: bytes) -> int:
    """Return where the file goes on behind its ID3v2 tags (https://id3.org/id3v2.4.0-structure)."""
    at = 0
    for _ in range(_MAX_TAGS):
        head = data[at : at + 10]
        if len(head) < 10 or head[:3] != b"ID3":
            break
        size = 0
        for byte in head[6:10]:
            size = size << 7 | byte & 0x7F
        footer = 10 if head[5] & 0x10 else 0
        at += 10 + size + footer
    return at


def _frames_before(name: bytes, mark: int) -> list[int]:
    """Return where the frame may begin that has this mark."""
    if name == b"VBRI":
        return [mark - _VBRI_AT]
    return [mark - _HEADER - side - crc for side in (9, 17, 32) for crc in (0, _CRC)]


def _frame_ms(data: bytes, at: int, name: bytes, mark: int) -> float | None:
    """Return how long a frame lasts, None if none begins there whose mark lies at `mark`."""
    head = data[at : at + _HEADER]
    if len(head) < _HEADER or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer, rate = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 2 & 3
    if version not in _DIVISORS or layer != _LAYER_3 or rate >= len(_RATES):
        return None
    mono = head[3] >> 6 == _MONO
    side = (17 if mono else 32) if version == _MPEG_1 else (9 if mono else 17)
    behind = mark - at - _HEADER - side
    if name != b"VBRI" and behind not in (0, _CRC):
        return None
    samples = 1152 if version == _MPEG_1 else 576
    return 1000 * samples * _DIVISORS[version] / _RATES[rate]


def _frame_count(data: bytes, mark: int) -> int:
    if data.startswith(b"VBRI", mark):
        return int.from_bytes(data[mark + 14 : mark + 18], "big")
    flags = int.from_bytes(data[mark + 4 : mark + 8], "big")
    return int.from_bytes(data[mark + 8 : mark + 12], "big") if flags & _HAS_FRAMES else 0
