"""Sends each file to who can read it: models elsewhere, or the processes that decode."""

from collections.abc import Callable, Mapping
from typing import Any

from core.adapters.aws_clients import LazyClient
from core.deadline import Deadline
from core.media.extractors import find_extractor
from core.ports.media import Extraction, MediaExtractor


class RoutedMediaExtractor:
    """A `MediaExtractor` over two: `decoding`, and what `make_remote` makes at first use."""

    def __init__(self, decoding: MediaExtractor, make_remote: Callable[[], MediaExtractor]) -> None:
        self._decoding = decoding
        self._remote: MediaExtractor | None = None

        def make() -> MediaExtractor:
            self._remote = make_remote()
            return self._remote

        self._make_remote: LazyClient[MediaExtractor] = LazyClient(make)

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
        """Return the chunks of one file; see `MediaExtractor.extract`."""
        remote = find_extractor(extractor).is_remote
        chosen = self._make_remote() if remote else self._decoding
        return chosen.extract(
            extractor,
            data,
            deadline=deadline,
            params=params,
            max_chunks=max_chunks,
            as_query=as_query,
            declared_type=declared_type,
        )

    def close(self) -> None:
        """Close both."""
        self._decoding.close()
        if self._remote is not None:
            self._remote.close()
