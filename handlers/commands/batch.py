"""`trawl batch`: files against a retriever, and a verdict on each."""

from collections.abc import Iterable
from typing import Any, Final

import click

from core.scan.thresholds import read_measures, thresholds_of
from core.types import JsonObject
from handlers.client import api_path
from handlers.commands.connection import Connection, connection_options
from handlers.commands.output import Cell, print_json, print_table, printable, warn
from handlers.commands.progress import ending_at_once, progress_line
from handlers.scanning import Scanner, media_input, name_files
from handlers.verdicts import Verdict, judge_result

STYLES: Final = {"match": "bold red", "review": "yellow", "clear": "green", "unknown": "magenta"}
_SECOND_MS: Final = 1000
_NOTHING_NEAR: Final = "nothing near"
_FAILING: Final = {"review": ("match", "review"), "match": ("match",), None: ()}


@click.command(short_help="Scan files with a retriever, many in a call.")
@click.argument("retriever")
@click.argument("files", nargs=-1, required=True)
@click.option("--input", "input_name", metavar="NAME", help="Which input takes the file.")
@click.option("--concurrency", type=click.IntRange(1, 20), default=5, show_default=True)
@click.option(
    "--fail-on",
    type=click.Choice(["match", "review"]),
    help="Status 1 also for a match; for a match or a review.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, whole results included.")
@connection_options()
@click.pass_context
def batch(
    ctx: click.Context,
    connection: Connection,
    *,
    retriever: str,
    files: tuple[str, ...],
    input_name: str | None,
    concurrency: int,
    fail_on: str | None,
    as_json: bool,
) -> None:
    """Scan FILES (paths, folders, https:// or s3:// addresses) with RETRIEVER, up to 50 in a call.

    match: at most as far away as the extractor takes for the same. review: perhaps the same.
    clear: compared with everything, exactly, and nothing is near. unknown: none of these can be
    said, with the reason; never taken for clear. The status is 1 if any file is unknown.
    """
    references = name_files(files, warn)
    with connection.open() as client, ending_at_once("stopped; nothing was judged"):
        stored = client.call("GET", api_path("retrievers", retriever))
        measures = read_measures(client.call("GET", api_path("discovery", "extractors")))
        name = input_name or media_input(stored)
        with progress_line() as say:
            scanner = Scanner(client, stored["retriever_id"], name, concurrency)
            results = scanner.scan(references, say=say)
    thresholds = thresholds_of(stored, measures)
    verdicts = [judge_result(result, thresholds) for result in results]
    if as_json:
        rows = zip(references, verdicts, results, strict=True)
        print_json([_json(reference.text, verdict, result) for reference, verdict, result in rows])
    else:
        names = [reference.text for reference in references]
        rated = list(zip(names, verdicts, strict=True))
        print_table(
            ("file", "verdict", "best match", "distance", "where"),
            [[file, *verdict_cells(verdict)] for file, verdict in rated],
        )
        print_reasons(rated)
    words = {verdict.word for verdict in verdicts}
    if "unknown" in words or words & set(_FAILING[fail_on]):
        ctx.exit(1)


def verdict_cells(verdict: Verdict) -> list[Cell]:
    """Return the cells verdict, best match, distance, where. The nearest of a clear file is shown
    too: it says how far away "nothing near" was."""
    distance = "" if verdict.distance is None else f"{verdict.distance} {verdict.unit}"
    return [
        Cell(verdict.word, STYLES[verdict.word]),
        Cell(_name_of(verdict)),
        Cell(distance),
        Cell(_place_of(verdict.document) if verdict.word in ("match", "review") else ""),
    ]


def print_reasons(rated: Iterable[tuple[str, Verdict]]) -> None:
    """Print why, of each verdict that is not plain."""
    lines = [f"{file}: {verdict.reason}" for file, verdict in rated if verdict.reason]
    if lines:
        click.echo()
    for line in lines:
        click.echo(printable(line))


def _name_of(verdict: Verdict) -> str:
    document = verdict.document
    if document is None:
        return _NOTHING_NEAR if verdict.word == "clear" else ""
    return str(document.get("path") or document.get("filename") or document["document_id"])


def _place_of(document: JsonObject | None) -> str:
    """Say which part of the file met the document; without places it is the whole.

    Of a recording it is the seconds of the document that are in the file, and when they begin
    there, unless at once.
    """
    if document is not None and "reference_start_ms" in document:
        return _seconds_of(document)
    chunks: list[dict[str, Any]] = (document or {}).get("query_chunks") or []
    best = max(chunks, key=lambda chunk: chunk["score"], default={})
    box = best.get("box") or (document or {}).get("query_box")
    if box:
        return "box " + ", ".join(f"{side:g}" for side in box)
    return f"{best['start_ms'] / 1000:.1f} s" if "start_ms" in best else "whole"


def _seconds_of(document: JsonObject) -> str:
    def span(start_ms: int, end_ms: int) -> str:
        return f"{start_ms / 1000:.1f}-{end_ms / 1000:.1f} s"

    where = span(document["reference_start_ms"], document["reference_end_ms"])
    if document.get("query_start_ms", 0) < _SECOND_MS:  # a picture has no seconds
        return where
    return f"{where}, in the file {span(document['query_start_ms'], document['query_end_ms'])}"


def _json(name: str, verdict: Verdict, result: JsonObject) -> JsonObject:
    return {
        "file": name,
        "verdict": verdict.word,
        "reason": verdict.reason,
        "best_match": verdict.document,
        "distance": verdict.distance,
        "unit": verdict.unit or None,
        "result": result,
    }
