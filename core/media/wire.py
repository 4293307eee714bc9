"""How an extraction travels between processes: a JSON header, and vectors as plain bytes.

The reader trusts nothing: the other side has parsed hostile media and may no longer be ours.
"""

import base64
import math
import struct
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import orjson

from core.arrays import Float32, UInt8
from core.errors import InvalidRequestError, MediaError, MissingExtraError, NoTrackError, TrawlError
from core.media.extractor_info import ExtractorInfo
from core.ports.keypoints import MOST_KEYPOINTS, unpack_keypoints
from core.ports.media import Chunk, Extraction, MediaInfo, MediaWarning, Place
from core.types import JsonObject

FRAME = struct.Struct(">II")  # the lengths of a header and of the body that follows it
MAX_HEADER_BYTES = 1 << 21  # two hours of sound are 14,500 chunks of 95 bytes
MAX_BODY_BYTES = 1 << 24

FaultKind = Literal["track", "media", "request", "extra", "memory", "internal"]


def pack_extraction(extraction: Extraction) -> tuple[JsonObject, bytes]:
    """Return the header and the vectors, one after the other, in the order of its chunks."""
    chunks = [
        {
            "variant": chunk.variant,
            "quality": chunk.quality,
            "keypoints": None
            if chunk.keypoints is None
            else base64.b64encode(chunk.keypoints.tobytes()).decode(),
            "place": chunk.place
            and {
                "start_ms": chunk.place.start_ms,
                "end_ms": chunk.place.end_ms,
                "box": chunk.place.box,
            },
        }
        for chunk in extraction.chunks
    ]
    media = extraction.media
    header = {
        "chunks": chunks,
        "media": {name: getattr(media, name) for name in MediaInfo.__dataclass_fields__},
        "warnings": [{"code": w.code, "message": w.message} for w in extraction.warnings],
        "found": extraction.found,
    }
    return header, b"".join(chunk.vector.tobytes() for chunk in extraction.chunks)


def unpack_extraction(info: ExtractorInfo, header: Mapping[str, Any], body: bytes) -> Extraction:
    """Return the extraction; raises `MediaError` unless it is one that `info` could have made."""
    try:
        vectors = _vectors(info, len(header["chunks"]), body)
        chunks = tuple(
            Chunk(
                vector,
                _place(each["place"]),
                _number(each["quality"]),
                str(each["variant"]),
                _keypoints(each.get("keypoints")),
            )
            for vector, each in zip(vectors, header["chunks"], strict=True)
        )
        media = MediaInfo(**header["media"])
        notes = tuple(MediaWarning(w["code"], str(w["message"])) for w in header["warnings"])
        found = None if header.get("found") is None else int(header["found"])
    except (LookupError, TypeError, ValueError) as error:
        raise MediaError("the media process answered something that is no extraction") from error
    return Extraction(chunks, media, notes, found)


def _vectors(info: ExtractorInfo, count: int, body: bytes) -> list[Float32 | UInt8]:
    if info.metric == "hamming":
        packed = np.frombuffer(body, np.uint8).reshape(count, info.dimension // 8)
        return list(packed)
    floats = np.frombuffer(body, np.float32).reshape(count, info.dimension)
    if not np.isfinite(floats).all():
        raise ValueError("a vector is not finite")
    return list(floats)


def _place(value: Any) -> Place | None:
    if value is None:
        return None
    box = value["box"]
    return Place(value["start_ms"], value["end_ms"], box and (box[0], box[1], box[2], box[3]))


def _keypoints(value: Any) -> UInt8 | None:
    """Return packed places; `ValueError` for what cannot be such, or for more than there can be."""
    if value is None:
        return None
    packed = np.frombuffer(base64.b64decode(str(value), validate=True), np.uint8)
    if len(unpack_keypoints(packed)) > MOST_KEYPOINTS:
        raise ValueError("too many keypoints")
    return packed


def _number(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("a quality is not finite")
    return number


def pack_fault(error: Exception) -> JsonObject:
    """Return what is told about a failure: the message of an error of ours, else its class."""
    kinds: tuple[tuple[type[Exception], FaultKind], ...] = (
        (NoTrackError, "track"),
        (MediaError, "media"),
        (InvalidRequestError, "request"),
        (MissingExtraError, "extra"),
        (MemoryError, "memory"),
    )
    kind = next((name for cls, name in kinds if isinstance(error, cls)), "internal")
    ours = isinstance(error, TrawlError)
    return {"kind": kind, "message": str(error) if ours else type(error).__name__}


def unpack_fault(fault: Mapping[str, Any]) -> TrawlError:
    """Return the error to raise for `pack_fault`'s object."""
    kind, message = fault.get("kind"), str(fault.get("message"))[:2000]
    if kind == "track":
        return NoTrackError(message)
    if kind == "media":
        return MediaError(message)
    if kind == "request":
        return InvalidRequestError(message)
    if kind == "extra":
        return MissingExtraError(message)
    if kind == "memory":
        return MediaError("the file needs more memory than decoding may use")
    return TrawlError(f"unexpected {message[:100]} while extracting")


def pack_frame(header: JsonObject, body: bytes) -> bytes:
    """Return one message: both lengths, the header as JSON, the body."""
    head = orjson.dumps(header)
    return FRAME.pack(len(head), len(body)) + head + body


def frame_lengths(prefix: bytes) -> tuple[int, int]:
    """Return the two lengths that a message begins with; `MediaError` if they are too large."""
    head, body = FRAME.unpack(prefix)
    if head > MAX_HEADER_BYTES or body > MAX_BODY_BYTES:
        raise MediaError("the media process answered more than it may")
    return head, body


def read_header(raw: bytes) -> JsonObject:
    """Return a message's header; `MediaError` if it is no JSON object."""
    try:
        header = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise MediaError("the media process answered no JSON") from error
    if not isinstance(header, dict):
        raise MediaError("the media process answered no JSON object")
    return header
