"""The engines that keep a collection's vectors outside its segments, and cleaning up there."""

import logging
from collections.abc import Callable, Mapping, Sequence

from core.errors import InvalidRequestError, Problem, TrawlError
from core.ports.vector_indexes import VectorIndexes
from core.storage.manifest import EMBEDDED, Manifest
from core.storage.remote_vectors import RemoteVectors, check_remote
from core.types import VectorSpec

_log = logging.getLogger(__name__)


class Engines:
    """The engines beside the embedded one, by the names that collections ask for."""

    def __init__(self, indexes: Mapping[str, VectorIndexes]) -> None:
        self._indexes = dict(indexes)

    def check(
        self, engine: str, specs: Sequence[VectorSpec] | None, filterable: Sequence[str]
    ) -> None:
        """Raise `InvalidRequestError` if the engine is not set up or cannot keep such vectors."""
        if engine != EMBEDDED:
            check_remote(self._find(engine), specs, filterable)
        elif filterable:
            message = "the embedded engine filters by every field: nothing is to be declared"
            raise InvalidRequestError(message, [Problem("filterable_fields", message)])

    def remote(self, manifest: Manifest) -> RemoteVectors | None:
        """Return where a collection's vectors lie, None if in its segments."""
        if manifest.engine == EMBEDDED:
            return None
        return RemoteVectors(self._find(manifest.engine), manifest)

    def _find(self, engine: str) -> VectorIndexes:
        if engine in self._indexes:
            return self._indexes[engine]
        message = (
            f"engine {engine!r} is not set up here: it needs a vector bucket, which a deployment "
            "gets with the context flag `-c s3vectors=true`, and any other process with the "
            "variable TRAWL_VECTOR_BUCKET"
        )
        problem = Problem("engine", message, "engine_unavailable")
        raise InvalidRequestError(message, [problem])


def clean_up(what: str, work: Callable[[], None]) -> None:
    """Remove vectors that no document has any more, as far as that goes now.

    The write that left them is stored, or lost, whatever comes of this: what stays is never taken
    for live, and a sweep finds it.
    """
    try:
        work()
    except TrawlError as error:
        _log.warning("vectors of %s stay until they are swept: %s", what, error)
