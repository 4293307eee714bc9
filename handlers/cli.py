"""The `trawl` command: what it offers, and how its failures read."""

import errno
import importlib
from typing import Any, Final

import click

from core.errors import InvalidRequestError, TrawlError
from core.search.crew import limit_library_threads
from handlers.client_errors import ApiError, ClientError

# Command -> module:object. Imported at use: `trawl serve` pays for no table, `trawl keys` for no
# image library.
_COMMANDS: Final = {
    "serve": "handlers.commands.serve:serve",
    "keys": "handlers.commands.keys:keys",
    "namespaces": "handlers.commands.namespaces:namespaces",
    "load": "handlers.commands.load:load",
    "documents": "handlers.commands.documents:documents",
    "retrievers": "handlers.commands.retrievers:retrievers",
    "batch": "handlers.commands.batch:batch",
    "scan": "handlers.commands.scan:scan",
    "jobs": "handlers.commands.jobs:jobs",
    "explain": "handlers.commands.explain:explain",
    "ingest": "handlers.commands.ingest:ingest",
    "upkeep": "handlers.commands.upkeep:upkeep",
    "demo": "handlers.commands.demo:demo",
}

# What shells say of a program that Ctrl-C ended.
_INTERRUPTED: Final = 130


class Commands(click.Group):
    """Finds commands without importing the others; turns errors into a sentence and a status.

    0: done. 1: it failed. 2: it was asked for wrongly. 130: Ctrl-C.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of a first visit."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        limit_library_threads()  # before the command's module is imported, and numpy with it
        try:
            return super().invoke(ctx)
        except (ClientError, TrawlError) as error:
            _show(error)
        except OSError as error:
            if error.errno == errno.EPIPE:  # `trawl … | head`: click ends quietly
                raise
            place = f"{error.filename}: " if error.filename else ""
            _say(f"error: {place}{error.strerror or error}")
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            return ctx.exit(_INTERRUPTED)
        return ctx.exit(1)


def _say(text: str) -> None:
    from handlers.commands.output import printable

    # What failed may have a name that a terminal would obey.
    for line in text.split("\n"):
        click.echo(printable(line), err=True)


def _show(error: ClientError | TrawlError) -> None:
    _say(f"error: {error}")
    problems: list[Any] = []
    if isinstance(error, ApiError):
        problems = list(error.problems)
    elif isinstance(error, InvalidRequestError):
        problems = [problem.to_json() for problem in error.problems]
    for problem in problems:
        line = f"{problem['path']}: {problem['message']}" if problem["path"] else problem["message"]
        if str(error) in (line, problem["message"]):
            continue
        accepted = problem.get("accepted")
        _say(f"  {line}" + (f" (known: {', '.join(accepted)})" if accepted else ""))
    if any(problem["path"] == "X-Namespace" for problem in problems):
        click.echo("  name one with --namespace, or set TRAWL_NAMESPACE", err=True)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trawl-retriever", prog_name="trawl")
def main() -> None:
    """Run one stored search pipeline against many files in one call.

    Every command works on a data folder (--data, default .trawl), also while a server serves it,
    or speaks to a server (--api and --key, or TRAWL_API_URL and TRAWL_API_KEY).
    """


if __name__ == "__main__":
    main()
