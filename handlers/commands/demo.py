"""`trawl demo`: the demonstration as a command."""

from pathlib import Path

import click


@click.command(short_help="Scan twenty real files against three retrievers, in one call.")
@click.option(
    "--report",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("trawl-demo.html"),
    show_default=True,
    help="Where the report goes; one that is there is replaced.",
)
def demo(page: Path) -> None:
    """Scan pictures, recordings and films for their originals, on a server of its own.

    The files are real ones, fetched once into a cache outside of the repository, and altered;
    data lies in a temporary folder. Wrong verdicts are shown as such.
    """
    from handlers.demo import run_demo
    from handlers.exhibits import fetch_show
    from handlers.report.writing import check_target

    check_target(page, force=True)
    run_demo(lambda: fetch_show(say=lambda text: click.echo(text, err=True)), page)
