"""What a command says while it works: a line on a terminal, nothing elsewhere; an end by Ctrl-C."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from handlers.commands.output import printable
from handlers.scanning import Say

if TYPE_CHECKING:
    from rich.text import Text

# What shells say of a program that Ctrl-C ended.
INTERRUPTED: Final = 130
_DRAWN_A_SECOND: Final = 4


class _Line:
    """What is being done, and for how long already: drawn anew by a thread, so the time goes on
    while the command waits."""

    def __init__(self) -> None:
        self._text = "beginning"
        self._since = time.monotonic()

    def say(self, text: str) -> None:
        """Show something else from now on."""
        self._text, self._since = printable(text), time.monotonic()

    def __rich__(self) -> "Text":
        from rich.text import Text

        line = f"{time.monotonic() - self._since:4.0f} s  {self._text}"
        return Text(line, no_wrap=True, overflow="ellipsis")


@contextmanager
def progress_line() -> Iterator[Say]:
    """Yield what is told in words what is being done; it stands on stderr, if that is a terminal,
    with the seconds since, and goes when all is done."""
    if not sys.stderr.isatty():
        yield lambda _text: None
        return
    from rich.console import Console
    from rich.live import Live

    line = _Line()
    console = Console(stderr=True)
    with Live(line, console=console, refresh_per_second=_DRAWN_A_SECOND, transient=True):
        yield line.say


@contextmanager
def ending_at_once(said: str) -> Iterator[None]:
    """End the process on Ctrl-C with one line and status 130.

    A clean end would wait for calls that may take minutes; what these store, they store whole.
    """
    try:
        yield
    except KeyboardInterrupt:
        click.echo(said, err=True)
        sys.stdout.flush()
        os._exit(INTERRUPTED)
