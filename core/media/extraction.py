"""Runs one extractor on one file, in this process: the media function's and the child's work."""

from collections.abc import Mapping
from typing import Any, Protocol

from core.errors import InvalidRequestError, Problem
from core.media.extractor_info import ExtractorInfo
from core.media.extractors import (
    AUDIO_CHROMAPRINT,
    FACE_DLIB,
    IMAGE_ONNX,
    IMAGE_PDQ,
    IMAGE_PDQ_V1,
    LOGO_SIFT,
    VIDEO_VPDQ,
    find_extractor,
)
from core.media.parameters import VERIFY
from core.ports.media import Extraction


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
    if info.is_remote:
        raise InvalidRequestError(f"{info.name} is not run where media are decoded")
    _check_params(info, params or {})
    if max_chunks is not None and max_chunks < 1:
        raise InvalidRequestError("max_chunks must be at least 1")
    if info is IMAGE_ONNX:
        from core.media.onnx_model import extract_onnx

        return extract_onnx(data, params or {}, declared_type)
    if info is IMAGE_PDQ:
        from core.media.image import extract_image

        verify = bool((params or {}).get(VERIFY))
        return extract_image(data, as_query=as_query, declared_type=declared_type, verify=verify)
    return _RUNS[info.reference](
        data, as_query=as_query, declared_type=declared_type, max_chunks=max_chunks
    )


def _check_params(info: ExtractorInfo, params: Mapping[str, Any]) -> None:
    accepted = tuple(each.name for each in info.parameters)
    unknown = sorted(set(params) - set(accepted))
    if unknown:
        raise InvalidRequestError(
            f"{info.name} takes no parameter {', '.join(map(repr, unknown))}",
            [Problem(f"params.{name}", "unknown", accepted=accepted) for name in unknown],
        )


class _Run(Protocol):
    def __call__(
        self, data: bytes, *, as_query: bool, declared_type: str | None, max_chunks: int | None
    ) -> Extraction: ...


def _image_pdq_v1(
    data: bytes, *, as_query: bool, declared_type: str | None, max_chunks: int | None
) -> Extraction:
    from core.media.image import extract_image_v1

    del max_chunks  # an image is one place
    return extract_image_v1(data, as_query=as_query, declared_type=declared_type)


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


def _logo_sift(
    data: bytes, *, as_query: bool, declared_type: str | None, max_chunks: int | None
) -> Extraction:
    from core.media.logos import extract_logo

    return extract_logo(data, as_query=as_query, declared_type=declared_type, max_chunks=max_chunks)


def _face_dlib(
    data: bytes, *, as_query: bool, declared_type: str | None, max_chunks: int | None
) -> Extraction:
    from core.media.faces import extract_faces

    del as_query  # a face is read alike on both sides
    return extract_faces(data, declared_type=declared_type, max_chunks=max_chunks)


_RUNS: Mapping[str, _Run] = {
    IMAGE_PDQ_V1.reference: _image_pdq_v1,
    AUDIO_CHROMAPRINT.reference: _audio_chromaprint,
    VIDEO_VPDQ.reference: _video_vpdq,
    LOGO_SIFT.reference: _logo_sift,
    FACE_DLIB.reference: _face_dlib,
}
