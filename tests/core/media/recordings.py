"""Sounds and films made from a seed, and encoders for them: small, the same everywhere."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from tests.core.media.pictures import landscape

RATE = 22_050
FPS = 5

Sound = NDArray[np.float32]
Film = list[NDArray[np.uint8]]


def tune(seed: int, seconds: float) -> Sound:
    """Return a mono sound of -1 to 1: chords that change every 0.3 s or so, over some noise."""
    rng = np.random.default_rng(seed)
    at = np.arange(int(seconds * RATE)) / RATE
    sound = 0.02 * rng.standard_normal(len(at))
    start = 0.0
    while start < seconds:
        length = rng.uniform(0.15, 0.5)
        here = slice(int(start * RATE), int((start + length) * RATE))
        for note in rng.choice(36, 3, replace=False):
            wave = np.sin(2 * np.pi * 110 * 2 ** (note / 12) * at[here])
            sound[here] += 0.15 * wave * np.exp(-3 * (at[here] - start))
        start += length
    return sound.astype(np.float32)


def cut(sound: Sound, start: float, end: float) -> Sound:
    """Return the seconds from `start` to `end`."""
    return sound[int(start * RATE) : int(end * RATE)]


def with_noise(sound: Sound, seed: int, *, share: float) -> Sound:
    """Return the sound with white noise of that share of its loudness."""
    noise = np.random.default_rng(seed).standard_normal(len(sound))
    loudness = float(np.sqrt((sound**2).mean()))
    return (0.5 * (sound + share * loudness * noise)).astype(np.float32)


def encode_sound(
    sound: Sound,
    container: str = "wav",
    codec: str = "pcm_s16le",
    *,
    rate: int = RATE,
    layout: str = "mono",
    bit_rate: int | None = None,
) -> bytes:
    """Return the sound as a file's bytes."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        mux_sound(file, _sound_stream(file, codec, rate, layout, bit_rate), sound)
    return out.getvalue()


def encode_tracks(*sounds: Sound) -> bytes:
    """Return a Matroska file with a track of each sound."""
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as file:
        streams = [_sound_stream(file, "aac", RATE, "mono", None) for _ in sounds]
        for stream, sound in zip(streams, sounds, strict=True):
            mux_sound(file, stream, sound)
    return out.getvalue()


def film(seed: int, seconds: float, width: int = 160, height: int = 120) -> Film:
    """Return RGB frames, `FPS` a second: a new scene every two seconds, shapes moving in it."""
    rng = np.random.default_rng(seed)
    frames: Film = []
    scene, shapes = np.zeros((height, width, 3), np.uint8), np.zeros((0, 8))
    for n in range(int(seconds * FPS)):
        if n % (2 * FPS) == 0:
            scene = np.asarray(landscape(seed * 1000 + n, width, height))
            shapes = rng.uniform(0, 1, (4, 8))
        frames.append(_draw(scene, shapes, (n % (2 * FPS)) / (2 * FPS)))
    return frames


def _draw(scene: NDArray[np.uint8], shapes: NDArray[Any], time: float) -> NDArray[np.uint8]:
    picture = scene.copy()
    height, width, _ = picture.shape
    for x, y, speed_x, speed_y, size, *colour in shapes:
        left = int((x + time * (speed_x - 0.5)) * width * 0.8) % width
        top = int((y + time * (speed_y - 0.5)) * height * 0.8) % height
        side = int(height * (0.1 + 0.25 * size))
        picture[top : top + side, left : left + side] = [int(255 * part) for part in colour]
    return picture


def mirrored(frames: Film) -> Film:
    """Return the film as a mirror shows it."""
    return [np.ascontiguousarray(frame[:, ::-1]) for frame in frames]


def letterboxed(frames: Film, rows: int) -> Film:
    """Return the film with that many black rows above it and below."""
    return [np.pad(frame, ((rows, rows), (0, 0), (0, 0))) for frame in frames]


@contextmanager
def _priority_kept() -> Iterator[None]:
    """Undo what the AV1 encoder does where it may: it gives the thread that calls it the highest
    real-time priority, for good, and every process that is started from it."""
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)


def encode_film(
    frames: Film,
    container: str = "mp4",
    codec: str = "libx264",
    *,
    sound: Sound | None = None,
    bit_rate: int = 1_500_000,
    options: dict[str, str] | None = None,
) -> bytes:
    """Return the film as a file's bytes, with a sound track if one is given."""
    out = io.BytesIO()
    with _priority_kept(), av.open(out, "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=FPS, options=options or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = bit_rate
        track = None if sound is None else _sound_stream(file, "aac", RATE, "mono", None)
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode(None))
        if track is not None and sound is not None:
            mux_sound(file, track, sound)
    return out.getvalue()


def _sound_stream(file: Any, codec: str, rate: int, layout: str, bit_rate: int | None) -> Any:
    stream = file.add_stream(codec, rate=rate, layout=layout)
    if bit_rate is not None:
        stream.bit_rate = bit_rate
    return stream


def mux_sound(file: Any, stream: Any, sound: Sound) -> None:
    """Encode the sound as a stream of a file that is being written."""
    context = stream.codec_context
    resampler = av.AudioResampler(
        format=context.format,
        layout=context.layout,
        rate=context.sample_rate,
        frame_size=context.frame_size or None,
    )
    frame = av.AudioFrame.from_ndarray(sound[None, :], format="flt", layout="mono")
    frame.sample_rate = RATE
    for part in [*resampler.resample(frame), *resampler.resample(None)]:
        file.mux(stream.encode(part))
    file.mux(stream.encode(None))
