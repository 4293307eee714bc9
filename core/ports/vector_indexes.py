"""The vector indexes port: approximate nearest neighbours in indexes that a service keeps."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from core.arrays import Float32
from core.types import JsonObject, JsonValue, VectorSpec


@dataclass(frozen=True, slots=True)
class IndexRef:
    """One index: its name, unique in the deployment, and what its vectors look like."""

    name: str
    spec: VectorSpec


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A vector to store under a key. `metadata` holds strings, numbers, booleans and lists of
    these: what filters look at."""

    key: str
    vector: Float32  # (dimension,)
    metadata: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Candidates:
    """What an index returned for one vector, best first; `scores` are larger for nearer ones and
    mean what `core.ports.vectors.TopK` says.

    `full` says that as many came as were asked for, so that there may be more.
    """

    keys: tuple[str, ...]
    scores: tuple[float, ...]
    full: bool


class VectorIndexes(Protocol):
    """A service of vector indexes. What is put is found by the next call, and a key that is put
    again is replaced; nothing else is promised, so that an answer may lack a neighbour.

    Each call raises `UnavailableError` if the service did not answer after several tries, and
    `TrawlError` if it refused. `stop` is asked between tries; once true, `DeadlineError`.
    Filters are objects of the operators $eq $ne $in $nin $gt $gte $lt $lte $exists $and $or.
    """

    @property
    def most_candidates(self) -> int:
        """The largest k of a query."""
        ...

    def spec_fault(self, spec: VectorSpec) -> str | None:
        """Say why such vectors cannot be kept here, None if they can."""
        ...

    def entry_fault(self, index: IndexRef, entry: IndexEntry) -> str | None:
        """Say why this entry cannot be stored, None if it can."""
        ...

    def create(self, index: IndexRef) -> None:
        """Make an empty index; no error if there is one of that name."""
        ...

    def drop(self, index: IndexRef) -> None:
        """Remove an index and what is in it; no error if there is none."""
        ...

    def put(self, index: IndexRef, entries: Sequence[IndexEntry]) -> None:
        """Store entries, all of them once this returns; after an error, any of them."""
        ...

    def delete(self, index: IndexRef, keys: Sequence[str], *, once: bool = False) -> None:
        """Remove keys; no error for those that are not there. `once`: try once, and not again."""
        ...

    def query(
        self,
        index: IndexRef,
        vectors: Float32,
        k: int,
        filter_: JsonObject | None = None,
        *,
        stop: Callable[[], bool] = lambda: False,
    ) -> list[Candidates]:
        """Return near neighbours of each of `vectors` (q, dimension), `most_candidates` at most."""
        ...

    def get(
        self, index: IndexRef, keys: Sequence[str], *, stop: Callable[[], bool] = lambda: False
    ) -> dict[str, Float32]:
        """Return the vectors of those keys that are there."""
        ...

    def pages(self, index: IndexRef, share: tuple[int, int] = (0, 1)) -> Iterator[list[str]]:
        """Yield every key that is there throughout, some at a time.

        `share` (n, of): only those of the n-th of so many parts, 16 at most, of about one size.
        """
        ...
