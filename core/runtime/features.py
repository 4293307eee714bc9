"""What a call's collections hold of one feature: found out once, asked by every query."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.errors import InvalidRequestError, Problem
from core.media.extractors import view_names
from core.models.features import index_name
from core.runtime.searching import has_vectors
from core.storage.snapshot import Snapshot
from core.types import VectorSpec


@dataclass(frozen=True, slots=True)
class FeatureFacts:
    """A feature's vectors in some pinned collections.

    `specs` are the kinds of them, each with the first collection of it; `views` the names of the
    vectors stored beside them, by view, of those that any document has; `unsearched` the
    collections that hold documents and not one such vector. `known` are all names of vectors
    that the collections have.
    """

    name: str
    specs: Mapping[VectorSpec, str]
    views: Mapping[str, str]
    unsearched: tuple[Snapshot, ...]
    known: tuple[str, ...]

    def spec(self) -> VectorSpec | None:
        """Return what the vectors look like, None before any.

        Raises `InvalidRequestError` naming the known ones if there are vectors but none of these.
        """
        if self.known and not self.specs:
            names = ", ".join(self.known)
            message = f"no vector {self.name!r} in these collections; they have {names}"
            problem = Problem("feature_uri", message, "unknown_vector", list(self.known))
            raise InvalidRequestError(message, [problem])
        return next(iter(self.specs), None)

    def comparable_spec(self) -> VectorSpec | None:
        """Return the same for collections that are searched together.

        Raises `InvalidRequestError` besides if the name stands for vectors of several kinds.
        """
        spec = self.spec()
        if len(self.specs) > 1:
            kinds = [f"{s.dimension} numbers, {s.metric}, in {at}" for s, at in self.specs.items()]
            message = (
                f"the vectors {self.name!r} of these collections cannot be compared "
                f"({'; '.join(kinds)}): search them one by one, with collection_identifiers"
            )
            problem = Problem("feature_uri", message, "not_comparable")
            raise InvalidRequestError(message, [problem])
        return spec


def read_feature(snapshots: Sequence[Snapshot], feature_uri: str) -> FeatureFacts:
    """Look a feature up, by its address or the name of its vectors."""
    name = index_name(feature_uri)
    views = view_names(feature_uri)
    specs: dict[VectorSpec, str] = {}
    known: set[str] = set()
    for snapshot in snapshots:
        known.update(snapshot.specs)
        if name in snapshot.specs:
            specs.setdefault(snapshot.specs[name], snapshot.collection_id)
    return FeatureFacts(
        name=name,
        specs=specs,
        views={
            view: stored
            for stored, view in views.items()
            if any(has_vectors(snapshot, stored) for snapshot in snapshots)
        },
        unsearched=tuple(
            snapshot
            for snapshot in snapshots
            if snapshot.count and not any(has_vectors(snapshot, one) for one in (name, *views))
        ),
        known=tuple(sorted(known)),
    )
