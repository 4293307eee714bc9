"""The retrievers of a scan: which input of each takes the file, and which files it can use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.errors import InvalidRequestError, Problem, TrawlError
from core.media.file_types import RECORDINGS
from core.models.media_inputs import only_media_input
from core.models.namespaces import Namespace
from core.models.retriever import Retriever
from core.models.scans import ScanRequest
from core.planner import RetrieverFinder
from core.runtime.query import Call
from core.scan.thresholds import Thresholds, own_measures, searched_features, thresholds_of

# Containers of sound alone; in any other there may be sound, pictures, or both.
_SOUND_ONLY = frozenset({"mp3", "wav", "flac", "aac", "aiff"})
_KINDS = frozenset({"image", "audio", "video"})


@dataclass(frozen=True, slots=True)
class Target:
    """One retriever of a scan.

    `kinds` are the kinds of files that it can use, none if that is not known. It has a `call`
    once its plan is loaded and its collections are pinned, an `error` if that failed.
    """

    retriever: Retriever
    input_name: str
    thresholds: Thresholds
    kinds: frozenset[str]
    call: Call | None = None
    error: Exception | None = None
    canary: str | None = None  # the reference that stands for it in this call

    @property
    def name(self) -> str:
        """Under which its cells stand in the answer."""
        return self.retriever.retriever_name

    def takes(self, kinds: frozenset[str]) -> bool:
        """Say whether it may be able to use a file of one of these kinds; none: not known."""
        return not kinds or not self.kinds or bool(kinds & self.kinds)


def kinds_of(content_type: str | None) -> frozenset[str]:
    """Return what a file of a type may be: image, audio, video; none if that is not known."""
    container = RECORDINGS.get(content_type or "")
    if container is not None and container not in _SOUND_ONLY:
        return frozenset({"audio", "video"})
    kind = (content_type or "").partition("/")[0]
    return frozenset({kind}) & _KINDS


def find_targets(
    namespace: Namespace, request: ScanRequest, retrievers: RetrieverFinder
) -> list[Target]:
    """Return the retrievers that a request names; it blocks.

    Raises `NotFoundError` for one that the namespace does not have, and `InvalidRequestError`,
    every fault at once, for what cannot be scanned with.
    """
    found = [retrievers.find(namespace.namespace_id, name) for name in request.retrievers]
    problems: list[Problem] = []
    targets: list[Target] = []
    seen: dict[str, int] = {}
    measures = own_measures()
    for n, retriever in enumerate(found):
        first = seen.setdefault(retriever.retriever_id, n)
        if first != n:
            message = f"the same retriever as retrievers.{first}"
            problems.append(Problem(f"retrievers.{n}", message, "duplicate"))
            continue
        types = {name: field.type for name, field in retriever.input_schema.items()}
        input_name = only_media_input(types)
        if input_name is None:
            problems.append(_no_input(n, retriever, types))
            continue
        stored = retriever.model_dump(mode="json")
        thresholds = thresholds_of(stored, measures)
        kinds = _usable_kinds(searched_features(stored), types[input_name])
        targets.append(Target(retriever, input_name, thresholds, kinds))
    problems += _taken_inputs(request, targets)
    if problems:
        raise InvalidRequestError(f"{problems[0].path}: {problems[0].message}", problems)
    return targets


def _no_input(n: int, retriever: Retriever, types: Mapping[str, str]) -> Problem:
    inputs = ", ".join(f"{name} ({kind})" for name, kind in types.items()) or "none"
    message = (
        f"{retriever.retriever_name} must have exactly one media input to take the file; "
        f"its inputs are: {inputs}"
    )
    return Problem(f"retrievers.{n}", message, "media_input")


def _taken_inputs(request: ScanRequest, targets: Sequence[Target]) -> list[Problem]:
    """Name the inputs of files that would take the place of the file itself."""
    names = {target.input_name: target.name for target in targets}
    return [
        Problem(f"files.{n}.inputs.{name}", f"is what {names[name]} takes the file by")
        for n, file in enumerate(request.files)
        for name in file.inputs
        if name in names
    ]


def _usable_kinds(features: Sequence[str], input_type: str) -> frozenset[str]:
    """Return what the extractors of the searched features read; else what the input is of."""
    from core.media.extractors import find_extractor

    kinds: set[str] = set()
    for uri in features:
        try:
            kinds.update(find_extractor(uri).modalities)
        except TrawlError:
            continue  # vectors of the user's own: whoever makes them knows what they are of
    return frozenset(kinds or {input_type}) & _KINDS
