"""With which parameters a content query is extracted: as the references that it meets were."""

from collections.abc import Sequence

from core.errors import InvalidRequestError, Problem
from core.media.extractors import are_comparable
from core.runtime.environment import Environment
from core.types import ReadOnlyObject


def query_parameters(
    environment: Environment,
    feature_uri: str,
    searched: str,
    collection_ids: Sequence[str],
    own: ReadOnlyObject,
) -> ReadOnlyObject:
    """Return the parameters; see `StageContext.extractor_params`."""
    info, other = environment.extractor_of(feature_uri), environment.extractor_of(searched)
    if info is None:
        return own
    if other is not None and not are_comparable(info, other):
        message = f"vectors of {info.name} cannot be compared with those of {other.name}"
        problem = Problem("query_preprocessing.feature_uri", message, "not_comparable")
        raise InvalidRequestError(message, [problem])
    if own:
        # A query is cut as its references were. And parameters name hosts, files and keys: who may
        # search must not choose those.
        names = ", ".join(map(repr, own))
        message = (
            f"query_preprocessing.params: {info.name} takes no {names} from a query, which is cut "
            "and embedded as the collection's references were"
        )
        paths = [f"query_preprocessing.params.{name}" for name in own]
        raise InvalidRequestError(
            message, [Problem(path, message, "extra_forbidden") for path in paths]
        )
    return environment.extractor_parameters(collection_ids, info) if info.parameters else {}
