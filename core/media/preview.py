"""Makes a file's preview: run only where a crash is safe, like everything that decodes media."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.errors import MediaError
from core.media.decode import decode_colours
from core.media.file_types import IMAGES, RECORDINGS, sniff_type
from core.media.preview_wire import MAX_PICTURES
from core.media.recordings import MAX_PIXELS, ReadUntil, Recording, open_recording, ready_decoder
from core.ports.previews import Picture, Preview

SIDE: Final = 320  # px of the longer side
PARTS: Final = 240  # of a recording's loudness
_RATE: Final = 11_025
_GRAIN: Final = 512  # samples of one peak, before they are joined to `PARTS`
_WORK_SECONDS: Final = 6.0
# From the key frame before a wanted time to it; a film with rarer ones shows an earlier picture.
_MAX_FRAMES: Final = 250


def make_preview(data: bytes, times_ms: Sequence[int] = ()) -> Preview:
    """Return a file's preview; see `Previewer.preview`, without its walls."""
    mime = sniff_type(data)
    if mime in IMAGES:
        width, height, rgb = decode_colours(data, SIDE)
        return Preview((Picture(width, height, rgb),))
    if mime not in RECORDINGS:
        raise MediaError(f"nothing can be shown of it: its bytes show {mime or 'no known type'}")
    with open_recording(data, None, work_seconds=_WORK_SECONDS) as recording:
        pictures = _pictures(recording, times_ms)
        loudness, heard_ms = _loudness(recording)
        # Unheard sound is no reason to think the file shorter than it says.
        duration = recording.length_ms(heard_ms) if heard_ms else recording.duration_ms
        return Preview(pictures, loudness, duration or None)


def _pictures(recording: Recording, times_ms: Sequence[int]) -> tuple[Picture, ...]:
    from av.stream import Disposition

    streams = [
        stream
        for stream in recording.container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if not streams:
        return ()
    ready_decoder(streams[0])
    wanted = list(times_ms)[:MAX_PICTURES] or [(recording.duration_ms or 0) // 3]
    found = (_picture_at(recording, streams[0], at_ms) for at_ms in wanted)
    return tuple(picture for picture in found if picture is not None)


def _picture_at(recording: Recording, stream: Any, at_ms: int) -> Picture | None:
    """Return the frame that is shown at a time, or the nearest before it that was reached."""
    seconds = recording.start_seconds + at_ms / 1000
    recording.container.seek(round(seconds * 1_000_000))
    shown = None
    for n, frame in enumerate(recording.frames(stream, ReadUntil())):
        if not 0 < frame.width * frame.height <= MAX_PIXELS:
            raise MediaError(f"a frame is {frame.width} x {frame.height}: at most {MAX_PIXELS} px")
        late = frame.time is not None and frame.time > seconds
        if late and shown is not None:
            break
        shown = frame
        if late or n == _MAX_FRAMES:
            break
    return None if shown is None else _small(shown, at_ms)


def _small(frame: Any, at_ms: int) -> Picture:
    from av.video.reformatter import VideoReformatter

    share = min(1.0, SIDE / max(frame.width, frame.height))
    width, height = (max(2, round(side * share)) for side in (frame.width, frame.height))
    small = VideoReformatter().reformat(
        frame, width=width, height=height, format="rgb24", interpolation="AREA", threads=1
    )
    plane: Any = small.planes[0]
    rows: NDArray[np.uint8] = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return Picture(width, height, rows[:height, : 3 * width].tobytes(), at_ms)


def _loudness(recording: Recording) -> tuple[tuple[int, ...], int]:
    """Return the peaks of the sound, and how long it is in ms; none of sound that is cut off."""
    streams = recording.container.streams.audio
    if not streams:
        return (), 0
    ready_decoder(streams[0])
    recording.container.seek(round(recording.start_seconds * 1_000_000))
    peaks: list[NDArray[np.float32]] = []
    count = 0
    for samples in _samples(recording, streams[0]):
        count += len(samples)
        padded = np.pad(np.abs(samples.astype(np.float32)), (0, -len(samples) % _GRAIN))
        peaks.append(padded.reshape(-1, _GRAIN).max(axis=1))
    if not peaks or recording.out_of_time():
        return (), 0
    every = np.concatenate(peaks)
    parts = np.array_split(every, min(PARTS, len(every)))
    highest = np.array([part.max() for part in parts])
    scaled = np.clip(highest / 32768 * 255, 0, 255).astype(np.uint8)
    return tuple(scaled.tolist()), 1000 * count // _RATE


def _samples(recording: Recording, stream: Any) -> Iterator[NDArray[np.int16]]:
    """Yield the sound as mono samples, whole grains of them until the last."""
    from av import AudioResampler

    resampler: Any = AudioResampler(format="s16", layout="mono", rate=_RATE, frame_size=16 * _GRAIN)
    for frame in recording.frames(stream, ReadUntil()):
        frame.pts = None  # as for fingerprints: gaps in the times are not filled
        yield from (part.to_ndarray().reshape(-1) for part in resampler.resample(frame))
    yield from (part.to_ndarray().reshape(-1) for part in resampler.resample(None))
