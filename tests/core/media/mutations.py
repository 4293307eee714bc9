"""Files to break, small ones of each kind, and how they are broken: by a seeded generator."""

import random
from functools import lru_cache

from tests.core.media.pictures import encode, landscape
from tests.core.media.recordings import encode_film, encode_sound, film, tune


@lru_cache(maxsize=1)
def pictures() -> dict[str, bytes]:
    """Return a picture in every format that is read."""
    names = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")
    return {name.lower(): encode(landscape(2, 96, 72), name) for name in names}


@lru_cache(maxsize=1)
def sounds() -> dict[str, bytes]:
    """Return a tune of five seconds in the usual codecs."""
    sound = tune(1, 5)
    return {
        "wav": encode_sound(sound),
        "mp3": encode_sound(sound, "mp3", "libmp3lame"),
        "opus": encode_sound(sound, "ogg", "libopus", rate=48_000),
        "aac": encode_sound(sound, "mp4", "aac"),
        "flac": encode_sound(sound, "flac", "flac"),
    }


@lru_cache(maxsize=1)
def films() -> dict[str, bytes]:
    """Return a film of three seconds in the usual codecs."""
    frames = film(1, 3, 96, 72)
    return {
        "h264": encode_film(frames, "mp4", "libx264"),
        "vp9": encode_film(frames, "webm", "libvpx-vp9"),
        "av1": encode_film(frames, "mp4", "libsvtav1"),
        "mpeg4": encode_film(frames, "avi", "mpeg4"),
        "mpeg2": encode_film(frames, "mpegts", "mpeg2video"),
    }


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Return the file with bytes changed, cut out, doubled, or its end missing."""
    broken = bytearray(data)
    for _ in range(rng.choice((1, 4, 40))):
        # Headers are where a byte does the most.
        at = rng.randrange(min(len(broken), rng.choice((64, 600, len(broken)))))
        broken[at] = rng.choice((0, 0xFF, 0x7F, rng.randrange(256)))
    start = rng.randrange(len(broken))
    stop = start + rng.randrange(2000)
    how = rng.randrange(6)
    if how == 0:
        del broken[start:stop]
    elif how == 1:
        broken[start:start] = broken[start:stop]
    elif how == 2:
        del broken[max(start, 16) :]
    return bytes(broken)
