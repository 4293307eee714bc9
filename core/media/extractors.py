"""The extractors there are, as data: listed and looked up without loading any media library."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from core.errors import InvalidRequestError, Problem
from core.media.extractor_info import ExtractorInfo, Thresholds
from core.media.parameters import (
    COHERE_PARAMETERS,
    HTTPS_PARAMETERS,
    NOVA_PARAMETERS,
    ONNX_PARAMETERS,
    PDQ_PARAMETERS,
    SAGEMAKER_PARAMETERS,
    TITAN_PARAMETERS,
    Parameter,
)
from core.models.features import index_name
from core.ports.media import AlignmentRule, GeometryRule, VoteRule

URI_SCHEMES = ("mixpeek", "trawl")


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of a picture: where it begins and what share of each side it is, 0–1."""

    left: float
    top: float
    share: float


# The picture inside an image's border, and parts of it. A copy that lost 5 % of its width and of
# its height, from whichever edges, is near one of the first five; one that lost 10 % evenly, near
# the last.
INSIDE: Final = "inside"
IMAGE_CROPS: Final[Mapping[str, Crop]] = MappingProxyType(
    {
        "centre_95": Crop(0.025, 0.025, 0.95),
        "top_left_95": Crop(0.0, 0.0, 0.95),
        "top_right_95": Crop(0.05, 0.0, 0.95),
        "bottom_left_95": Crop(0.0, 0.05, 0.95),
        "bottom_right_95": Crop(0.05, 0.05, 0.95),
        "centre_90": Crop(0.05, 0.05, 0.9),
    }
)

IMAGE_PDQ = ExtractorInfo(
    name="image.pdq",
    version="v2",
    output="hash",
    description=(
        "Perceptual fingerprints of a still image (Meta's PDQ): finds copies of this image, "
        "mirrored, turned, in a border, or without a strip along its edges."
    ),
    modalities=("image",),
    metric="hamming",
    dimension=256,
    thresholds=Thresholds(match=31, review=60, unit="bits"),
    parameters=PDQ_PARAMETERS,
    views=(INSIDE, *IMAGE_CROPS),
)

# One hash of each reference. Collections that were made with it stay what they were.
IMAGE_PDQ_V1 = replace(
    IMAGE_PDQ,
    version="v1",
    description="Perceptual fingerprint of a still image (Meta's PDQ): finds copies of this image.",
    parameters=(),
    views=(),
)

# What `core.media.chromaprint` and `core.media.audio` do, said here without loading them.
HOP_MS: Final = 1000 * 1365 / 11_025
REFERENCE_HOPS: Final = 4

AUDIO_CHROMAPRINT = ExtractorInfo(
    name="audio.chromaprint",
    version="v1",
    output="fingerprint",
    description=(
        "Acoustic fingerprint of a recording, or of a film's sound (Chromaprint): finds this "
        "recording again and the second it is at, not another performance of the piece."
    ),
    modalities=("audio", "video"),
    metric="hamming",
    dimension=256,
    # Set on 29 tracks of three games' music, 87 excerpts of 10 s altered in three ways, against all
    # tracks of the other two: the nearest of 4,101 pairs of strangers were 72 bits apart.
    thresholds=Thresholds(match=56, review=70, unit="bits"),
    votes=VoteRule(
        min_score=1 - 50 / 256,
        tolerance_ms=400,
        spans=False,
        min_ms=0,
        min_votes=1,
        chunks=240,
        alignment=AlignmentRule(
            hop_ms=HOP_MS,
            step_ms=REFERENCE_HOPS * HOP_MS,
            apart=0.35,  # Haitsma and Kalker's threshold
            chance=0.5,
            enough=12,
            # Of strangers' seconds the nearest 1, 2, 3, 5, 8 and 12 pairs were 39, 43, 46, 55, 65
            # and 74 bits apart.
            short=14.7 / 256,
            # Measured on made-up tunes spliced into others.
            thirds_ms=(1000, 1950),
        ),
        least=1 - 70 / 256,
    ),
)

VIDEO_VPDQ = ExtractorInfo(
    name="video.vpdq",
    version="v1",
    output="hash",
    description=(
        "Perceptual fingerprint of a film's frames, one a second (Meta's PDQ): finds copies of "
        "these pictures and the second they are at; mirrored, turned and letterboxed ones too."
    ),
    modalities=("video",),
    metric="hamming",
    dimension=256,
    thresholds=Thresholds(match=31, review=60, unit="bits"),
    votes=VoteRule(
        min_score=1 - 60 / 256,
        tolerance_ms=1000,
        spans=True,
        min_ms=2000,
        min_votes=1,
        chunks=120,
        alignment=AlignmentRule(
            hop_ms=250, step_ms=1000, apart=0.35, chance=0.5, enough=1, short=0.0
        ),
    ),
)

LOGO_SIFT = ExtractorInfo(
    name="logo.sift",
    version="v1",
    output="keypoints",
    description=(
        "Keypoints of a picture (RootSIFT): finds this artwork inside a photograph or a page, and "
        "where, in one colour too; not the same brand redrawn."
    ),
    modalities=("image",),
    metric="cosine",
    dimension=128,
    thresholds=Thresholds(match=8, review=6, unit="keypoints that agree, at least"),
    geometry=GeometryRule(min_score=0.8, near=20, review=6, match=8, chunks=800, share=0.35),
    extra="logo",
    modules=("cv2",),
)

