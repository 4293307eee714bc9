"""Opens audio and video bytes that nobody vouches for, and decodes one of their streams in bounds.

FFmpeg is given bytes and the one demuxer that their first bytes call for: never a name, an address
or a format that could point to another file. Run only where a crash is safe.
"""

import io
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

from core.errors import MediaError, MissingExtraError, NoTrackError
from core.media.file_types import RECORDINGS, check_declared, sniff_type
from core.media.mp3_length import stated_length_ms
from core.media.refusals import empty_file, undecodable, unknown_codec, unknown_kind
from core.ports.media import MediaWarning

if TYPE_CHECKING:
    from av.container import InputContainer

MAX_STREAMS: Final = 32
MAX_PIXELS: Final = 8192 * 4320  # of one frame
MAX_CHANNELS: Final = 32
# Below what a file may take in all (20 s of clock, 15 s of work): what was read by then counts.
WORK_SECONDS: Final = 12.0
_PROBE_BYTES: Final = 5_000_000
_MAX_FAULTS: Final = 200  # packets that cannot be decoded, before the rest is given up
# What may be lost at a cut, where the first packet needs one before it, without a word.
_LOST_MS: Final = 500
_PACKET_MS: Final = 100  # of a packet that does not say how long it is
# A header that promises more than is there by this much stands over a truncated file.
_MISSING_SHARE, _MISSING_MS = 0.05, 1000
_NO_SIZE: Final = 0x7FFFFF00
# Without an index their length is a guess from the bit rate.
_GUESSED_LENGTH: Final = frozenset({"aac", "mpegts", "mpeg"})
# What an mp3's encoder counted is exact; of a film the sound may end before the picture.
_EXACT: Final = "mp3"
_TRACKS_IN_HEADER: Final = frozenset({"mov", "matroska", "avi"})
# A page whose flags say that a stream begins (RFC 3533, section 6).
_OGG_BEGINNING: Final = re.compile(rb"OggS\x00[\x02\x03\x06\x07]")

# The only decoders that are ever opened: what people publish in, each of them fuzzed by its makers.
CODECS: Final = frozenset(
    {
        *("mp3", "mp3float", "mp2", "mp2float", "aac", "aac_latm", "ac3", "eac3", "alac", "flac"),
        *("opus", "libopus", "vorbis", "libvorbis", "wmav2"),
        *("pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be"),
        *("pcm_u8", "pcm_s8", "pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be"),
        *("pcm_alaw", "pcm_mulaw", "adpcm_ima_wav", "adpcm_ms", "adpcm_ima_qt"),
        *("h264", "hevc", "vp8", "vp9", "libvpx", "libvpx-vp9", "av1", "libdav1d"),
        *("mpeg1video", "mpeg2video", "mpeg4", "msmpeg4", "msmpeg4v2", "h263", "mjpeg", "theora"),
        *("prores", "dnxhd", "ffv1", "rawvideo"),
    }
)


