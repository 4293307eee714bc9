"""Real files to break, small ones, in every format that is read: for `benchmarks.fuzz_media`."""

import io
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from handlers.photographs import PHOTOGRAPHS
from handlers.recordings import FILMS, RATE, SOUNDS, samples_of
from handlers.wheels import RealFile, fetch_missing
from tests.core.media.faces import face
from tests.core.media.pictures import encode
from tests.core.media.recordings import encode_film, encode_sound

_PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_SOUND_SECONDS, _FILM_FRAMES = 4, 10


@lru_cache(maxsize=1)
def pictures() -> dict[str, bytes]:
    """Return two photographs in every format; grey, with a palette and transparent too."""
    fetch_missing([PHOTOGRAPHS], say=print)
    found: dict[str, bytes] = {}
    for name in ("astronaut", "chelsea"):
        image = _shrunk(_named(PHOTOGRAPHS.files(), name).path, 128)
        found |= {f"{name}.{kind.lower()}": encode(image, kind) for kind in _PICTURE_FORMATS}
    clear = image.convert("RGBA")
    clear.putalpha(image.convert("L"))
    found["clear.png"], found["clear.webp"] = encode(clear, "PNG"), encode(clear, "WEBP")
    found["grey.jpeg"] = encode(image.convert("L"), "JPEG")
    found["palette.png"] = encode(image.quantize(32), "PNG")
    return found


def faces() -> dict[str, bytes]:
    """Return the same, and a drawn face in every format: in small photographs none is found."""
    drawn = face(3, 120)
    return pictures() | {f"face.{kind.lower()}": encode(drawn, kind) for kind in _PICTURE_FORMATS}


@lru_cache(maxsize=1)
def sounds() -> dict[str, bytes]:
    """Return some seconds of music in every codec."""
    fetch_missing([SOUNDS], say=print)
    samples = samples_of(_named(SOUNDS.files(), "sax").path)[: _SOUND_SECONDS * RATE]
    return {
        "wav": encode_sound(samples, rate=RATE),
        "mp3": encode_sound(samples, "mp3", "libmp3lame", rate=RATE),
        "m4a": encode_sound(samples, "mp4", "aac", rate=RATE),
        "flac": encode_sound(samples, "flac", "flac", rate=RATE),
        "opus.ogg": encode_sound(samples, "ogg", "libopus", rate=48_000),
        "vorbis.ogg": _vorbis(samples),
        "mka": encode_sound(samples, "matroska", "aac", rate=RATE),
    }


@lru_cache(maxsize=1)
def films() -> dict[str, bytes]:
    """Return two seconds of a film in every codec."""
    fetch_missing([FILMS], say=print)
    frames = _frames(_named(FILMS.files(), "bigbuckbunny").path)
    return {
        "h264.mp4": encode_film(frames, "mp4", "libx264"),
        "h264.mkv": encode_film(frames, "matroska", "libx264"),
        "vp9.webm": encode_film(frames, "webm", "libvpx-vp9"),
        "av1.webm": encode_film(frames, "webm", "libsvtav1"),
        "av1.mp4": encode_film(frames, "mp4", "libsvtav1"),
        "mpeg4.avi": encode_film(frames, "avi", "mpeg4"),
        "mpeg2.ts": encode_film(frames, "mpegts", "mpeg2video"),
    }


def _vorbis(samples: Any) -> bytes:
    """Return the music as FFmpeg's own encoder makes it: two channels, and only if told twice."""
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="ogg") as file:
        options = {"strict": "experimental"}
        stream: Any = file.add_stream("vorbis", rate=RATE, layout="stereo", options=options)
        both = np.stack([samples, samples])
        for start in range(0, samples.size, 1024):
            frame: Any = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(both[:, start : start + 1024]), "fltp", "stereo"
            )
            frame.sample_rate, frame.pts = RATE, start
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()


def _named(files: list[RealFile], name: str) -> RealFile:
    return next(file for file in files if file.name == name)


def _shrunk(path: Path, side: int) -> Image.Image:
    with Image.open(path) as file:
        image = file.convert("RGB")
    image.thumbnail((side, side))
    return image


def _frames(path: Path) -> list[Any]:
    """Return frames half a second apart, from the tenth second on."""
    import av

    frames: list[Any] = []
    with av.open(path) as file:
        for frame in file.decode(video=0):
            if frame.time is not None and frame.time >= len(frames) / 2:
                frames.append(frame.to_ndarray(format="rgb24", width=128, height=96))
            if len(frames) == _FILM_FRAMES:
                break
    return frames
