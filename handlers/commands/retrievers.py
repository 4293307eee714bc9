"""`trawl retrievers`: the usual search over a collection of media, made by name; and a list."""

import click

from core.types import JsonObject
from handlers.client import Client, api_path
from handlers.client_errors import ClientError
from handlers.commands.connection import Connection, connection_options
from handlers.commands.output import print_json, print_table
from handlers.stored_documents import find_named

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def retrievers() -> None:
    """Make and list retrievers."""


@retrievers.command()
@click.argument("name")
@click.option("--collection", "collections", required=True, multiple=True, metavar="NAME")
@click.option("--extractor", required=True, metavar="NAME", help="For example image.pdq.")
@click.option(
    "--canary",
    metavar="ID",
    help="A reference that every scan must find, or nothing is clear: its id, or its file's path "
    "below the folder that was loaded.",
)
@click.option(
    "--block-at",
    type=float,
    metavar="SCORE",
    help="From this score on it is a match.  [default: the extractor's]",
)
@click.option(
    "--review-at", type=float, metavar="SCORE", help="From this one on a person should look."
)
@_json
@connection_options()
def create(
    connection: Connection,
    *,
    name: str,
    collections: tuple[str, ...],
    extractor: str,
    canary: str | None,
    block_at: float | None,
    review_at: float | None,
    as_json: bool,
) -> None:
    """Make a retriever that finds the nearest documents of a file.

    Other retrievers are made through the API: POST /v1/retrievers.
    """
    if (block_at is None) != (review_at is None):
        raise click.UsageError("--block-at and --review-at are one rule: give both, or none")
    with connection.open() as client:
        if canary is not None:
            canary = find_named(client, collections, canary)
        rule = {"canary": canary, "block_at": block_at, "review_at": review_at}
        verdict = {key: value for key, value in rule.items() if value is not None}
        made = create_search(client, name, collections, extractor, verdict=verdict)
    if as_json:
        print_json(made)
        return
    (given,) = made["input_schema"]
    click.echo(f"made the retriever {name} ({made['retriever_id']}); its input is {given}")


@retrievers.command("list")
@_json
@connection_options()
def list_retrievers(connection: Connection, as_json: bool) -> None:
    """List the namespace's retrievers."""
    found: list[JsonObject] = []
    with connection.open() as client:
        while True:
            query = {"limit": "100", "offset": str(len(found))}
            page = client.call("GET", api_path("retrievers"), query=query)["results"]
            found += page
            if len(page) < 100:
                break
    if as_json:
        print_json(found)
        return
    rows = [
        (
            retriever["retriever_name"],
            retriever["retriever_id"],
            str(retriever["version"]),
            ", ".join(stage["config"]["stage_id"] for stage in retriever["stages"]),
        )
        for retriever in found
    ]
    print_table(("name", "id", "version", "stages"), rows)


def create_search(
    client: Client,
    name: str,
    collections: tuple[str, ...],
    extractor: str,
    *,
    verdict: JsonObject | None = None,
) -> JsonObject:
    """Make the retriever of one search over one media input; return it as stored.

    `verdict` is its rule: `canary`, the id of a reference that every scan looks for too, and
    `block_at` with `review_at`.
    """
    info = _find_extractor(client, extractor, collections[0])
    kind = info["modalities"][0]
    query = {"input_mode": "content", "value": f"{{{{INPUT.{kind}}}}}"}
    search = {"feature_uri": info["feature_uri"], "query": query}
    parameters = {"searches": [search], "final_top_k": 25}
    body: JsonObject = {
        "retriever_name": name,
        "collection_identifiers": list(collections),
        "input_schema": {kind: {"type": kind, "required": True}},
        "stages": [
            {
                "stage_name": "nearest",
                "config": {"stage_id": "feature_search", "parameters": parameters},
            }
        ],
    }
    if verdict:
        body["verdict"] = verdict
    answer = client.call("POST", api_path("retrievers"), body)
    made: JsonObject = answer.get("retriever", answer)
    return made


def _find_extractor(client: Client, extractor: str, collection: str) -> JsonObject:
    """Return the extractor `name@version`; of a name alone the collection's version, which stays
    the one that it was made with, else the newest."""
    known = client.call("GET", api_path("discovery", "extractors"))
    name, _, version = extractor.partition("@")
    if not version:
        found = client.find(api_path("collections", collection)) or {}
        own = found.get("feature_extractor") or {}
        version = own["version"] if own.get("feature_extractor_name") == name else ""
    for one in known:
        if one["feature_extractor_name"] == name and version in ("", one["version"]):
            info: JsonObject = one
            return info
    names = ", ".join(f"{one['feature_extractor_name']}@{one['version']}" for one in known)
    raise ClientError(f"there is no extractor {extractor!r}; known: {names}")
