"""Words of a text and their English stems, for the `words` and `phrase` operators."""

import re
from functools import lru_cache

# Letters, digits and inner apostrophes: "don't" is one word, "rock-n-roll" is three.
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def split_words(text: str) -> list[str]:
    """Return the words of `text` in order, as written."""
    return _WORD.findall(text)


# Longer ones are no words, and would fill the cache with megabytes.
_MOST_LETTERS = 64


def stem(word: str) -> str:
    """Return the English stem of `word`, case folded (Snowball's English stemmer, "Porter2")."""
    return _stem(word) if len(word) <= _MOST_LETTERS else word.casefold()


@lru_cache(maxsize=16_384)
def _stem(word: str) -> str:
    # Imported here: it loads tables that only `words` filters need. The class and not the
    # package's factory, which may pick a C extension whose tables are of another version.
    from snowballstemmer.english_stemmer import EnglishStemmer

    stemmed: str = EnglishStemmer().stemWord(word.casefold().replace("’", "'"))
    return stemmed


def stems(text: str) -> frozenset[str]:
    """Return the stems of the words of `text`."""
    return frozenset(map(stem, set(split_words(text))))


def has_run(words: list[str], run: list[str]) -> bool:
    """Say whether `run` occurs in `words` as consecutive items."""
    # As text, because searching a string takes linear time: comparing run by run, "a a a … b" in
    # "a a a …" would take the product of their lengths. No word holds a space.
    return f" {' '.join(run)} " in f" {' '.join(words)} "
