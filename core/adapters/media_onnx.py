"""Model files of the operator's, each read by children that hold nothing else."""

from collections.abc import Mapping
from typing import Any

from core.adapters.media_process import ProcessMediaExtractor
from core.deadline import Deadline
from core.errors import InvalidRequestError
from core.ports.media import Extraction


class OnnxMediaExtractor:
    """A `MediaExtractor` for `image.onnx`. `models` holds the paths of model files by name."""

    def __init__(self, models: Mapping[str, str], *, workers: int = 1) -> None:
        self._models = dict(models)
        paths = tuple(self._models.values())
        self._children = ProcessMediaExtractor(workers=workers, libraries="onnx", models=paths)

    def extract(
        self,
        extractor: str,
        data: bytes,
        *,
        deadline: Deadline,
        params: Mapping[str, Any] | None = None,
        max_chunks: int | None = None,
        as_query: bool = False,
        declared_type: str | None = None,
    ) -> Extraction:
        """Return the chunk of one file; see `MediaExtractor.extract`."""
        given = dict(params or {})
        path = self._models.get(given.get("model", ""))
        if path is None:
            raise InvalidRequestError(f"{extractor} needs the name of a model of this service")
        return self._children.extract(
            extractor,
            data,
            deadline=deadline,
            params={**given, "model": path},
            max_chunks=max_chunks,
            as_query=as_query,
            declared_type=declared_type,
        )

    def close(self) -> None:
        """End all children."""
        self._children.close()
