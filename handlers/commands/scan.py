"""`trawl scan`: files against several retrievers in one call, and a verdict on each file."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from core.types import JsonObject
from handlers.commands.connection import Connection, connection_options
from handlers.commands.output import Cell, print_json, print_table, printable, progress_bar
from handlers.scanning import Reference
from handlers.scans import ScanCaller, ScanReport

STYLES: Final = {"block": "bold red", "review": "yellow", "clear": "green", "unknown": "magenta"}
_FAILING: Final = {"block": {"block"}, "review": {"block", "review"}, "unknown": set(), None: set()}
# Retrievers whose files this is not: nothing was to be looked for.
_NOT_APPLICABLE: Final = "-"


@click.command(short_help="Scan files with several retrievers in one call.")
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--retriever",
    "retrievers",
    multiple=True,
    required=True,
    metavar="NAME",
    help="Id or name; again for another.",
)
@click.option("--concurrency", type=click.IntRange(1, 20), default=10, show_default=True)
@click.option(
    "--fail-on",
    type=click.Choice(["block", "review", "unknown"]),
    help="Status 1 for a block; for a block or a review; for an unknown alone, as without it.",
)
@click.option(
    "--report",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.html",
    help="Write a report for people too: one page that needs no network.",
)
@click.option(
    "--references",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Where references were loaded from, to show them in the report. Repeatable.",
)
@click.option("--force", is_flag=True, help="Replace a report that is there already.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, whole results included.")
@connection_options()
@click.pass_context
def scan(
    ctx: click.Context,
    connection: Connection,
    *,
    files: tuple[str, ...],
    retrievers: tuple[str, ...],
    concurrency: int,
    fail_on: str | None,
    page: Path | None,
    references: tuple[Path, ...],
    force: bool,
    as_json: bool,
) -> None:
    """Scan FILES (paths, https:// or s3:// addresses) with every --retriever, up to 50 in a call.

    A file takes the worst of what the retrievers say: block, review, unknown, clear. Clear is said
    only of what was compared with everything, exactly; unknown is never taken for clear. The
    status is 1 if anything is unknown.
    """
    _check_report(page, references, force=force)
    chosen = [Reference(name) for name in files]
    with connection.open() as client:
        with progress_bar("scanning", len(chosen)) as advance:
            report = ScanCaller(client, retrievers, concurrency).scan(chosen, advance=advance)
        # Printed before the report is made: what fails there takes no answer away.
        if as_json:
            print_json(
                {
                    "scans": report.scan_ids,
                    "retrievers": report.retrievers,
                    "files": report.files,
                }
            )
        else:
            print_report(report)
        if page is not None:
            from handlers.report.making import make_report

            make_report(client, report, page, references=references, force=force)
            click.echo(printable(f"report: {page.resolve()}"), err=as_json)
    if _words(report) & {"unknown", *_FAILING[fail_on]}:
        ctx.exit(1)


def _check_report(page: Path | None, references: Sequence[Path], *, force: bool) -> None:
    """Refuse what could not be written before the scan; options without a report are mistakes."""
    if page is not None:
        from handlers.report.writing import check_target

        check_target(page, force=force)
    elif references or force:
        raise click.UsageError("--references and --force say how --report is made: name a file")


def print_report(report: ScanReport) -> None:
    """Print a table of files and retrievers, why what is not plain is so, and how many of each."""
    names = [retriever["retriever_name"] for retriever in report.retrievers]
    titles = ("file", "verdict", "best match", "distance", "where", *names)
    print_table(titles, [_row(file, names) for file in report.files])
    print_reasons(report)
    counts = Counter(file["verdict"] for file in report.files)
    said = ", ".join(f"{counts[word]} {word}" for word in STYLES if counts[word])
    click.echo(f"\n{len(report.files)} files: {said}")


def print_reasons(report: ScanReport) -> None:
    """Print why, for each file of which not all is plain."""
    lines = [line for file in report.files for line in _reasons(file)]
    if lines:
        click.echo()
    for line in lines:
        click.echo(printable(line))


def _words(report: ScanReport) -> set[str]:
    """Return every verdict, also those that a worse one of the same file covers."""
    cells = [cell for file in report.files for cell in file["retrievers"].values()]
    return {one["verdict"] for one in (*report.files, *cells)}


def _row(file: JsonObject, names: Sequence[str]) -> list[Cell | str]:
    match = _best_match(file) or {}
    distance = match.get("distance")
    shown = "" if not match else f"{match['score']:.3f}"
    if distance is not None:
        shown = f"{distance:g} {match['unit']}"
    return [
        file["file"],
        Cell(file["verdict"], STYLES[file["verdict"]]),
        Cell(str(match.get("name") or match.get("document_id") or "")),
        Cell(shown),
        Cell(_where(match) if file["verdict"] in ("block", "review") else ""),
        *(_word(file["retrievers"].get(name)) for name in names),
    ]


def _word(cell: JsonObject | None) -> Cell:
    word = None if cell is None else cell["verdict"]
    return Cell(word, STYLES[word]) if word in STYLES else Cell(_NOT_APPLICABLE)


def _best_match(file: JsonObject) -> JsonObject | None:
    """Return the best match of the cell that decides; of a clear file, how far away it was."""
    found: list[JsonObject] = [
        cell["best_match"]
        for cell in file["retrievers"].values()
        if cell["verdict"] == file["verdict"] and cell["best_match"] is not None
    ]
    return max(found, key=lambda match: match["score"], default=None)


def _where(match: JsonObject) -> str:
    """Say which part of the file met the document; without a place it is the whole."""
    place: dict[str, Any] = match.get("place") or {}
    if place.get("box"):
        return "box " + ", ".join(f"{side:g}" for side in place["box"])
    if place.get("start_ms") is None:
        return "whole"
    return f"{place['start_ms'] / 1000:.1f} s"


def _reasons(file: JsonObject) -> list[str]:
    """Return why, each reason once with the retrievers that gave it."""
    by_message: dict[str, list[str]] = {}
    for reason in file["reasons"]:
        by_message.setdefault(reason["message"], []).append(reason["retriever"])
    return [
        f"{file['file']}: {message}"
        + (f" ({', '.join(filter(None, names))})" if any(names) else "")
        for message, names in by_message.items()
    ]