@dataclass(slots=True)
class Recording:
    """An open file, the time that is left for it, and what is known to be missing from the rest."""

    container: "InputContainer"
    content_type: str
    data: bytes = field(repr=False)
    warnings: list[MediaWarning] = field(default_factory=list)
    work_seconds: float = WORK_SECONDS
    ended: bool = False  # whether a stream was read to its last packet
    _begun: float = field(default_factory=time.monotonic)

    @property
    def duration_ms(self) -> int | None:
        """How long the file says it is, None if it does not say."""
        length = self.container.duration
        return None if length is None or length < 0 else length // 1000

    def length_ms(self, read_ms: int) -> int | None:
        """How long the file is, None if nobody knows: what it says, or what was read where that is
        more; once it was read to its end, only what was read of sound alone, or of a cut file."""
        promised = self.duration_ms or 0
        if self.ended and (self._is_sound_alone() or self._cut_short(read_ms) is not None):
            return read_ms or None
        return max(promised, read_ms) or None

    def _is_sound_alone(self) -> bool:
        from av.stream import Disposition

        streams = self.container.streams
        films = (one for one in streams.video if not one.disposition & Disposition.attached_pic)
        return len(streams.audio) == 1 and next(films, None) is None

    @property
    def start_seconds(self) -> float:
        """The file's own time of its beginning."""
        start = self.container.start_time
        return 0.0 if start is None else start / 1_000_000

    def warn(self, warning: MediaWarning) -> None:
        """Note what is missing, once for each code."""
        if all(known.code != warning.code for known in self.warnings):
            self.warnings.append(warning)

    def track(self, found: Sequence[Any], what: str) -> Any:
        """Return the track to read, the first of its kind; of the others nothing is compared.

        Raises `NoTrackError` if there is none and the file's header would name it, `MediaError`
        if there may be one further on.
        """
        if not found:
            message = f"the {self.content_type} file has no {what} in it"
            raise NoTrackError(message) if self._names_tracks() else MediaError(message)
        if len(found) > 1:
            message = f"only the first of {len(found)} tracks with {what} was compared"
            self.warn(MediaWarning("first_track_only", message))
        return found[0]

    def _names_tracks(self) -> bool:
        """Say whether all tracks are known once a file is open, and nothing is wrong with it."""
        demuxer = RECORDINGS[self.content_type]
        if demuxer == "ogg":
            # Each track begins with a page that says so; one further on begins another part.
            return len(_OGG_BEGINNING.findall(self.data)) == len(self.container.streams)
        return demuxer in _TRACKS_IN_HEADER and not self.warnings

    def out_of_time(self) -> bool:
        """Say whether the time for this file is used up."""
        return time.monotonic() - self._begun > self.work_seconds

    def frames(self, stream: Any, read_ms: "ReadUntil") -> Iterator[Any]:
        """Yield a stream's frames, until its end, the first fault that ends it, or the time limit.

        What could not be read becomes a warning; `read_ms` says how far reading came.
        """
        from av.error import FFmpegError

        packets, faults, lost_ms = self.container.demux(stream), 0, 0.0
        torn = False  # whether the last packet is no whole frame
        while True:
            if self.out_of_time():
                self._cut_off(read_ms)
                return
            try:
                packet = next(packets)
            except StopIteration:
                self.ended = True
                self._check_length(read_ms)
                if torn:
                    self._torn(read_ms)
                return
            except (FFmpegError, ValueError, OSError) as error:
                self._damaged(read_ms, error)
                return
            try:
                found = packet.decode()
            except (FFmpegError, ValueError) as error:
                torn = torn or self._is_frame(packet)
                faults, lost_ms = faults + 1, lost_ms + _length_ms(packet)
                if lost_ms > _LOST_MS or faults > _MAX_FAULTS:
                    self._damaged(read_ms, error)
                if faults > _MAX_FAULTS:
                    return
                continue
            torn = torn and not packet.size
            yield from found

    def _is_frame(self, packet: Any) -> bool:
        """Say whether a packet is one of the stream's, not a tag or other bytes behind it, which
        are no part of the recording."""
        demuxer = RECORDINGS[self.content_type]
        if demuxer == "aac":
            # ADTS: twelve bits that are set, and layer 0 (ISO/IEC 13818-7, section 6.2).
            head = bytes(packet)[:2]
            return len(head) == 2 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0
        # Half a frame of an mp3 is decoded without a word: what is not is something else.
        return demuxer != "mp3"

    def _cut_off(self, read_ms: "ReadUntil") -> None:
        self.warn(
            MediaWarning(
                "cut_off",
                f"reading the file takes more than {self.work_seconds:g} s:"
                f" only its first {read_ms.seconds} were compared",
            )
        )

    def _damaged(self, read_ms: "ReadUntil", error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"[:100]
        self.warn(
            MediaWarning(
                "damaged",
                f"the file is damaged from {read_ms.seconds} on ({reason}):"
                " what could not be decoded was not compared",
            )
        )

    def _torn(self, read_ms: "ReadUntil") -> None:
        self.warn(
            MediaWarning(
                "damaged",
                f"the file ends in the middle of a frame, at {read_ms.seconds}: it seems to be cut"
                " short, and what is missing was not compared",
            )
        )

    def _check_length(self, read_ms: "ReadUntil") -> None:
        promised = self._cut_short(read_ms.value)
        if promised is not None:
            self.warn(
                MediaWarning(
                    "damaged",
                    f"the file is cut short: {promised / 1000:.1f} s long by its header,"
                    f" {read_ms.seconds} could be read",
                )
            )

    def _cut_short(self, read_ms: int) -> int | None:
        """Return the ms that the header promises, if less is there; a guess promises nothing."""
        demuxer, share = RECORDINGS[self.content_type], _MISSING_SHARE
        if demuxer == _EXACT:
            promised, share = stated_length_ms(self.data), 0.0
        else:
            promised = None if demuxer in _GUESSED_LENGTH else self.duration_ms
        if promised is None or promised - read_ms <= max(_MISSING_MS, share * promised):
            return None
        return promised


def _length_ms(packet: Any) -> float:
    if packet.duration is None or packet.time_base is None or packet.duration <= 0:
        return float(_PACKET_MS)
    return float(1000 * packet.duration * packet.time_base)


@dataclass(slots=True)
class ReadUntil:
    """How far into the file reading came, in ms."""

    value: int = 0

    @property
    def seconds(self) -> str:
        """For messages."""
        return f"{self.value / 1000:.1f} s"


def require_av() -> None:
    """Raise `MissingExtraError` if PyAV is not installed."""
    try:
        import av  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise MissingExtraError(
            "audio and video need PyAV: install trawl-retriever[media]", extra="media"
        ) from error


@contextmanager
def open_recording(
    data: bytes, declared_type: str | None, *, work_seconds: float = WORK_SECONDS
) -> Iterator[Recording]:
    """Open a file's container, and close it.

    Raises `MediaError` for what is no audio or video file, is not what it is declared as, or
    cannot be opened or decoded, and `MissingExtraError` without PyAV.
    """
    if not data:
        raise empty_file()
    mime = sniff_type(data)
    if mime not in RECORDINGS:
        raise unknown_kind("an audio or video file", data, mime, RECORDINGS)
    check_declared(mime, declared_type)
    require_av()
    try:
        with _open(data, RECORDINGS[mime]) as container:
            recording = Recording(container, mime, data, work_seconds=work_seconds)
            _check_size(recording, data)
            yield recording
    except (MediaError, MissingExtraError, MemoryError):
        raise
    except Exception as error:
        # FFmpeg's own errors, and whatever its bindings raise on values that no file should hold.
        raise undecodable(mime, data, error) from error


def _open(data: bytes, demuxer: str) -> "InputContainer":
    import av

    return av.open(
        io.BytesIO(data),
        "r",
        format=demuxer,
        metadata_errors="replace",
        # A demuxer that asks for another file is refused here, and once more by what it may speak.
        io_open=_refuse_files,
        container_options={
            "format_whitelist": f"{demuxer},{_long_name(demuxer)}",
            "protocol_whitelist": "none",
            "codec_whitelist": ",".join(sorted(CODECS)),
            "max_streams": str(MAX_STREAMS),
            "probesize": str(_PROBE_BYTES),
            "max_probe_packets": "500",
        },
    )


def _check_size(recording: Recording, data: bytes) -> None:
    """Note a RIFF or AIFF file that ends before its header says; FFmpeg takes that for granted."""
    order: Literal["little", "big"] = "little" if data.startswith(b"RIFF") else "big"
    if data[:4] not in (b"RIFF", b"FORM"):
        return
    promised = int.from_bytes(data[4:8], order) + 8
    # Written to a pipe, a file does not know its size and says so.
    if len(data) < promised < _NO_SIZE:
        recording.warn(
            MediaWarning(
                "damaged",
                f"the file is cut short: {promised} bytes long by its header, it has {len(data)}",
            )
        )


def _long_name(demuxer: str) -> str:
    names = {"mov": "mov,mp4,m4a,3gp,3g2,mj2", "matroska": "matroska,webm"}
    return names.get(demuxer, demuxer)


def _refuse_files(*_arguments: Any) -> NoReturn:
    raise PermissionError("a media file may not open another")


def ready_decoder(stream: Any) -> None:
    """Bound a stream's decoder before its first packet; `MediaError` if it may not be opened."""
    context = stream.codec_context
    if context is None or context.name not in CODECS:
        raise unknown_codec(stream.type, None if context is None else context.name)
    # Threads would outlive the limits that hold for this one.
    context.thread_count = 1
    context.options = {"max_pixels": str(MAX_PIXELS), "threads": "1"}
