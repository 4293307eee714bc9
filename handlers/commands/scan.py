"""`trawl scan`: files against several retrievers in one call, and a verdict on each file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from handlers.client import Client
from handlers.commands.connection import Connection, connection_options
from handlers.commands.output import print_json, printable, warn
from handlers.commands.progress import ending_at_once, progress_line
from handlers.commands.scan_table import print_report
from handlers.scanning import name_files
from handlers.scans import ScanCaller, ScanReport, find_scanned, read_scans

_FAILING: Final = {"block": {"block"}, "review": {"block", "review"}, "unknown": set(), None: set()}


@click.command(short_help="Scan files with several retrievers in one call.")
@click.argument("files", nargs=-1)
@click.option(
    "--retriever",
    "retrievers",
    multiple=True,
    metavar="NAME",
    help="Id or name; again for another.",
)
@click.option(
    "--scan",
    "scan_ids",
    multiple=True,
    metavar="ID",
    help="Show an earlier scan again, scanning nothing. Repeatable.",
)
@click.option("--concurrency", type=click.IntRange(1, 20), default=10, show_default=True)
@click.option(
    "--fail-on",
    type=click.Choice(["block", "review", "unknown"]),
    help="Status 1 for a block; for a block or a review; for an unknown alone, as without it.",
)
@click.option(
    "--report",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.html",
    help="Write a report for people too: one page that needs no network.",
)
@click.option(
    "--references",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Where references lie, for the report, if they were loaded elsewhere. Repeatable.",
)
@click.option("--force", is_flag=True, help="Replace a report that is there already.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, whole results included.")
@connection_options()
@click.pass_context
def scan(
    ctx: click.Context,
    connection: Connection,
    *,
    files: tuple[str, ...],
    retrievers: tuple[str, ...],
    scan_ids: tuple[str, ...],
    concurrency: int,
    fail_on: str | None,
    page: Path | None,
    references: tuple[Path, ...],
    force: bool,
    as_json: bool,
) -> None:
    """Scan FILES (paths, folders, https:// or s3:// addresses) with every --retriever, up to 50 in
    a call. With --scan, FILES are where to find what was scanned then, to show it in the report.

    A file takes the worst of what the retrievers say: block, review, unknown, clear. Clear is said
    only of what was compared with everything, exactly; unknown is never taken for clear. The
    status is 1 if anything is unknown.
    """
    _check_choice(files, retrievers, scan_ids)
    _check_report(page, references, force=force)
    named = name_files(files, warn)
    with connection.open() as client:
        with ending_at_once("stopped; nothing was judged"), progress_line() as say:
            if scan_ids:
                report = read_scans(client, scan_ids, presigned=page is not None)
                find_scanned(report, named, say=say)
            else:
                caller = ScanCaller(client, retrievers, concurrency, presigned=page is not None)
                report = caller.scan(named, say=say)
        # Printed before the report is made: what fails there takes no answer away.
        _print(report, as_json=as_json)
        if page is not None:
            with ending_at_once("stopped; the report was not written, the scan is kept"):
                _write_page(client, report, page, references, force=force)
            click.echo(printable(f"report: {page.resolve()}"), err=as_json)
    if _words(report) & {"unknown", *_FAILING[fail_on]}:
        ctx.exit(1)


def _check_choice(files: Sequence[str], retrievers: Sequence[str], scan_ids: Sequence[str]) -> None:
    """Refuse what would mean two things at once, or nothing."""
    if scan_ids and retrievers:
        raise click.UsageError("--scan shows a scan as it was; --retriever makes a new one")
    if not scan_ids and not files:
        raise click.UsageError("name files to scan, or an earlier scan with --scan")
    if not scan_ids and not retrievers:
        raise click.UsageError("name retrievers: --retriever NAME (trawl retrievers list)")


def _check_report(page: Path | None, references: Sequence[Path], *, force: bool) -> None:
    """Refuse what could not be written before the scan; options without a report are mistakes."""
    if page is not None:
        from handlers.report.writing import check_target

        check_target(page, force=force)
    elif references or force:
        raise click.UsageError("--references and --force say how --report is made: name a file")


def _print(report: ScanReport, *, as_json: bool) -> None:
    if not as_json:
        print_report(report)
        return
    # The addresses that the report's pictures are read from are keys to them: not for a log.
    whole = {"scans": report.scan_ids, "retrievers": report.retrievers, "files": report.files}
    print_json(_without_signed(whole))


def _without_signed(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_signed(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _without_signed(one)
        for name, one in value.items()
        if not name.endswith(("presigned_url", "presigned_expires_at"))
    }


def _write_page(
    client: Client, report: ScanReport, page: Path, references: Sequence[Path], *, force: bool
) -> None:
    from handlers.report.making import make_report

    with progress_line() as say:
        say("making the report, with pictures of what was found")
        make_report(client, report, page, references=references, force=force)


def _words(report: ScanReport) -> set[str]:
    """Return every verdict, also those that a worse one of the same file covers."""
    cells = [cell for file in report.files for cell in file["retrievers"].values()]
    return {one["verdict"] for one in (*report.files, *cells)}
