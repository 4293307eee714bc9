"""Sends each file to who can read it: models elsewhere, or one of the processes that decode."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from core.adapters.aws_clients import LazyClient
from core.deadline import Deadline
from core.media.extractors import find_extractor
from core.ports.media import Extraction, MediaExtractor


class RoutedMediaExtractor:
    """A `MediaExtractor` over several: `decoding`, and those that `makers` make at first use.

    They are named by the extra that an extractor needs, or `remote` for models elsewhere.
    """

    def __init__(
        self, decoding: MediaExtractor, makers: Mapping[str, Callable[[], MediaExtractor]]
    ) -> None:
        self._decoding = decoding
        self._made: list[MediaExtractor] = []

        def keeping(make: Callable[[], MediaExtractor]) -> MediaExtractor:
            made = make()
            self._made.append(made)
            return made

        self._others: dict[str, LazyClient[MediaExtractor]] = {
            name: LazyClient(partial(keeping, make)) for name, make in makers.items()
        }

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
        info = find_extractor(extractor).sized(params or {})
        other = self._others.get("remote" if info.is_remote else info.extra or "")
        chosen = self._decoding if other is None else other()
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
        """Close all."""
        for each in (self._decoding, *self._made):
            each.close()
