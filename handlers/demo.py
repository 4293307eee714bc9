"""The demonstration: pictures, recordings and films against three retrievers, in one call.

Everything goes over HTTP to a server that it starts and stops; every verdict stands beside the
one that a person would give, and all of it is written as a report.
"""

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from core.types import JsonObject
from handlers.client import Client, HttpTransport, api_path
from handlers.commands.output import Cell, print_table
from handlers.commands.retrievers import create_search
from handlers.commands.scan_table import print_reasons, verdict_cells
from handlers.exhibits import EXTRACTORS, Exhibit, Show, opinion
from handlers.loading import ensure_place, find_files, load_files
from handlers.report.making import make_report
from handlers.scanning import Reference
from handlers.scans import ScanCaller, ScanReport

NAMESPACE: Final = "demo"
CONCURRENCY: Final = 4


def run_demo(show: Callable[[], Show], page: Path) -> None:
    """Run the demonstration, print it, and write its report; `ClientError` if it cannot be run.

    A report of the same name is replaced: it is the demonstration's own.
    """
    shown = show()
    with tempfile.TemporaryDirectory(prefix="trawl-demo-") as name, _server(Path(name)) as api:
        client, url = api
        click.echo(f"a server on {url}, its data in a temporary folder")
        folders = {kind: Path(name) / "references" / kind for kind in EXTRACTORS}
        for kind, folder in folders.items():
            _load(client, kind, shown.references[kind], folder)
        files = _write(shown.exhibits, Path(name) / "scan")
        click.echo(f"\nscanning {len(files)} files with {len(EXTRACTORS)} retrievers in one call")
        started = time.perf_counter()
        caller = ScanCaller(client, tuple(EXTRACTORS), CONCURRENCY)
        report = caller.scan([Reference(str(path)) for path in files])
        seconds = time.perf_counter() - started
        click.echo(f"{len(report.scan_ids)} call, {seconds:.1f} s\n")
        _print(shown.exhibits, report)
        make_report(client, report, page, references=list(folders.values()), force=True)
    click.echo(f"\nreport: {page.resolve()}")


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


def _load(client: Client, kind: str, references: Sequence[Path], folder: Path) -> None:
    folder.mkdir(parents=True)
    for reference in references:
        shutil.copyfile(reference, folder / reference.name)
    place = ensure_place(client, kind, EXTRACTORS[kind], say=lambda _text: None)
    started = time.perf_counter()
    report = load_files(client, place, find_files(folder))
    seconds = time.perf_counter() - started
    click.echo(f"loaded {report.loaded} {kind} in {seconds:.1f} s")
    for problem in report.failed:
        click.echo(f"  not searchable: {problem.name}: {problem.reason}")
    rule: JsonObject = {"canary": _first_file(client, kind)}
    create_search(client, kind, (kind,), EXTRACTORS[kind], verdict=rule)


def _first_file(client: Client, collection: str) -> str:
    """Return the id of the file that a collection's first document was made from."""
    path = api_path("collections", collection, "documents", "list")
    first = client.call("POST", path, {"limit": 1})["results"][0]
    root: str = first["_internal"]["lineage"]["root_object_id"]
    return root


def _write(exhibits: Sequence[Exhibit], folder: Path) -> list[Path]:
    folder.mkdir()
    for exhibit in exhibits:
        (folder / exhibit.name).write_bytes(exhibit.data)
    return [folder / exhibit.name for exhibit in exhibits]


def _print(exhibits: Sequence[Exhibit], report: ScanReport) -> None:
    """Print a row for each file: what a person would say, and what the scan says of the file."""
    titles = ("file", "expected", "verdict", "best match", "distance", "right?")
    pairs = list(zip(exhibits, report.files, strict=True))
    for exhibit, file in pairs:
        file["file"] = exhibit.name  # where the temporary folder lies is nobody's concern
    print_table(titles, [_row(exhibit, file) for exhibit, file in pairs])
    print_reasons(report)
    click.echo()
    names = {"match": "altered copies", "clear": "strangers", "unknown": "unreadable files"}
    for expected, name in names.items():
        own = [file["verdict"] for exhibit, file in pairs if exhibit.expected == expected]
        said = ", ".join(f"{count} {word}" for word, count in Counter(own).items())
        click.echo(f"{len(own)} {name}: {said}")
    missed = [exhibit.name for exhibit, file in pairs if _is_missed(exhibit, file)]
    if missed:
        click.echo(f"missed: {', '.join(missed)}")
    click.echo("the copies were made of real files just now; no file is synthetic")


def _row(exhibit: Exhibit, file: JsonObject) -> list[Cell | str]:
    *cells, _where = verdict_cells(file)
    return [exhibit.name, exhibit.expected, *cells, opinion(exhibit, file)]


def _is_missed(exhibit: Exhibit, file: JsonObject) -> bool:
    return exhibit.expected == "match" and file["verdict"] == "clear"
