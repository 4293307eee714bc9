"""`trawl documents`: what a collection holds, and how something in it is taken out again."""

from typing import Final

import click

from core.types import JsonObject
from handlers.client import api_path
from handlers.commands.connection import Connection, connection_options
from handlers.commands.output import print_json, print_table, printable
from handlers.stored_documents import chunks_of, stored_documents

# How many are deleted at once; the API's own bound is 1,000.
_DELETED: Final = 500
_WORDS: Final = {True: "yes", False: "no", None: ""}
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def documents() -> None:
    """List and delete the documents of a collection."""


@documents.command("list")
@click.argument("collection")
@_json
@connection_options()
def list_documents(connection: Connection, *, collection: str, as_json: bool) -> None:
    """List what COLLECTION holds: ids, paths of files, and whether each can be compared.

    One that cannot is found by nothing, and keeps every scan from saying clear. Of a document that
    was stored with vectors of its own this is not known.
    """
    with connection.open() as client:
        found = [_entry(one) for one in stored_documents(client, collection)]
    if as_json:
        print_json(found)
        return
    rows = [(one["document_id"], one["path"] or "", _WORDS[one["comparable"]]) for one in found]
    print_table(("id", "path", "comparable"), rows)


@documents.command("delete")
@click.argument("collection")
@click.argument("document_ids", nargs=-1, required=True, metavar="ID...")
@_json
@connection_options()
def delete_documents(
    connection: Connection, *, collection: str, document_ids: tuple[str, ...], as_json: bool
) -> None:
    """Delete documents of COLLECTION, each with all chunks of its file.

    The status is 1 if one was not there.
    """
    results: list[JsonObject] = []
    path = api_path("collections", collection, "documents", "batch")
    with connection.open() as client:
        for start in range(0, len(document_ids), _DELETED):
            part = list(document_ids[start : start + _DELETED])
            results += client.call("DELETE", path, {"document_ids": part})["results"]
    missing = [one["document_id"] for one in results if not one["success"]]
    if as_json:
        print_json(results)
    else:
        click.echo(f"deleted {len(results) - len(missing)} of {len(results)} documents")
        for document_id in missing:
            click.echo(printable(f"  not there: {document_id}"), err=True)
    if missing:
        click.get_current_context().exit(1)


def _entry(document: JsonObject) -> JsonObject:
    chunks, path = chunks_of(document), document.get("path")
    return {
        "document_id": document["document_id"],
        "path": path if isinstance(path, str) else None,
        "comparable": None if chunks is None else chunks > 0,
    }
