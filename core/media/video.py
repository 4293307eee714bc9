"""video.vpdq: PDQ of one frame a second, each with its place, borders around the picture trimmed.

Named after Meta's vPDQ, which hashes frames of a video with PDQ; how frames are chosen and matched
is our own.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.arrays import UInt8
from core.errors import MediaError
from core.media.borders import FULL, Borders, Frame
from core.media.pdq import MIN_QUALITY, Luma, dihedral_hashes, fingerprint
from core.media.recordings import (
    MAX_PIXELS,
    ReadUntil,
    Recording,
    open_recording,
    ready_decoder,
)
from core.media.sampling import sample_runs
from core.ports.media import Chunk, Extraction, MediaInfo, MediaWarning, Place

SIDE: Final = 256  # px to which frames are brought before they are hashed: 64 KB each
MAX_FRAMES: Final = 3600
# Decoding 720p at 25 frames a second is 23 million pixels a second, about 16 of them in one of the
# clock. What would take longer is read by its key frames alone: the same ones on every machine.
MAX_DECODED_PIXELS: Final = 4_000_000_000
# Neighbours this near are one picture that stands still.
NEAR_EQUAL: Final = 10
_SECOND: Final = 1000
# Where a hash of the picture with its borders is marked, behind the name of its view.
WITH_BORDER: Final = "+border"


@dataclass(slots=True)
class _Scene:
    """A frame, and until when the picture stayed like it."""

    luma: UInt8
    start_ms: int
    end_ms: int
    quality: int = 0
    hash: UInt8 = field(default_factory=lambda: np.empty(0, np.uint8))


def extract_video(
    data: bytes, *, as_query: bool, declared_type: str | None, max_chunks: int | None
) -> Extraction:
    """Return a film's frame hashes, each with its place; see `extraction.extract`.

    A query's chunks are the views of each frame: mirrored, turned, with and without its borders.
    """
    with open_recording(data, declared_type) as recording:
        streams = [s for s in recording.container.streams.video if not _is_cover(s)]
        stream, read = recording.track(streams, "film"), ReadUntil()
        frames = _sampled_frames(recording, stream, read)
        media = MediaInfo(
            content_type=recording.content_type,
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            width=stream.codec_context.width or None,
            height=stream.codec_context.height or None,
            duration_ms=recording.length_ms(read.value),
        )
        picture = _picture(frames)
        scenes, plain = _scenes(frames, picture)
        if not scenes:
            recording.warn(_nothing(frames))
        elif 2 * plain > len(frames):
            message = f"{plain} of {len(frames)} frames have too little detail to be compared"
            recording.warn(MediaWarning("low_quality", message))
        found = None
        if max_chunks is not None and len(scenes) > max_chunks:
            recording.warn(
                MediaWarning(
                    "chunks_sampled",
                    f"{max_chunks} of {len(scenes)} frames were searched, evenly spread"
                    " (max_chunks)",
                )
            )
            found, scenes = len(scenes), sample_runs(scenes, max_chunks)
        chunks = [chunk for scene in scenes for chunk in _chunks(scene, picture, as_query)]
        return Extraction(tuple(chunks), media, tuple(recording.warnings), found)


def _is_cover(stream: Any) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def _sampled_frames(recording: Recording, stream: Any, read: ReadUntil) -> list[_Scene]:
    """Return the first frame of each second, or, of a film that is too large, its key frames."""
    from av.video.reformatter import VideoReformatter

    ready_decoder(stream)
    keys_only = _is_large(recording, stream)
    if keys_only:
        stream.codec_context.skip_frame = "NONKEY"
    reformatter = VideoReformatter()
    found: list[_Scene] = []
    due = -1
    for frame, at in _timed(recording, stream, read):
        # VP9 ignores skip_frame, so the frame is asked itself.
        if at < due or (keys_only and not frame.key_frame):
            continue
        due = (at // _SECOND + 1) * _SECOND
        found.append(_Scene(_luma(reformatter, frame), at, at + _SECOND))
        if len(found) == MAX_FRAMES:
            recording.warn(
                MediaWarning("cut_off", f"only the first {MAX_FRAMES} frames are compared")
            )
            break
    if keys_only:
        message = f"too large to read each second: only {len(found)} key frames are compared"
        recording.warn(MediaWarning("chunks_sampled", f"the film is {message}"))
        for scene, after in zip(found, found[1:], strict=False):
            scene.end_ms = after.start_ms
    if found:
        # The last second is rarely a whole one.
        shown = read.value + max(1, round(1000 / _rate(stream)))
        end_ms = max(shown, recording.length_ms(read.value) or 0)
        found[-1].end_ms = min(found[-1].end_ms, end_ms)
    return found


def _rate(stream: Any) -> float:
    return float(stream.average_rate or stream.guessed_rate or 25) or 25.0


def _is_large(recording: Recording, stream: Any) -> bool:
    context = stream.codec_context
    rate = _rate(stream)
    seconds = (recording.duration_ms or 0) / 1000
    return bool(context.width * context.height * rate * seconds > MAX_DECODED_PIXELS)


def _timed(recording: Recording, stream: Any, read: ReadUntil) -> Iterator[tuple[Any, int]]:
    """Yield frames and their ms from the file's beginning, which never go back."""
    rate = _rate(stream)
    pixels, count = 0, 0
    for frame in recording.frames(stream, read):
        size = frame.width * frame.height
        if not 0 < size <= MAX_PIXELS:
            raise MediaError(f"a frame is {frame.width} x {frame.height}: at most {MAX_PIXELS} px")
        pixels, count = pixels + size, count + 1
        seconds = count / rate if frame.time is None else frame.time - recording.start_seconds
        read.value = max(read.value, round(1000 * min(seconds, 1e6)))
        # Its header may have said less: twice as much is more than an honest file holds.
        if pixels > 2 * MAX_DECODED_PIXELS:
            recording.warn(
                MediaWarning("cut_off", f"only the first {read.seconds} of the film are compared")
            )
            return
        yield frame, read.value


