"""`trawl ingest`: what waits to be taken in, what could not be, and trying that again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import click

from core.ports.queues import IngestQueues
from core.settings import variable_of
from handlers.client_errors import ClientError
from handlers.commands.connection import Connection, connection_options
from handlers.commands.output import print_json, print_table, printable
from handlers.dead_letters import Failure, Moved, discard, list_failures, redrive

_REASON_CHARACTERS: Final = 100
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("ingest")
def ingest() -> None:
    """Look after the files that were uploaded to the assets bucket.

    They come in by themselves, under NAMESPACE_ID/ingest/COLLECTION/. These commands work on a
    deployment, with the variables that `make deployed` prints.
    """


@ingest.command()
@_json
@connection_options(namespace=False)
def status(connection: Connection, *, as_json: bool) -> None:
    """Show how many messages wait, are being worked on, and were given up on."""
    with _queues(connection) as queues:
        work, dead = queues.work.depth(), queues.dead_letters.depth()
    body = {"waiting": work.waiting, "in_work": work.held, "failed": dead.waiting + dead.held}
    if as_json:
        print_json(body)
        return
    print_table(("waiting", "in work", "failed"), [[str(count) for count in body.values()]])
    if body["failed"]:
        click.echo("trawl ingest failures shows why; trawl ingest redrive tries again", err=True)


@ingest.command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@_json
@connection_options(namespace=False)
def failures(connection: Connection, *, limit: int, as_json: bool) -> None:
    """Show what was given up on, and why; nothing is taken away."""
    with _queues(connection) as queues:
        found = list_failures(queues.dead_letters, most=limit)
    if as_json:
        print_json([failure.to_json() for failure in found])
        return
    if not found:
        click.echo("nothing was given up on", err=True)
        return
    print_table(("file", "code", "first seen", "reason"), [_row(failure) for failure in found])
    if len(found) == limit:
        click.echo(f"the first {limit}; --limit shows more", err=True)


def _row(failure: Failure) -> list[str]:
    reason = failure.reason
    if len(reason) > _REASON_CHARACTERS:
        reason = reason[:_REASON_CHARACTERS] + "…"
    return [" ".join(failure.keys) or "(unreadable)", failure.code, failure.first_seen, reason]


_prefix: Callable[[Any], Any] = click.option(
    "--key-prefix", default="", metavar="PREFIX", help="Only those of objects whose key begins so."
)


@ingest.command("redrive")
@_prefix
@_json
@connection_options(namespace=False)
def redrive_failures(connection: Connection, *, key_prefix: str, as_json: bool) -> None:
    """Try again what was given up on, once its reason is mended."""
    with _queues(connection) as queues:
        done = redrive(queues.dead_letters, queues.work, key_prefix=key_prefix)
    _print_moved(done, "sent back", as_json=as_json)


@ingest.command("discard")
@_prefix
@click.option("--all", "everything", is_flag=True, help="All of them.")
@_json
@connection_options(namespace=False)
def discard_failures(
    connection: Connection, *, key_prefix: str, everything: bool, as_json: bool
) -> None:
    """Forget what was given up on; the files themselves stay where they are."""
    if bool(key_prefix) == everything:
        raise click.UsageError("say which: --key-prefix PREFIX, or --all")
    with _queues(connection) as queues:
        done = discard(queues.dead_letters, key_prefix=key_prefix)
    _print_moved(done, "forgotten", as_json=as_json)


def _print_moved(done: Moved, what: str, *, as_json: bool) -> None:
    if as_json:
        again = {"failed_again": done.again} if done.again else {}
        print_json({"moved": done.moved, "left": done.left, **again})
        return
    click.echo(printable(f"{done.moved} {what}, {done.left} left"))
    if done.again:
        click.echo(f"{done.again} failed again at once; trawl ingest failures shows why", err=True)


@contextmanager
def _queues(connection: Connection) -> Iterator[IngestQueues]:
    with connection.open_app() as app:
        if app.ingest_queues is None:
            names = " and ".join(variable_of(n) for n in ("ingest_queue", "ingest_dead_letters"))
            raise ClientError(
                f"there is no queue here: set {names}, as make deployed prints them; a data folder "
                "has none, trawl load takes files into it"
            )
        yield app.ingest_queues
