"""The text port: BM25 over an immutable list of documents' texts."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from core.arrays import Float64, Int64, Mask


@dataclass(frozen=True, slots=True)
class TextHits:
    """The best rows for one query: score descending, then row ascending.

    `rows` and `scores` are (m,), m at most k: only rows that share a word with the query, so
    every score is above 0. `compared` is how many rows passed the mask.
    """

    rows: Int64
    scores: Float64
    compared: int


class TextIndex(Protocol):
    """An index of n documents, numbered as they were given. Thread-safe."""

    @property
    def size(self) -> int:
        """About how many bytes it holds."""
        ...

    def search(
        self,
        text: str,
        k: int,
        mask: Mask | None = None,
        *,
        stop: Callable[[], bool] = lambda: False,
    ) -> TextHits:
        """Return the k best of the rows where `mask` (n,) is true, all if None.

        `text` is literal words: no character of it is syntax. A row's score follows from its own
        words, the query's, and the statistics of all n documents; never from k or the mask.
        `stop` is asked now and then; once true the call raises `DeadlineError`.
        """
        ...


class TextSearch(Protocol):
    """An engine that makes indexes."""

    def build(
        self, documents: Iterable[Sequence[str]], *, stop: Callable[[], bool] = lambda: False
    ) -> TextIndex:
        """Index documents, each a bag of strings; what their order is changes no score.

        `stop` is asked before each one; once true the call raises `DeadlineError`. Raises
        `MissingExtraError` if the engine's library is not installed.
        """
        ...
