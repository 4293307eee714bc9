"""`trawl jobs`: work larger than one call, started, watched, fetched and stopped."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from core.types import JsonObject
from handlers.client import Client, api_path
from handlers.client_errors import ApiError, ClientError
from handlers.commands.connection import Connection, connection_options
from handlers.commands.output import Cell, print_json, print_table, printable, progress_bar
from handlers.job_requests import (
    LOCAL_BYTES,
    SERVER_BYTES,
    check_size,
    choose_key,
    file_items,
    manifest_items,
    split_words,
)

_ACTIVE: Final = frozenset({"queued", "running"})
# Over, though not at its end.
_OPEN: Final = frozenset({"failed", "stopped", "interrupted"})
_STYLES: Final = {"completed": "green", "running": "cyan", "queued": "cyan"}
_FIRST_WAIT_S: Final = 0.1
_LONGEST_WAIT_S: Final = 2.0
_INTERRUPTED: Final = 130  # what a shell reports of a command that Ctrl-C ended

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_output = click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write results.jsonl and errors.jsonl there.",
)


@click.group()
def jobs() -> None:
    """Run retrievers on up to a million items, and continue what was interrupted."""


@jobs.command(short_help="Run retrievers on files or on a manifest.")
@click.argument("words", nargs=-1, required=True, metavar="RETRIEVER… [FILES…]")
@click.option("--manifest", metavar="PATH", help="JSON lines, an item a line; also s3://…")
@click.option("--job-key", metavar="K", help="Idempotency key: the same one continues.")
@click.option("--limit", type=click.IntRange(1, 500), help="Documents per item.  [default: 10]")
@click.option("--no-wait", is_flag=True, help="Do not wait for the end; needs a server.")
@_output
@_json
@connection_options()
@click.pass_context
def run(
    ctx: click.Context,
    connection: Connection,
    *,
    words: tuple[str, ...],
    manifest: str | None,
    job_key: str | None,
    limit: int | None,
    no_wait: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Run RETRIEVERs on FILES (paths, https:// or s3:// addresses) or on the items of a manifest.

    The same command again continues a job that was interrupted, and tries again what may succeed.
    On a data folder the job runs in this process, and Ctrl-C stops it; on a server it goes on. A
    file that cannot be read is named and left out. The status is 1 if any item failed, or was not
    sent.
    """
    retrievers, files = split_words(words) if manifest is None else (list(words), [])
    if manifest is None and not files:
        raise click.UsageError("name files after the retriever, or a --manifest")
    here = connection.api is None
    if here and no_wait:
        raise click.UsageError("--no-wait needs a server: a data folder's job runs here")
    source, unsent = _source(manifest, files)
    for fault in unsent:
        click.echo(printable(f"not sent: {fault}"), err=True)
    if unsent and not source["items"]:
        raise ClientError("none of the files can be read")
    body: JsonObject = {"retrievers": retrievers, **source}
    if limit is not None:
        body["settings"] = {"limit": limit}
    check_size(body, LOCAL_BYTES if here else SERVER_BYTES)
    with connection.open() as client:
        body["idempotency_key"] = job_key or choose_key(client, body)
        job = client.call("POST", api_path("jobs"), body)
        _announce(job)
        if not no_wait:
            try:
                job = _wait(client, job)
            except KeyboardInterrupt:
                _leave(client, job["job_id"], stop=here)
                ctx.exit(_INTERRUPTED)
        if output is not None and not no_wait:
            _write_files(client, job["job_id"], output)
    if as_json:
        print_json(job)
    else:
        _show(job)
    if unsent or (not no_wait and (job["status"] != "completed" or job["progress"]["failed"])):
        ctx.exit(1)


@jobs.command()
@click.argument("job")
@_json
@connection_options()
def status(connection: Connection, *, job: str, as_json: bool) -> None:
    """Show how far a job is and what it cost."""
    with connection.open() as client:
        found = client.call("GET", api_path("jobs", job))
    if as_json:
        print_json(found)
    else:
        _show(found)


@jobs.command()
@click.argument("job")
@_output
@_json
@connection_options()
def results(connection: Connection, *, job: str, output: Path | None, as_json: bool) -> None:
    """List a job's result files, or write them as two into a folder."""
    with connection.open() as client:
        if output is not None:
            written = _write_files(client, job, output)
            if as_json:
                print_json(written)
            return
        files = list(_files(client, job))
    if as_json:
        print_json(files)
        return
    rows = [(one["kind"], str(one["items"]), str(one["bytes"]), one["url"]) for one in files]
    print_table(("kind", "items", "bytes", "url"), rows)
    if rows and connection.api is None:
        click.echo(
            "of a data folder these are URLs of its server (`trawl serve`); "
            "--output DIR writes the files without one",
            err=True,
        )


@jobs.command("list")
@_json
@connection_options()
def list_jobs(connection: Connection, *, as_json: bool) -> None:
    """List the namespace's jobs, the newest first."""
    found: list[JsonObject] = []
    query = {"limit": "100"}
    with connection.open() as client:
        while True:
            page = client.call("GET", api_path("jobs"), query=query)
            found += page["results"]
            cursor = page["pagination"]["next_cursor"]
            if cursor is None:
                break
            query["cursor"] = cursor
    if as_json:
        print_json(found)
        return
    rows = [
        (
            job["job_id"],
            Cell(job["status"], _STYLES.get(job["status"], "yellow")),
            str(job["run"]),
            ", ".join(one["retriever_name"] for one in job["retrievers"]),
            job["created_at"],
        )
        for job in found
    ]
    print_table(("job", "status", "run", "retrievers", "made"), rows)


