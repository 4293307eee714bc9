"""`trawl keys`: API keys made, listed and revoked."""

import click

from core.types import JsonObject
from handlers.client import api_path
from handlers.commands.connection import Connection, connection_options
from handlers.commands.output import print_json, print_table

_user = click.option("--user", default="owner", show_default=True, help="Whose keys.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def keys() -> None:
    """Make, list and revoke API keys."""


@keys.command()
@click.argument("name")
@click.option("--admin", is_flag=True, help="Everything, in every namespace.")
@click.option(
    "--permission",
    type=click.Choice(["read", "write", "delete", "admin"]),
    help="Each includes those before it.  [default: read]",
)
@click.option("--namespace", "namespaces", multiple=True, metavar="NAME", help="May be repeated.")
@_user
@_json
@connection_options(namespace=False)
def create(
    connection: Connection,
    *,
    name: str,
    admin: bool,
    permission: str | None,
    namespaces: tuple[str, ...],
    user: str,
    as_json: bool,
) -> None:
    """Make a key and print it: this once, only its hash is kept."""
    if admin and (permission or namespaces):
        raise click.UsageError("--admin means every permission everywhere: give nothing beside it")
    if not admin and not namespaces:
        raise click.UsageError("say where the key is good: --namespace NAME, or --admin")
    body: JsonObject = {
        "name": name,
        "permissions": ["admin" if admin else permission or "read"],
        "namespaces": ["*"] if admin else list(namespaces),
    }
    with connection.open() as client:
        made = client.call("POST", _path(user), body)
    if as_json:
        print_json(made)
        return
    where = "every namespace" if admin else ", ".join(namespaces)
    click.echo(f"key {made['key_id']}: {made['permissions'][0]} in {where}. Shown once:", err=True)
    click.echo(made["key"])


@keys.command("list")
@click.option("--revoked", is_flag=True, help="Also those that were revoked.")
@_user
@_json
@connection_options(namespace=False)
def list_keys(connection: Connection, revoked: bool, user: str, as_json: bool) -> None:
    """List keys; never their secrets, which are not kept."""
    query = {"include_revoked": "true"} if revoked else None
    with connection.open() as client:
        found = client.call("GET", _path(user), query=query)["results"]
    if as_json:
        print_json(found)
        return
    titles = ("id", "name", "permission", "namespaces", "status", "created")
    rows = [
        (
            key["key_id"],
            key["name"],
            key["permissions"][0],
            ", ".join(key["namespaces"]),
            key["status"],
            key["created_at"],
        )
        for key in found
    ]
    print_table(titles, rows)


@keys.command()
@click.argument("key_id", metavar="ID")
@_user
@connection_options(namespace=False)
def revoke(connection: Connection, key_id: str, user: str) -> None:
    """End a key, named by its id or its name; a running server forgets it within 30 seconds."""
    with connection.open() as client:
        answer = client.call("DELETE", _path(user, key_id))
    click.echo(answer["message"])


def _path(user: str, *rest: str) -> str:
    return api_path("organizations", "users", user, "api-keys", *rest)
