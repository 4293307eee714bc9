"""`trawl upkeep`: collections merged and swept, on a data folder or a deployment."""

import click

from core.catalog.upkeep import CollectionUpkeep, UpkeepReport
from core.deadline import NEVER, Deadline
from handlers.commands.connection import Connection, connection_options
from handlers.commands.output import print_json, print_table, printable


@click.command(short_help="Merge and sweep all collections.")
@click.option(
    "--seconds", type=click.IntRange(1), metavar="N", help="Begin no collection after so long."
)
@click.option(
    "--erase",
    is_flag=True,
    help="Merge everything now, so that what was deleted is in no file any more.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@connection_options(namespace=False)
@click.pass_context
def upkeep(
    ctx: click.Context, connection: Connection, *, seconds: int | None, erase: bool, as_json: bool
) -> None:
    """Merge what small writes left, and remove what nothing names any more.

    It changes no collection's content and may run beside a server. A deployment does the same by
    the hour. The status is 1 if anything failed.
    """
    deadline = NEVER if seconds is None else Deadline.after(seconds)
    with connection.open_app() as app:
        report = app.upkeep.run(deadline=deadline, erase=erase)
    if as_json:
        print_json(report.to_json())
    else:
        _print(report)
    if report.failures or report.faults:
        ctx.exit(1)


def _print(report: UpkeepReport) -> None:
    body = report.to_json()
    rows = [_row(one) for one in report.collections if one.merged or one.swept or one.error]
    if rows:
        print_table(("namespace", "collection", "merged", "swept", "error"), rows)
    click.echo(
        f"{body['collections']} collections: {body['merged']} merged, {body['swept']} segments "
        f"swept, {body['purged']} leftovers removed, {body['failed']} failed, "
        f"{body['unreached']} not reached"
    )
    for fault in report.faults:
        click.echo(printable(fault), err=True)


def _row(one: CollectionUpkeep) -> list[str]:
    merged = "yes" if one.merged else "no"
    return [one.namespace, one.collection, merged, str(one.swept), one.error or ""]