@jobs.command()
@click.argument("job")
@_json
@connection_options()
def stop(connection: Connection, *, job: str, as_json: bool) -> None:
    """Stop a job; what is done stays."""
    with connection.open() as client:
        stopped = client.call("DELETE", api_path("jobs", job))
    if as_json:
        print_json(stopped)
    else:
        _show(stopped)


def _source(manifest: str | None, files: list[str]) -> tuple[JsonObject, list[str]]:
    """Return what the job is to read, and which files cannot be sent."""
    if manifest is None:
        items, unsent = file_items(files)
        return {"items": items}, unsent
    if manifest.startswith("s3://"):
        return {"manifest": manifest}, []
    path = Path(manifest)
    if not path.is_file():
        raise ClientError(f"there is no manifest {manifest}")
    items = manifest_items(path)
    if not items:
        raise ClientError(f"{manifest} is empty")
    return {"items": items}, []


def _announce(job: JsonObject) -> None:
    if job["run"] > 1:
        text = f"job {job['job_id']} goes on (run {job['run']})"
    elif job["status"] in _ACTIVE:
        text = f"job {job['job_id']}"
    else:
        text = f"job {job['job_id']} did this before; another --job-key does it anew"
    click.echo(text, err=True)


def _wait(client: Client, job: JsonObject) -> JsonObject:
    """Return the job once it is over, with a bar meanwhile."""
    path, wait = api_path("jobs", job["job_id"]), _FIRST_WAIT_S
    while job["status"] in _ACTIVE and job["progress"]["items"] is None:
        job, wait = _next(client, path, wait)
    with progress_bar("items", job["progress"]["items"] or 0) as advance:
        shown = 0
        while True:
            advance(job["progress"]["done"] - shown)
            shown = job["progress"]["done"]
            if job["status"] not in _ACTIVE:
                return job
            job, wait = _next(client, path, wait)


def _next(client: Client, path: str, wait: float) -> tuple[JsonObject, float]:
    time.sleep(wait)
    return client.call("GET", path), min(wait * 1.5, _LONGEST_WAIT_S)


def _leave(client: Client, job_id: str, *, stop: bool) -> None:
    if stop:
        client.call("DELETE", api_path("jobs", job_id))
        click.echo(f"\nstopped {job_id}; the same command continues it", err=True)
        return
    click.echo(
        f"\njob {job_id} goes on without this command: `trawl jobs status {job_id}` looks, "
        f"`trawl jobs stop {job_id}` stops it",
        err=True,
    )


def _files(client: Client, job_id: str) -> Iterator[JsonObject]:
    # A few at a time: their URLs must live until each is read.
    query = {"limit": "100"}
    while True:
        page = client.call("GET", api_path("jobs", job_id), query=query)
        if page["status"] in _ACTIVE and "cursor" not in query:
            click.echo(f"{job_id} is not over: these are its files so far", err=True)
        yield from page["results"]
        cursor = page["pagination"]["next_cursor"]
        if cursor is None:
            return
        query["cursor"] = cursor


def _write_files(client: Client, job_id: str, folder: Path) -> JsonObject:
    """Write the files of a kind one after the other as one; return how many lines each has.

    What lies there of an earlier call is replaced once everything has been read.
    """
    client.call("GET", api_path("jobs", job_id), query={"limit": "1"})  # or nothing is touched
    folder.mkdir(parents=True, exist_ok=True)
    written = {"results": 0, "errors": 0}
    with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as part:
        for kind in written:
            Path(part, kind).touch()
        for one in _files(client, job_id):
            try:
                data = client.read_file(one["url"])
            except ApiError as error:
                raise ClientError(f"a result file could not be read: {error}") from error
            with Path(part, one["kind"]).open("ab") as file:
                file.write(data)
            written[one["kind"]] += one["items"]
        for kind, count in written.items():
            path = Path(part, kind).replace(folder / f"{kind}.jsonl")
            click.echo(f"{path}: {count} lines", err=True)
    return written


def _show(job: JsonObject) -> None:
    progress = job["progress"]
    items = "?" if progress["items"] is None else progress["items"]
    click.echo(f"{job['job_id']}: {job['status']}, run {job['run']}")
    click.echo(
        f"{progress['done']} of {items} items done ({progress['fraction']:.0%}): "
        f"{progress['succeeded']} succeeded, {progress['failed']} failed"
    )
    for code, count in job["errors_by_code"].items():
        click.echo(f"  {code}: {count}")
    if job["error"] is not None:
        click.echo(printable(f"error: {job['error']['message']}"))
    if job["idempotency_key"] is not None and (job["status"] in _OPEN or job["retryable"]):
        click.echo(f"the same command or request continues it (key {job['idempotency_key']})")
    if job["cost"]["usd"]:
        click.echo(
            f"cost so far, estimated: {job['cost']['usd']:.4f} USD ({job['cost']['covers']})"
        )
