"""The options that say which service a command speaks to, and the client they make."""

import functools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from click.core import ParameterSource

from handlers.client import AppTransport, Client, HttpTransport, Transport
from handlers.client_errors import ApiError, ClientError

if TYPE_CHECKING:
    from core.app import App

DEFAULT_DATA: Final = Path(".trawl")
# The namespace of a laptop's data folder; a server is asked for the key's own instead.
DEFAULT_NAMESPACE: Final = "default"
_NOTHING_LOADED: Final = (
    f"namespace not found: {DEFAULT_NAMESPACE}. `trawl load` makes it; "
    "--data and --namespace name another place"
)

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a command's calls go: to `api`, else to `data`, else to what the environment says."""

    data: Path | None
    api: str | None
    key: str | None
    namespace: str | None

    @contextmanager
    def open(self) -> Iterator[Client]:
        """Yield a client and close it afterwards; wrong options are a `UsageError`."""
        namespace = self.namespace
        transport: Transport
        if self.api is not None:
            if self.data is not None:
                raise click.UsageError("--data and --api exclude each other")
            if self.key is None:
                raise click.UsageError("--api needs a key: --key, or TRAWL_API_KEY")
            transport = HttpTransport(self.api, self.key)
        else:
            transport = AppTransport(_build_app(self.data))
            namespace = namespace or DEFAULT_NAMESPACE
        client = Client(transport, namespace=namespace, sleep=_wait)
        try:
            yield client
        except ApiError as error:
            if self.api is None and self.namespace is None and _is_without_namespace(error):
                raise ClientError(_NOTHING_LOADED) from error
            raise
        finally:
            client.close()

    @contextmanager
    def open_app(self) -> "Iterator[App]":
        """Yield the service itself, for what no server offers; `--api` is a `UsageError`."""
        if self.api is not None:
            raise click.UsageError(
                "this works on a data folder or on a deployment's own table, not by --api "
                "(or TRAWL_API_URL)"
            )
        app = _build_app(self.data)
        try:
            yield app
        finally:
            app.close()

    def assets_bucket(self) -> str | None:
        """Return the bucket of files by upload; None unless calls go to a deployment's table."""
        from core.settings import variable_of

        if self.api is not None or not _is_on_table(self.data):
            return None
        return os.environ.get(variable_of("assets_bucket"))


def _is_without_namespace(error: ApiError) -> bool:
    return error.status == 404 and error.details.get("resource") == "namespace"


def _build_app(data: Path | None) -> "App":
    from core.app import build_app
    from core.settings import Settings

    if _is_on_table(data):
        return build_app(Settings.from_environment(os.environ))
    return build_app(Settings.local(data or DEFAULT_DATA, os.environ))


def _is_on_table(data: Path | None) -> bool:
    from core.settings import variable_of

    return data is None and bool(os.environ.get(variable_of("table")))


def connection_options(*, namespace: bool = True) -> Callable[[F], Callable[..., Any]]:
    """Add the options to a command, which gets a `Connection` as its first argument."""

    def decorate(function: F) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(data: Path | None, api: str | None, key: str | None, **rest: Any) -> Any:
            place = rest.pop("in_namespace", None)
            # What was typed wins over what the environment says.
            if api is not None and _is_from_environment("data"):
                data = None
            elif data is not None and _is_from_environment("api"):
                api = None
            if key is not None and api is None and not _is_from_environment("key"):
                raise click.UsageError("--key is a server's: name it with --api, or TRAWL_API_URL")
            return function(Connection(data, api, key, place), **rest)

        options = [
            click.option(
                "--data",
                type=click.Path(file_okay=False, path_type=Path),
                envvar="TRAWL_DATA_DIR",
                help="Data folder to work on.  [default: .trawl]",
            ),
            click.option(
                "--api",
                metavar="URL",
                envvar="TRAWL_API_URL",
                help="Server to speak to, instead of a data folder.",
            ),
            click.option(
                "--key", metavar="sk_…", envvar="TRAWL_API_KEY", help="API key for the server."
            ),
        ]
        if namespace:
            options.append(
                click.option(
                    "--namespace",
                    "in_namespace",
                    metavar="NAME",
                    envvar="TRAWL_NAMESPACE",
                    help="Id or name.  [default: 'default' in a data folder, the key's own there]",
                )
            )
        result: Callable[..., Any] = wrapped
        for option in reversed(options):
            result = option(result)
        return result

    return decorate


def _is_from_environment(name: str) -> bool:
    source = click.get_current_context().get_parameter_source(name)
    return source is ParameterSource.ENVIRONMENT


def _wait(seconds: float) -> None:
    """Wait for a service that is busy, and say so: it may take minutes."""
    click.echo(f"the service is busy; trying again in {seconds:.0f} s", err=True)
    time.sleep(seconds)
