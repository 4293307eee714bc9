"""A scan on the terminal: a line for each file, why what is not plain is so, and how many of each.

The words for reasons are those of the report.
"""

from collections import Counter
from typing import Final

import click

from core.types import JsonObject
from handlers.commands.output import Cell, print_table, printable
from handlers.report.match import match_of
from handlers.report.words import reason_message, telling_reasons
from handlers.scans import ScanReport

STYLES: Final = {"block": "bold red", "review": "yellow", "clear": "green", "unknown": "magenta"}
# Retrievers whose files this is not: nothing was to be looked for.
_NOT_APPLICABLE: Final = "-"
_NOTHING_NEAR: Final = "nothing near"


def print_report(report: ScanReport) -> None:
    """Print the table, the reasons, and how many files have which verdict."""
    names = [retriever["retriever_name"] for retriever in report.retrievers]
    titles = ("file", "verdict", "best match", "distance", "where", *names)
    rows = [
        [file["file"], *verdict_cells(file), *(_word(file["retrievers"].get(n)) for n in names)]
        for file in report.files
    ]
    print_table(titles, rows)
    print_reasons(report)
    counts = Counter(file["verdict"] for file in report.files)
    said = ", ".join(f"{counts[word]} {word}" for word in STYLES if counts[word])
    files = "1 file" if len(report.files) == 1 else f"{len(report.files)} files"
    click.echo(f"\n{files}: {said}")
    if report.scan_ids:
        click.echo(f"kept as {', '.join(report.scan_ids)}")


def print_reasons(report: ScanReport) -> None:
    """Print why, for each file of which not all is plain."""
    lines = [line for file in report.files for line in _reasons(file)]
    if lines:
        click.echo()
    for line in lines:
        click.echo(printable(line))


def verdict_cells(file: JsonObject) -> list[Cell]:
    """Return the cells verdict, best match, distance, where. The nearest of a clear file is shown
    too, where it is known: it says how far away "nothing near" was."""
    word = file["verdict"]
    cell = _deciding(file)
    if cell is None:
        name = _NOTHING_NEAR if word == "clear" else ""
        return [Cell(word, STYLES[word]), Cell(name), Cell(""), Cell("")]
    match = cell["best_match"]
    distance = match.get("distance")
    near = f"score {match['score']:.3f}" if distance is None else f"{distance:g} {match['unit']}"
    where = place_words(cell) if word in ("block", "review") else ""
    name = str(match.get("name") or match.get("document_id") or "")
    return [Cell(word, STYLES[word]), Cell(name), Cell(near), Cell(where)]


def best_match(file: JsonObject) -> JsonObject | None:
    """Return the best match of the cells that decide; of a clear file the nearest there is."""
    cell = _deciding(file)
    return None if cell is None else cell["best_match"]


def _deciding(file: JsonObject) -> JsonObject | None:
    found: list[JsonObject] = [
        cell
        for cell in file["retrievers"].values()
        if cell["verdict"] == file["verdict"] and cell["best_match"] is not None
    ]
    return max(found, key=lambda cell: cell["best_match"]["score"], default=None)


def place_words(cell: JsonObject) -> str:
    """Say which part of the file met the document; without a place it is the whole."""
    match = match_of(cell)
    if match is None:
        return ""
    if match.box is not None:
        return "box " + ", ".join(f"{side:g}" for side in match.box)
    if match.moment is None:
        return "whole"
    start_ms, end_ms = match.moment.query
    return f"{start_ms / 1000:.1f}-{end_ms / 1000:.1f} s"


def _word(cell: JsonObject | None) -> Cell:
    word = None if cell is None else cell["verdict"]
    return Cell(word, STYLES[word]) if word in STYLES else Cell(_NOT_APPLICABLE)


def _reasons(file: JsonObject) -> list[str]:
    """Return why, each reason once with the retrievers that gave it."""
    by_message: dict[str, list[str]] = {}
    for reason in telling_reasons(file["reasons"]):
        by_message.setdefault(reason_message(reason), []).append(reason["retriever"])
    return [
        f"{file['file']}: {message}"
        + (f" ({', '.join(filter(None, names))})" if any(names) else "")
        for message, names in by_message.items()
    ]