def _luma(reformatter: Any, frame: Any) -> UInt8:
    small = reformatter.reformat(
        frame, width=SIDE, height=SIDE, format="gray", interpolation="AREA", threads=1
    )
    plane = small.planes[0]
    rows: NDArray[np.uint8] = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return rows[:SIDE, :SIDE].copy()


def _picture(frames: list[_Scene]) -> Frame:
    borders = Borders()
    for scene in frames:
        borders.add(scene.luma)
    return borders.inside()


def _scenes(frames: list[_Scene], picture: Frame) -> tuple[list[_Scene], int]:
    """Hash the frames and join those that hardly differ; return how many lack detail, too, which
    are dropped."""
    kept: list[_Scene] = []
    plain = 0
    for scene in frames:
        found = fingerprint(picture.cut(scene.luma))
        if found.quality < MIN_QUALITY:
            plain += 1
            continue
        last = kept[-1] if kept else None
        if last is not None and scene.start_ms - last.end_ms < _SECOND and _near(last, found.hash):
            last.end_ms = scene.end_ms
            continue
        scene.hash, scene.quality = found.hash, found.quality
        kept.append(scene)
    return kept, plain


def _near(scene: _Scene, other: UInt8) -> bool:
    differing: int = np.bitwise_count(scene.hash ^ other).sum()
    return differing <= NEAR_EQUAL


def _chunks(scene: _Scene, picture: Frame, as_query: bool) -> list[Chunk]:
    place, quality = Place(scene.start_ms, scene.end_ms), float(scene.quality)
    if not as_query:
        return [Chunk(scene.hash, place, quality)]
    views = _views(picture.cut(scene.luma))
    if picture != FULL:
        # What looks like a border may be a part of the picture that stays dark here.
        whole = _views(scene.luma).items()
        views = {**views, **{name + WITH_BORDER: vector for name, vector in whole}}
    distinct = {vector.tobytes(): name for name, vector in reversed(views.items())}
    return [
        Chunk(vector, place, quality, name)
        for name, vector in views.items()
        if distinct[vector.tobytes()] == name
    ]


def _views(luma: Luma) -> dict[str, UInt8]:
    return dihedral_hashes(luma)


def _nothing(frames: list[_Scene]) -> MediaWarning:
    if not frames:
        return MediaWarning("damaged", "no frame could be decoded: nothing was compared")
    return MediaWarning(
        "low_quality",
        f"none of {len(frames)} frames has enough detail to fingerprint: nothing was compared",
    )
