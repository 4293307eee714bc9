"""BM25 on tantivy: an index in memory, and scores that are the same however it is laid out."""

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final
from unicodedata import normalize

import numpy as np

from core.arrays import Float64, Int64, Mask
from core.errors import DeadlineError, MissingExtraError
from core.ports.text import TextHits, TextIndex

if TYPE_CHECKING:
    from tantivy import Schema, Searcher, TextAnalyzer

_HEAP_BYTES = 50_000_000  # of one build; tantivy wants 15 MB at least
# Longer words, in bytes of UTF-8, are no words that anyone types: blobs in a text field.
_LONGEST_WORD = 255
_KEPT_POSTINGS = 1 << 20  # of one index: 16 MB
_BYTES_PER_POSTING = 16
_BYTES_PER_DOCUMENT = 64


class TantivyText:
    """Words are runs of letters and digits, in lower case, reduced to their English stems.

    Accents count; composed and decomposed letters are the same. Scores are those of tantivy:
    Σ idf · f · (k1 + 1) / (f + k1 · (1 - b + b · length / average)), with idf =
    ln(1 + (N - n + ½) / (n + ½)), k1 = 1.2, b = 0.75 (Robertson and Zaragoza, 2009); a length
    above 40 words is kept in one byte, so rounded.
    """

    def build(
        self, documents: Iterable[Sequence[str]], *, stop: Callable[[], bool] = lambda: False
    ) -> TextIndex:
        """See `TextSearch`."""
        try:
            import tantivy
        except ImportError:
            raise MissingExtraError(
                "lexical search needs tantivy: install trawl-retriever[text]", extra="text"
            ) from None
        analyzer = _make_analyzer()
        schema = (
            tantivy.SchemaBuilder()
            .add_text_field("text", tokenizer_name="words", index_option="freq")
            .add_unsigned_field("row", fast=True)
            .build()
        )
        index = tantivy.Index(schema)
        index.register_tokenizer("words", analyzer)
        writer = index.writer(_HEAP_BYTES, num_threads=1)
        count = size = 0
        for count, strings in enumerate(documents, 1):
            if stop():
                raise DeadlineError("time ran out while texts were indexed")
            document = tantivy.Document()
            document.add_unsigned("row", count - 1)
            for string in strings:
                size += len(string)
                document.add_text("text", _clean(string))
            writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()
        index.reload()
        # A word and the space after it are two characters at least, and one posting at most.
        size += min(size // 2, _KEPT_POSTINGS) * _BYTES_PER_POSTING + count * _BYTES_PER_DOCUMENT
        return _TantivyIndex(index.searcher(), schema, analyzer, count, size)


class _TantivyIndex:
    """Adds up each word's contributions here, in float64 and in the order of words.

    Not by one query of all words: tantivy adds in float32, in an order that depends on how many
    hits are asked for, so near ties would fall otherwise with another k, and a filter would need
    hits fetched beyond k. The contributions themselves depend on neither.
    """

    def __init__(
        self,
        searcher: "Searcher",
        schema: "Schema",
        analyzer: "TextAnalyzer",
        count: int,
        size: int,
    ) -> None:
        self._searcher = searcher
        self._schema = schema
        self._analyzer = analyzer
        self._count = count
        self.size: Final = size
        self._postings: OrderedDict[str, tuple[Int64, Float64]] = OrderedDict()
        self._kept = 0
        self._lock = threading.Lock()

    def search(
        self,
        text: str,
        k: int,
        mask: Mask | None = None,
        *,
        stop: Callable[[], bool] = lambda: False,
    ) -> TextHits:
        """See `TextIndex`."""
        scores: Float64 = np.zeros(self._count, np.float64)
        words = Counter(self._analyzer.analyze(_clean(text)))
        for word in sorted(words):
            if stop():
                raise DeadlineError("time ran out during a lexical search")
            rows, shares = self._contributions(word)
            scores[rows] += words[word] * shares
        compared = self._count
        if mask is not None:
            scores[~mask] = 0.0
            compared = int(np.count_nonzero(mask))
        found = np.flatnonzero(scores)
        if len(found) > k:
            # Whatever ties with the k-th stays until the order decides.
            bar = np.partition(scores[found], len(found) - k)[len(found) - k]
            found = found[scores[found] >= bar]
        best = found[np.argsort(-scores[found], kind="stable")][:k]
        return TextHits(best, scores[best], compared)

    def _contributions(self, word: str) -> tuple[Int64, Float64]:
        """Return the rows that hold the word, (n,), and what it adds to their scores, (n,)."""
        with self._lock:
            kept = self._postings.get(word)
            if kept is not None:
                self._postings.move_to_end(word)
                return kept
        found = self._fetch(word)
        with self._lock:
            if word not in self._postings and len(found[0]) <= _KEPT_POSTINGS:
                self._postings[word] = found
                self._kept += len(found[0])
                while self._kept > _KEPT_POSTINGS:
                    _, (dropped, _) = self._postings.popitem(last=False)
                    self._kept -= len(dropped)
        return found

    def _fetch(self, word: str) -> tuple[Int64, Float64]:
        import tantivy

        number = self._searcher.doc_freq("text", word)
        if not number:
            return np.empty(0, np.int64), np.empty(0, np.float64)
        query = tantivy.Query.term_query(self._schema, "text", word, index_option="freq")
        hits = self._searcher.search(query, limit=number, count=False).hits
        places = self._searcher.fast_field_values("row", [address for _, address in hits])
        rows = np.fromiter((row for row in places if row is not None), np.int64, len(hits))
        return rows, np.fromiter((share for share, _ in hits), np.float64, len(hits))


def _make_analyzer() -> "TextAnalyzer":
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    return (
        TextAnalyzerBuilder(Tokenizer.simple())
        .filter(Filter.remove_long(_LONGEST_WORD))
        .filter(Filter.lowercase())
        .filter(Filter.stemmer("english"))
        .build()
    )


def _clean(text: str) -> str:
    """Return the text as tantivy reads it: composed, and no half of a surrogate pair."""
    return normalize("NFC", text.encode("utf-8", "replace").decode())
