"""One version of an extractor: its vectors, its distances, and what a collection may say of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from core.media.parameters import PDQ_PARAMETERS, VERIFY, Parameter
from core.ports.keypoints import VerifyRule, packed_size
from core.ports.media import GeometryRule, VoteRule
from core.types import Metric, VectorSpec

# Run by the process that serves the API: the one that decodes media has no network.
REMOTE_FAMILIES: Final = frozenset({"bedrock", "sagemaker", "https"})
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
    # Each costs a millisecond. Of 100,000 strange pictures about 180 are within reach.
    checked=400,
    inliers=8,
)


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
    parameters: tuple[Parameter, ...] = ()
    # Of recordings, how a query's chunks become one answer.
    votes: VoteRule | None = None
    views: tuple[str, ...] = ()
    # Of pictures in pictures, how a query's chunks become one answer.
    geometry: GeometryRule | None = None
    # The extra to install for it, and the modules which that brings.
    extra: str | None = None
    modules: tuple[str, ...] = ()
    # Of pictures whose collection asks for it, how what is not near is verified.
    verification: VerifyRule | None = None

    @property
    def reference(self) -> str:
        """`image.pdq@v2`: this version and no other."""
        return f"{self.name}@{self.version}"

    @property
    def family(self) -> str:
        """`bedrock` of `bedrock.cohere`."""
        return self.name.partition(".")[0]

    @property
    def is_remote(self) -> bool:
        """Whether files and texts are sent to a model elsewhere."""
        return self.family in REMOTE_FAMILIES

    def known_thresholds(self) -> dict[str, float | str]:
        """Return the thresholds as they are told; `block_at` and `review_at` are those of scores,
        where places are counted that agree."""
        known: dict[str, float | str] = {
            "match": self.thresholds.match,
            "review": self.thresholds.review,
            "unit": self.thresholds.unit,
        }
        if self.geometry is not None:
            known["block_at"], known["review_at"] = self.geometry.scores
        return known

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
