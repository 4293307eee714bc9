"""`trawl load`: a folder of files into a collection."""

from pathlib import Path

import click

from handlers.client import Client, api_path
from handlers.commands.connection import Connection, connection_options
from handlers.commands.output import print_json, printable, progress_bar
from handlers.loading import LoadReport, Problem, ensure_place, find_files, load_files

_SHOWN = 20


@click.command(short_help="Load a folder of files into a collection.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--collection", required=True, metavar="NAME", help="Made if there is none.")
@click.option(
    "--extractor", required=True, metavar="NAME", help="image.pdq, audio.chromaprint, video.vpdq."
)
@click.option(
    "--include", multiple=True, metavar="PATTERN", help="Only such names: '*.jpg'. Repeatable."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@connection_options()
@click.pass_context
def load(
    ctx: click.Context,
    connection: Connection,
    *,
    folder: Path,
    collection: str,
    extractor: str,
    include: tuple[str, ...],
    as_json: bool,
) -> None:
    """Load the files below FOLDER into a collection.

    What is loaded already is skipped, so a load that was stopped goes on when it is run again. A
    file is known by its path below FOLDER and its content; nothing is ever deleted. Hidden files
    are left out. The status is 1 if any file failed.
    """
    files = find_files(folder, include)
    if not files:
        named = f" that are named {' or '.join(include)}" if include else ""
        raise click.UsageError(printable(f"no files to load in {folder}{named}"))
    with connection.open() as client:
        place = ensure_place(
            client, collection, extractor, say=lambda text: click.echo(text, err=True)
        )
        with progress_bar("loading", len(files)) as advance:
            report = load_files(client, place, files, advance=advance)
        count = _count(client, collection)
    if as_json:
        print_json({**report.to_json(), "document_count": count})
    else:
        _print(report, collection, count)
    if report.failed:
        ctx.exit(1)


def _count(client: Client, collection: str) -> int:
    count: int = client.call("GET", api_path("collections", collection))["document_count"]
    return count


def _print(report: LoadReport, collection: str, count: int) -> None:
    click.echo(
        f"loaded {report.loaded}, skipped {report.skipped} loaded before, "
        f"failed {len(report.failed)}; {collection} holds {count} documents"
    )
    _print_problems("failed", report.failed)
    _print_problems("stored, but nothing can be compared with it", report.unsearchable)
    _print_problems("stored in part", report.partial)


def _print_problems(title: str, problems: list[Problem]) -> None:
    for problem in problems[:_SHOWN]:
        click.echo(f"  {title}: {printable(problem.name)}: {printable(problem.reason)}", err=True)
    if len(problems) > _SHOWN:
        click.echo(f"  and {len(problems) - _SHOWN} more; --json lists all", err=True)
