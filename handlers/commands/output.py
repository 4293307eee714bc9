"""What commands print: tables and bars on a terminal, plain lines and JSON elsewhere."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import click
import orjson

_NAMES: Final = frozenset({"file", "best match", "namespaces", "stages", "upload to"})


@dataclass(frozen=True, slots=True)
class Cell:
    """One field of a table; `style` is a colour or so, for terminals."""

    text: str
    style: str = ""


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def printable(text: str) -> str:
    """Return text without what a terminal would obey: file names may hold escape sequences."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def warn(text: str) -> None:
    """Say on stderr what whoever reads the answer must know."""
    click.echo(printable(text), err=True)


def print_table(titles: Sequence[str], rows: Sequence[Sequence[Cell | str]]) -> None:
    """Print rows under titles: a drawn table on a terminal, padded columns elsewhere."""
    cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw(titles, cells)
        return
    plain = [[Cell(title) for title in titles], *cells]
    texts = [[printable(cell.text) for cell in row] for row in plain]
    widths = [max(len(row[column]) for row in texts) for column in range(len(titles))]
    for row in texts:
        padded = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def _draw(titles: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in titles:
        # Where the terminal is narrow, names give way; words and numbers stay whole.
        table.add_column(Text(printable(title)), overflow="fold", no_wrap=title not in _NAMES)
    for row in rows:
        table.add_row(*(Text(printable(cell.text), cell.style) for cell in row))
    Console().print(table)


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yield a function that counts further; the bar is drawn on stderr, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)
