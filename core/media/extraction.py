"""Runs one extractor on one file, in this process: the media function's and the child's work."""

import hashlib
from collections.abc import Mapping
from typing import Any, Protocol

from core.errors import InvalidRequestError, Problem
from core.media.decode import decode_picture
from core.media.extractors import (
    AUDIO_CHROMAPRINT,
    IMAGE_PDQ,
    VIDEO_VPDQ,
    ExtractorInfo,
    find_extractor,
)
from core.media.pdq import MIN_QUALITY, MIN_SIDE, dihedral_hashes, fingerprint
from core.ports.media import Chunk, Extraction, MediaInfo, MediaWarning


def extract(
    extractor: str,
    data: bytes,
    *,
    params: Mapping[str, Any] | None = None,
    max_chunks: int | None = None,
    as_query: bool = False,
    declared_type: str | None = None,
) -> Extraction:
    """Return the chunks of `data`; as `MediaExtractor.extract`, without its walls.

    `max_chunks` bounds places in a file, not the views of one place: an image is one.
    """
    info = find_extractor(extractor)
    _check_params(info, params or {})
    if max_chunks is not None and max_chunks < 1:
        raise InvalidRequestError("max_chunks must be at least 1")
    return _RUNS[info.name](
        data, as_query=as_query, declared_type=declared_type, max_chunks=max_chunks
    )


def _check_params(info: ExtractorInfo, params: Mapping[str, Any]) -> None:
    unknown = sorted(set(params) - set(info.parameters))
    if unknown:
        raise InvalidRequestError(
            f"{info.name} takes no parameter {', '.join(map(repr, unknown))}",
            [Problem(f"params.{name}", "unknown", accepted=info.parameters) for name in unknown],
        )


class _Run(Protocol):
    def __call__(
        self, data: bytes, *, as_query: bool, declared_type: str | None, max_chunks: int | None
    ) -> Extraction: ...


def _image_pdq(
    data: bytes, *, as_query: bool, declared_type: str | None, max_chunks: int | None
) -> Extraction:
    del max_chunks  # an image is one place
    picture = decode_picture(data, declared_type)
    media = MediaInfo(
        content_type=picture.content_type,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        width=picture.width,
        height=picture.height,
    )
    found = fingerprint(picture.luma)
    tiny = min(picture.width, picture.height) < MIN_SIDE
    quality = 0 if tiny else found.quality
    if quality < MIN_QUALITY:
        warning = MediaWarning(
            "low_quality",
            f"too little detail to fingerprint (quality {quality} of 100, needs {MIN_QUALITY}):"
            " nothing was compared",
        )
        return Extraction((), media, (*picture.warnings, warning))
    views = dihedral_hashes(picture.luma) if as_query else {"original": found.hash}
    # A symmetric picture has fewer than eight different views: equal hashes find the same.
    distinct = {vector.tobytes(): name for name, vector in reversed(views.items())}
    chunks = tuple(
        Chunk(vector, quality=float(quality), variant=name)
        for name, vector in views.items()
        if distinct[vector.tobytes()] == name
    )
    return Extraction(chunks, media, picture.warnings)


def _audio_chromaprint(
    data: bytes, *, as_query: bool, declared_type: str | None, max_chunks: int | None
) -> Extraction:
    from core.media.audio import extract_audio

    return extract_audio(
        data, as_query=as_query, declared_type=declared_type, max_chunks=max_chunks
    )


def _video_vpdq(
    data: bytes, *, as_query: bool, declared_type: str | None, max_chunks: int | None
) -> Extraction:
    from core.media.video import extract_video

    return extract_video(
        data, as_query=as_query, declared_type=declared_type, max_chunks=max_chunks
    )


_RUNS: Mapping[str, _Run] = {
    IMAGE_PDQ.name: _image_pdq,
    AUDIO_CHROMAPRINT.name: _audio_chromaprint,
    VIDEO_VPDQ.name: _video_vpdq,
}
