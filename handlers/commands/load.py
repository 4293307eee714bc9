"""`trawl load`: files from folders, patterns, buckets and manifests into a collection."""

import glob
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NoReturn

import click

from core.delivery import parse_s3_uri
from core.types import JsonObject
from handlers.client import Client, api_path
from handlers.commands.connection import Connection, connection_options
from handlers.commands.output import print_json, printable, progress_bar
from handlers.load_manifests import SUFFIXES, read_manifest
from handlers.load_report import LoadReport, Problem, group_problems
from handlers.load_sources import (
    Found,
    find_below,
    find_matching,
    is_wanted,
    local_file,
    objects_below,
)
from handlers.loaded_places import LoadedPlaces, PlacesError
from handlers.loading import Remember, ensure_place, load_files

# Reasons and, of each, files that are shown.
_REASONS: Final = 20
_EXAMPLES: Final = 3
# What shells say of a program that Ctrl-C ended.
_INTERRUPTED: Final = 130


@click.command(short_help="Load files into a collection.")
@click.argument("sources", nargs=-1, required=True)
@click.option("--collection", required=True, metavar="NAME", help="Made if there is none.")
@click.option(
    "--extractor",
    metavar="NAME",
    help="image.pdq, audio.chromaprint, video.vpdq, …  [default: the collection's]",
)
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="Of a new collection's extractor: verify=true. Repeatable.",
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
    sources: tuple[str, ...],
    collection: str,
    extractor: str | None,
    parameters: tuple[str, ...],
    include: tuple[str, ...],
    as_json: bool,
) -> None:
    """Load SOURCES into a collection: folders, files, patterns ('photos/**/*.jpg'), prefixes of a
    bucket (s3://bucket/prefix/), and manifests (.csv, .jsonl).

    What is loaded already is skipped, so a load that was stopped goes on when it is run again. A
    file is known by its path below the folder and its content, or by the id that a manifest gives
    it; what a folder no longer holds stays. Of a file in which nothing can be compared nothing is
    kept, and it counts as failed: copies of it would not be found. Hidden files are left out, and
    files of a kind that the extractor does not read. The status is 1 if any file failed.

    A manifest's lines name a path (relative to the manifest, or s3:// or https://), an id if it is
    to be kept, and anything else as fields; `metadata` is an object of fields.
    """
    asked = _read_parameters(parameters)
    try:
        found = _find(connection, sources, include)
        with connection.open() as client:
            place = ensure_place(
                client, collection, extractor, asked, say=lambda text: click.echo(text, err=True)
            )
            remember = _note_places(place["collection_id"])
            with progress_bar("loading", len(found.files)) as advance:
                report = load_files(client, place, found.files, advance=advance, remember=remember)
            report.failed[:0] = found.problems
            count = _count(client, collection)
    except KeyboardInterrupt:
        _leave()
    if as_json:
        print_json({**report.to_json(), "document_count": count})
    else:
        _print(report, collection, count)
    if report.stopped:
        click.echo("stopped; run it again to go on", err=True)
        ctx.exit(_INTERRUPTED)
    if report.failed:
        ctx.exit(1)


def _read_parameters(texts: Iterable[str]) -> JsonObject:
    """Return parameters by name; a value is JSON, and text where it is not."""
    found: JsonObject = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if not name or not mark:
            raise click.UsageError(printable(f"--parameter {text}: expected NAME=VALUE"))
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _note_places(collection_id: str) -> Remember:
    """Return what notes where files lie, for reports; if that fails, it is said once."""
    places: list[LoadedPlaces] = [LoadedPlaces()]

    def remember(files: Sequence[tuple[str, Path]]) -> None:
        try:
            for place in places:
                place.remember(collection_id, files)
        except PlacesError as error:
            places.clear()
            why = f"reports will need --references: where files lie cannot be noted ({error})"
            click.echo(printable(why), err=True)

    return remember


def _leave() -> NoReturn:
    """End now: a clean end would wait for requests that may take minutes. What they store they
    store whole, and the next load sees it."""
    click.echo("stopped at once; run it again to go on", err=True)
    os._exit(_INTERRUPTED)


def _find(connection: Connection, sources: Sequence[str], include: Sequence[str]) -> Found:
    """Return what the sources name; a source that is nothing, or all without a file, is a
    `UsageError`."""
    found = Found()
    for source in sources:
        one = _find_one(connection, source, include)
        found.files += one.files
        found.problems += one.problems
    if not found.files and not found.problems:
        named = f" that are named {' or '.join(include)}" if include else ""
        raise click.UsageError(printable(f"no files to load in {', '.join(sources)}{named}"))
    return found


def _find_one(connection: Connection, source: str, include: Sequence[str]) -> Found:
    if source.startswith("s3://"):
        return _find_objects(connection, source, include)
    path = Path(source)
    if path.is_dir():
        return find_below(path, include)
    if path.suffix.lower() in SUFFIXES and path.is_file():
        return read_manifest(path)
    # A name may look like a pattern, as `cover [1].jpg` does.
    if path.exists() or path.is_symlink():
        wanted = is_wanted(path.name, include)
        return Found([local_file(path, Path(path.name), chosen=True)] if wanted else [])
    if glob.has_magic(source):
        try:
            return find_matching(source, include)
        except ValueError as error:
            raise click.UsageError(printable(f"{source}: {error}")) from None
    raise click.UsageError(printable(f"there is no file or folder {source}"))


def _find_objects(connection: Connection, source: str, include: Sequence[str]) -> Found:
    """List a prefix with the environment's own rights; what the namespace may read of it, the
    service decides object by object."""
    if connection.api is not None:
        raise click.UsageError(
            "a prefix is listed with a deployment's own environment (its variables, not --api); "
            "a manifest of s3:// paths can be loaded from anywhere"
        )
    bucket, prefix = parse_s3_uri(source) or (source.removeprefix("s3://").rstrip("/"), "")
    if not bucket:
        raise click.UsageError("expected s3://bucket/prefix/")
    with connection.open_app() as app:
        listed = ((o.key, o.size, o.etag) for o in app.buckets.bucket(bucket).list(prefix))
        return objects_below(bucket, prefix, listed, include)


def _count(client: Client, collection: str) -> int:
    count: int = client.call("GET", api_path("collections", collection))["document_count"]
    return count


def _print(report: LoadReport, collection: str, count: int) -> None:
    parts = [f"loaded {report.loaded}", f"skipped {report.skipped} loaded before"]
    parts += [f"changed fields of {report.updated}"] if report.updated else []
    parts += [f"left out {len(report.other_kinds)} of other kinds"] if report.other_kinds else []
    parts.append(f"failed {len(report.failed)}")
    click.echo(f"{', '.join(parts)}; {collection} holds {count} documents")
    _print_problems("failed", report.failed)
    _print_problems("left out", report.other_kinds)
    _print_problems("stored in part", report.partial)


def _print_problems(title: str, problems: Iterable[Problem]) -> None:
    groups = group_problems(problems)
    for reason, names in groups[:_REASONS]:
        shown = ", ".join(printable(name) for name in names[:_EXAMPLES])
        if len(names) == 1:
            line = f"{shown}: {printable(reason)}"
        else:
            more = ", …" if len(names) > _EXAMPLES else ""
            line = f"{len(names)} files: {printable(reason)}: {shown}{more}"
        click.echo(f"  {title}: {line}", err=True)
    left = sum(len(names) for _, names in groups[_REASONS:])
    if left:
        click.echo(f"  {title}: {left} more for other reasons; --json lists all", err=True)
