"""`trawl namespaces`: which there are, by what id, and where their files are uploaded to."""

from typing import Final

import click

from core.ingest.keys import FOLDER
from core.types import JsonObject
from handlers.client import Client, api_path
from handlers.commands.connection import Connection, connection_options
from handlers.commands.output import print_json, print_table

_PAGE: Final = 100


@click.group()
def namespaces() -> None:
    """List namespaces."""


@namespaces.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@connection_options(namespace=False)
def list_namespaces(connection: Connection, as_json: bool) -> None:
    """List the namespaces that the key reaches; in a data folder or a table, all.

    On a deployment's own table (`make deployed`) also where files are uploaded to.
    """
    bucket = connection.assets_bucket()
    with connection.open() as client:
        found = _find_all(client)
    for namespace in found:
        namespace["upload_to"] = bucket and _upload_place(bucket, namespace["namespace_id"])
    if as_json:
        print_json(found)
        return
    titles = ["name", "id", "collections", "documents"]
    columns = ["namespace_name", "namespace_id", "collection_count", "document_count"]
    if bucket is not None:
        titles.append("upload to")
        columns.append("upload_to")
    print_table(titles, [[str(one[column]) for column in columns] for one in found])


def _find_all(client: Client) -> list[JsonObject]:
    """Return every namespace with its counts."""
    names: list[str] = []
    while True:
        query = {"limit": str(_PAGE), "offset": str(len(names))}
        page = client.call("GET", api_path("namespaces"), query=query)["results"]
        names += [namespace["namespace_id"] for namespace in page]
        if len(page) < _PAGE:
            break
    # One may have been deleted since the list was made.
    found = (client.find(api_path("namespaces", name)) for name in names)
    return [namespace for namespace in found if namespace is not None]


def _upload_place(bucket: str, namespace_id: str) -> str:
    return f"s3://{bucket}/{namespace_id}/{FOLDER}/COLLECTION/"