FACE_DLIB = ExtractorInfo(
    name="face.dlib",
    version="v1",
    output="descriptor",
    description=(
        "Faces in a picture, seen from the front and not small (dlib): finds other pictures of the "
        "same person, and misses some. Biometric data: docs/faces.md says what that asks of you."
    ),
    modalities=("image",),
    metric="euclidean",
    dimension=128,
    # dlib's own .6 takes strangers for one person.
    thresholds=Thresholds(match=0.45, review=0.55, unit="units"),
    extra="face",
    modules=("dlib", "face_recognition_models"),
)

IMAGE_ONNX = ExtractorInfo(
    name="image.onnx",
    version="v1",
    output="embedding",
    description=(
        "A picture's vector by a model file of your own (ONNX), on the machine itself: what it "
        "finds is what the model was made for."
    ),
    modalities=("image",),
    metric="cosine",
    dimension=512,
    thresholds=Thresholds(match=0.25, review=0.5, unit="cosine distance, SSCD's"),
    parameters=ONNX_PARAMETERS,
    extra="onnx",
    modules=("onnxruntime",),
)


def _embedder(
    name: str,
    description: str,
    parameters: tuple[Parameter, ...],
    modalities: tuple[str, ...] = ("image", "text"),
    dimension: int = 1024,
) -> ExtractorInfo:
    """Return an extractor whose vectors a model elsewhere makes: distances mean what it means."""
    return ExtractorInfo(
        name=name,
        version="v1",
        output="embedding",
        description=description,
        modalities=modalities,
        metric="cosine",
        dimension=dimension,
        thresholds=Thresholds(match=0.1, review=0.3, unit="cosine distance, as a first guess"),
        parameters=parameters,
    )


_ANY: Final = ("image", "text", "audio", "video")

EMBEDDERS: Final = (
    _embedder(
        "bedrock.titan-multimodal",
        "Amazon Titan Multimodal Embeddings: images and texts by what they show. Files are sent to "
        "Amazon Bedrock in the service's own AWS account and region.",
        TITAN_PARAMETERS,
    ),
    _embedder(
        "bedrock.nova-multimodal",
        "Amazon Nova Multimodal Embeddings: images and texts by what they show. Files are sent to "
        "Amazon Bedrock in the service's own AWS account and region.",
        NOVA_PARAMETERS,
    ),
    _embedder(
        "bedrock.cohere",
        "Cohere Embed 3 or 4: images and texts by what they show. Files are sent to Amazon Bedrock "
        "in the service's own AWS account; an inference profile may use other regions.",
        COHERE_PARAMETERS,
    ),
    _embedder(
        "sagemaker.endpoint",
        "A model of your own behind a SageMaker endpoint. Files are sent to that endpoint.",
        SAGEMAKER_PARAMETERS,
        _ANY,
    ),
    _embedder(
        "https.embedder",
        "A model behind any HTTPS address. Every file and text, of documents and of queries, "
        "leaves this service for that address.",
        HTTPS_PARAMETERS,
        _ANY,
    ),
)

# Of several versions the newest first: a name without a version means it.
EXTRACTORS: tuple[ExtractorInfo, ...] = (
    IMAGE_PDQ,
    IMAGE_PDQ_V1,
    AUDIO_CHROMAPRINT,
    VIDEO_VPDQ,
    LOGO_SIFT,
    FACE_DLIB,
    IMAGE_ONNX,
    *EMBEDDERS,
)


# Made once: each query asks several times, mostly for vectors that no extractor made. Of two of a
# name the first is meant.
_BY_NAME = {
    name: info
    for info in reversed(EXTRACTORS)
    for name in (info.name, info.reference, info.feature_uri, info.index_name)
}
_NAMES = tuple(dict.fromkeys(info.name for info in EXTRACTORS))
_KNOWN = tuple(dict.fromkeys(n for info in EXTRACTORS for n in (info.name, info.feature_uri)))
# The same hash, of images and of a film's frames: a picture can be looked for in films.
_PDQ: Final = frozenset({IMAGE_PDQ.name, VIDEO_VPDQ.name})
_VIEWS = {
    info.index_name: {name: view for view, name in info.view_names.items()} for info in EXTRACTORS
}


def find_extractor(reference: str) -> ExtractorInfo:
    """Return the extractor of that name, `name@version`, feature URI (`mixpeek://` or `trawl://`)
    or index name; of a name alone its newest version.

    Raises `InvalidRequestError` that lists those known.
    """
    scheme, separator, rest = reference.partition("://")
    canonical = f"mixpeek://{rest}" if separator and scheme in URI_SCHEMES else reference
    info = _BY_NAME.get(canonical)
    if info is not None:
        return info
    raise InvalidRequestError(
        f"unknown extractor {reference[:200]!r}; known: {', '.join(_NAMES)}",
        [Problem("extractor", "unknown extractor", "unknown_extractor", _KNOWN)],
    )


def versions_of(name: str) -> tuple[str, ...]:
    """Return the versions of an extractor, the newest first; none for an unknown name."""
    return tuple(info.version for info in EXTRACTORS if info.name == name)


def are_comparable(one: ExtractorInfo, other: ExtractorInfo) -> bool:
    """Say whether vectors of one mean anything beside those of the other."""
    return one.name == other.name or {one.name, other.name} <= _PDQ


def view_names(feature_uri: str) -> dict[str, str]:
    """Return the views that are stored beside a feature's vector, by their names in a collection;
    none of a vector that documents bring."""
    return dict(_VIEWS.get(index_name(feature_uri), {}))
