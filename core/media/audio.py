"""audio.chromaprint: from the sound of a file, or of a film, to fingerprints with their seconds."""

import hashlib
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.errors import MediaError
from core.media.chromaprint import (
    SAMPLE_RATE,
    SPAN_SECONDS,
    AudioFingerprint,
    Fingerprinter,
    place_ms,
)
from core.media.recordings import (
    MAX_CHANNELS,
    ReadUntil,
    Recording,
    open_recording,
    ready_decoder,
)
from core.media.sampling import sample_runs
from core.ports.media import Chunk, Extraction, MediaInfo, MediaWarning, Place

# References hold every 4th vector, two a second; a query all of them, one of which lies within
# 0.06 s of a stored one.
REFERENCE_STEP: Final = 4
MAX_SECONDS: Final = 7200
# Hz. From fewer, what a header claims to be seconds would be hours of made-up samples.
MIN_SAMPLE_RATE: Final = 4000
MAX_SAMPLE_RATE: Final = 768_000
# A vector of which less is sound says nothing: all silences are alike.
_MIN_LOUD: Final = 0.5
# Nobody records so little: of such a file hardly anything could be decoded.
_HARDLY_ANY_MS: Final = 100


def extract_audio(
    data: bytes, *, as_query: bool, declared_type: str | None, max_chunks: int | None
) -> Extraction:
    """Return a file's audio fingerprints, each with its place; see `extraction.extract`."""
    with open_recording(data, declared_type) as recording:
        stream, read = recording.track(recording.container.streams.audio, "sound"), ReadUntil()
        start_ms, fingerprint = _fingerprint(recording, stream, read)
        media = MediaInfo(
            content_type=recording.content_type,
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            duration_ms=recording.length_ms(read.value),
        )
        chunks = _chunks(fingerprint, start_ms, as_query=as_query)
        found = None
        if not chunks:
            recording.warn(_nothing(recording.content_type, fingerprint, read))
        elif max_chunks is not None and len(chunks) > max_chunks:
            found, chunks = len(chunks), _sampled(recording, chunks, max_chunks)
        return Extraction(tuple(chunks), media, tuple(recording.warnings), found)


def _fingerprint(
    recording: Recording, stream: Any, read: ReadUntil
) -> tuple[int, AudioFingerprint]:
    """Return when in the file its sound begins, in ms, and its fingerprint."""
    ready_decoder(stream)
    fingerprinter, start_ms, samples = Fingerprinter(), None, 0
    for part, seconds in _samples(recording, stream, read):
        if start_ms is None:
            start_ms = max(0, round(1000 * (seconds - recording.start_seconds)))
        fingerprinter.feed(part)
        samples += len(part)
        read.value = start_ms + 1000 * samples // SAMPLE_RATE
        if samples > MAX_SECONDS * SAMPLE_RATE:
            recording.warn(
                MediaWarning("cut_off", f"only the first {MAX_SECONDS} s of the sound are compared")
            )
            break
    return start_ms or 0, fingerprinter.finish()


def _samples(
    recording: Recording, stream: Any, read: ReadUntil
) -> Iterator[tuple[NDArray[np.int16], float]]:
    """Yield the sound as mono samples at `SAMPLE_RATE`, and the file's time when they were read."""
    from av import AudioResampler

    resampler, kind = None, None
    seconds = 0.0
    for frame in recording.frames(stream, read):
        seconds = recording.start_seconds if frame.time is None else frame.time
        found = (frame.format.name, frame.layout.name, frame.sample_rate)
        if found != kind:  # of a chained file: the next part may be of another kind
            yield from ((part, seconds) for part in _resampled(resampler, None))
            _check_sound(frame)
            resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            kind = found
        frame.pts = None  # gaps and jumps in the times are not filled: sound counts
        yield from ((part, seconds) for part in _resampled(resampler, frame))
    yield from ((part, seconds) for part in _resampled(resampler, None))


def _resampled(resampler: Any, frame: Any) -> Iterator[NDArray[np.int16]]:
    if resampler is None:
        return
    for made in resampler.resample(frame):
        yield made.to_ndarray().reshape(-1)


def _check_sound(frame: Any) -> None:
    channels = len(frame.layout.channels)
    usual = MIN_SAMPLE_RATE <= frame.sample_rate <= MAX_SAMPLE_RATE
    if not usual or not 1 <= channels <= MAX_CHANNELS:
        raise MediaError(
            f"sound of {channels} channels at {frame.sample_rate} Hz is not decoded:"
            f" 1 to {MAX_CHANNELS} at {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz are"
        )


def _chunks(fingerprint: AudioFingerprint, start_ms: int, *, as_query: bool) -> list[Chunk]:
    loud = fingerprint.window_loudness()
    found = []
    for n, vector in enumerate(fingerprint.windows()):
        if loud[n] < _MIN_LOUD or (not as_query and n % REFERENCE_STEP):
            continue
        first, last = place_ms(n)
        found.append(Chunk(vector, Place(start_ms + first, start_ms + last)))
    return found


def _nothing(content_type: str, fingerprint: AudioFingerprint, read: ReadUntil) -> MediaWarning:
    if len(fingerprint.windows()):
        return MediaWarning("low_quality", "the sound is silence: nothing was compared")
    if read.value < _HARDLY_ANY_MS:
        return MediaWarning(
            "too_short",
            f"only {read.value} ms of sound could be decoded from the {content_type} file, which is"
            " torn or has an empty track: nothing was compared; fetch or save the file again",
        )
    return MediaWarning(
        "too_short",
        f"{read.seconds} of sound are too short to fingerprint (needs {SPAN_SECONDS:.1f} s):"
        " nothing was compared",
    )


def _sampled(recording: Recording, chunks: list[Chunk], most: int) -> list[Chunk]:
    """Return a part of the chunks, with a warning if some of the sound is in none of them."""
    chosen = sample_runs(chunks, most, REFERENCE_STEP)
    heard = [chunk.place for chunk in chosen if chunk.place is not None]
    gaps = sum(
        max(0, (after.start_ms or 0) - (before.end_ms or 0))
        for before, after in zip(heard, heard[1:], strict=False)
    )
    # One run alone is not spread over the file.
    all_heard = gaps == 0 and most > REFERENCE_STEP
    if not all_heard:
        recording.warn(
            MediaWarning(
                "chunks_sampled",
                f"{len(chosen)} of {len(chunks)} chunks were searched, evenly spread (max_chunks)",
            )
        )
    return chosen
