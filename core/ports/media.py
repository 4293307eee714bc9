"""The media ports: untrusted bytes in, vectors out; and a content value in, bytes out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from core.arrays import Float32, UInt8
from core.deadline import Deadline

# Reads one object that the caller may read, `(bucket, key, most) -> its first `most` bytes`; raises
# `FetchError` for any other, so that a query can never reach what presigning would refuse.
ReadObject = Callable[[str, str, int], bytes]

WarningCode = Literal[
    "low_quality",
    "first_frame_only",
    "chunks_sampled",
    "stored_vectors",
    "too_short",
    "damaged",
    "first_track_only",
    "cut_off",
    "no_face",
]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in its file a chunk lies: milliseconds, and a box (left, top, right, bottom) in px."""

    start_ms: int | None = None
    end_ms: int | None = None
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """One vector of a file: (d,) float32, or (bits / 8,) uint8 packed most significant first.

    `quality` is 0–100, None where the extractor has no such measure. `variant` says which view of
    the file a query chunk stands for (`rotate_90`, …); a reference's is `original`, or one of its
    extractor's views. `keypoints` are places of the whole file's picture, mirrored if the variant
    is: see `core.ports.keypoints`.
    """

    vector: Float32 | UInt8
    place: Place | None = None
    quality: float | None = None
    variant: str = "original"
    keypoints: UInt8 | None = None


@dataclass(frozen=True, slots=True)
class AlignmentRule:
    """How a recording is compared with a reference at an offset that chunks voted for: all chunks
    that lie at one place then, near or not. Differences are shares of bits, 1 - similarity.

    `hop_ms` is the step at which offsets are tried; chunks within half of it lie at one place. A
    reference has a chunk each `step_ms`. Where chunks differ by more than `apart` the recording is
    no longer the same; those of strangers differ by `chance`. Up to `enough` chunks a greater
    length proves more: with each 1 that the root of their number lacks, the difference counts
    `short` more.

    `thirds_ms` says, of windows that overlap, how long after a window's start a third, and two
    thirds, of what it says have been heard.
    """

    hop_ms: float
    step_ms: float
    apart: float
    chance: float
    enough: int
    short: float
    thirds_ms: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class VoteRule:
    """How the chunks of one recording vote for another: each pair of near chunks says by how much
    the one lies later than the other, and pairs that say the same belong together.

    `min_score` is the least similarity that votes; offsets within `tolerance_ms` are the same.
    `spans` says that a chunk stands for all of its place, not for a window that starts there.
    Agreement is no accident from `min_ms` of the query on, or half of it if that is less, and
    from `min_votes` chunks on. `chunks` is how many chunks a query has, unless it says.

    With an `alignment` votes only name candidates: what is proven, and how alike it is, says the
    comparison at their offsets, and `least` is the least similarity of a recording that it proves.
    """

    min_score: float
    tolerance_ms: int
    spans: bool
    min_ms: int
    min_votes: int
    chunks: int
    alignment: AlignmentRule | None = None
    least: float | None = None

    @property
    def proven_from(self) -> float:
        """The least similarity that a recording can be found with."""
        return self.min_score if self.least is None else self.least


@dataclass(frozen=True, slots=True)
class GeometryRule:
    """How many near chunks, each a place in a picture, prove that a reference is shown in it: those
    that one scaling, turning and moving brings to where the reference has them.

    `min_score` is the least similarity that counts, of the `near` best of each chunk. From `match`
    such places on it is the same, from `review` on perhaps. `chunks` is how many a query has,
    unless it says. `share` is the least share of the reference's places that resemble any of the
    query which must lie where that move brings them.
    """

    min_score: float
    near: int
    review: int
    match: int
    chunks: int
    share: float = 0.0

    @property
    def scores(self) -> tuple[float, float]:
        """The scores from which on it is the same, and perhaps: n / (n + `match`) for n places,
        rounded down to two digits, so that no rounding of a score makes it less."""
        both = (self.match, self.review)
        block_at, review_at = (100 * n // (n + self.match) / 100 for n in both)
        return block_at, review_at


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """Facts about a file; width and height as shown, after its orientation tag is applied."""

    content_type: str
    size_bytes: int
    sha256: str
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class MediaWarning:
    """Why what was extracted is less than the file: an answer that rests on it is incomplete."""

    code: WarningCode
    message: str


@dataclass(frozen=True, slots=True)
class Extraction:
    """What an extractor found. No chunks always comes with a warning that says why.

    A search without chunks has compared nothing: whoever reads this must report `warnings` as
    reasons of incompleteness, never as a clean "no match".
    """

    chunks: tuple[Chunk, ...]
    media: MediaInfo
    warnings: tuple[MediaWarning, ...] = ()
    # How many places the file has, where `max_chunks` left some of them out.
    found: int | None = None


class MediaExtractor(Protocol):
    """Turns media bytes into chunks, apart from the process that holds the data. Thread-safe."""

    def extract(
        self,
        extractor: str,
        data: bytes,
        *,
        deadline: Deadline,
        params: Mapping[str, Any] | None = None,
        max_chunks: int | None = None,
        as_query: bool = False,
        declared_type: str | None = None,
    ) -> Extraction:
        """Return the chunks of one file; blocks, so call it from a thread.

        `as_query` adds the views that only a query needs (the other dihedral hashes of an image).
        `declared_type` is the MIME type that came with the bytes, held against what they are.
        Raises `MediaError` for the file's faults, `InvalidRequestError` for an unknown extractor
        or parameter, `DeadlineError`, `MissingExtraError` if its library is not installed, and
        `UnavailableError` if no process can be had.
        """
        ...

    def close(self) -> None:
        """End whatever runs; later calls raise `UnavailableError`."""
        ...


@dataclass(frozen=True, slots=True)
class FetchedMedia:
    """The bytes behind a content value; `source` names it for messages: short, no secrets."""

    data: bytes = field(repr=False)
    source: str
    declared_type: str | None = None


class MediaFetcher(Protocol):
    """Gets the bytes of a content value: https, `s3://`, a data URI or base64. Thread-safe."""

    def fetch(self, content: str, *, deadline: Deadline, read_object: ReadObject) -> FetchedMedia:
        """Return the bytes; blocks.

        Raises `InvalidRequestError` for a value that is none of the four, `FetchError` for what
        may not or can never be fetched, `FetchUnavailableError` for what may work later, and
        `DeadlineError`.
        """
        ...
