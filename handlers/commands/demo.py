"""`trawl demo`: the demonstration as a command."""

import click


@click.command(short_help="Scan altered photographs for their originals.")
def demo() -> None:
    """Scan altered photographs against a collection of the originals, on a server of its own.

    The photographs are fetched once, into a cache outside of the repository; data lies in a
    temporary folder. Wrong verdicts are shown as such.
    """
    from handlers.demo import fetch_photographs, run_demo

    run_demo(lambda: fetch_photographs(say=lambda text: click.echo(text, err=True)))
