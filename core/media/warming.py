"""Recordings to decode before a child process is locked in: what loads on first use loads then."""

import io
import wave
from collections.abc import Iterator

import numpy as np

from core.media.extractors import AUDIO_CHROMAPRINT, VIDEO_VPDQ

_SECONDS, _RATE, _SIDE = 4, 22_050, 64


def warm_up_recordings() -> Iterator[tuple[str, bytes]]:
    """Yield an extractor's name and a file for it, made here: noise as sound and as film."""
    noise = np.random.default_rng(0)
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes(noise.integers(-9999, 9999, (_SECONDS * _RATE, 2), np.int16).tobytes())
    yield AUDIO_CHROMAPRINT.name, sound.getvalue()
    yield VIDEO_VPDQ.name, _film(noise)


def _film(noise: np.random.Generator) -> bytes:
    import av

    film = io.BytesIO()
    with av.open(film, "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=2)
        stream.width = stream.height = _SIDE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for _ in range(4):
            picture = noise.integers(0, 255, (_SIDE, _SIDE, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return film.getvalue()
